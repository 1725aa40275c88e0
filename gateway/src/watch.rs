//! Watches what changes outside the daemon: the host's addresses ([`links`]), our objects in the
//! kernel ([`kernel`]), the certificate's files ([`certificate`]) and, with `--watch`, all other
//! files ([`files`]). Each watch only reports; the shell decides what follows.

pub mod certificate;
pub mod files;
pub mod kernel;
pub mod links;

use std::collections::BTreeMap;
use std::time::Instant;

use ringway_config::Prefix;
use ringway_intent::Links;

use crate::kubernetes;

/// A change outside the daemon.
#[derive(Debug)]
pub enum Event {
    /// The host's addresses after a change.
    Links(Links),
    /// A change in the kernel that may concern our objects.
    Kernel,
    /// The certificate's files changed.
    Certificate,
    /// Prefixes of the WireGuard clients that are up, with the time of each one's last use.
    WireGuard(BTreeMap<Prefix, Instant>),
    /// What a cluster's API server says of its Services.
    Kubernetes(kubernetes::Event),
}
