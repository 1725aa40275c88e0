//! Which certificates a gateway presents, and which it accepts.
//!
//! Owns certificates and their verification: creating them ([`create`], [`key`], [`request`],
//! [`token`]), describing them ([`description`]), judging keys ([`strength`]), detecting truncated
//! files ([`whole`]), loading this gateway's certificate ([`local`]), verifying peers' ([`trust`],
//! [`verify`], [`crl`]), and the TLS settings that do so ([`tls`]). It opens no socket and holds no
//! session: the gateway dials and accepts with these settings, and verifies the chains of its
//! sessions again when a reload changes the trust.
//!
//! ```text
//!   member records ──► Trust ──► verify(chain) ──► Verified ──► the session
//!                        ▲            │
//!          reload: a new one          └─────────► Refusal ──► TLS alert, log, status
//! ```
//!
//! A peer's leaf certificate names its organization; only that organization's CA certificates can
//! vouch for it. There is no other trust: no system store, no shared root, no fallback.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod create;
pub mod crl;
pub mod description;
pub mod key;
pub mod local;
pub mod refusal;
pub mod request;
mod shown;
pub mod strength;
pub mod tls;
pub mod token;
pub mod trust;
pub mod verify;
pub mod whole;

pub use crl::{Crl, CrlNumber};
pub use local::Identity;
pub use refusal::{Code, Lapse, Refusal};
pub use tls::Refused;
pub use trust::Trust;
pub use verify::{Role, Verified};
