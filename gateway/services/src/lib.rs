//! Names of Kubernetes Services: what the annotation `ringway.io/name` of a Service asks for, as
//! names and addresses of this gateway's own fragment.
//!
//! ```text
//!   API server ─► feed (one for each kind and namespace) ─► Cluster ─► translate ─► Names
//!                 list, then watch; feature `kube`          └──────── no I/O ────────┘
//! ```
//! Reading order: what is read of an object ([`object`]), what is kept of a cluster ([`cluster`]),
//! what the annotations say ([`annotation`]), which addresses a Service has ([`addresses`]), and
//! the names of it all ([`mod@translate`]). With the feature `kube`, `watch` follows an API server:
//! `kind` says what is asked of it, `feed` follows one source, `api` is the connection.
//!
//! A user who may annotate Services in the watched namespaces gives names to addresses of this
//! site, and to nothing else: [`Terms`] says what is ours.

#![forbid(unsafe_code)]

pub mod addresses;
pub mod annotation;
#[cfg(feature = "kube")]
mod api;
#[cfg(feature = "kube")]
mod capped;
pub mod cluster;
#[cfg(feature = "kube")]
mod feed;
pub mod finding;
#[cfg(feature = "kube")]
pub mod fingerprint;
#[cfg(feature = "kube")]
mod kind;
pub mod limits;
pub mod object;
#[cfg(feature = "kube")]
mod pace;
pub mod terms;
pub mod translate;
#[cfg(feature = "kube")]
pub mod watch;

pub use cluster::{Change, Cluster, Source};
pub use finding::{Finding, Problem};
#[cfg(feature = "kube")]
pub use fingerprint::fingerprint;
pub use object::{Key, Node, Object, Service, Slice};
pub use terms::Terms;
pub use translate::{Names, translate};
#[cfg(feature = "kube")]
pub use watch::{Access, Event, Settings, watch};
