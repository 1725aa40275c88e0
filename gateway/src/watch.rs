//! What changes outside while the daemon runs: the host's addresses ([`links`]), what the daemon
//! has set in the kernel ([`kernel`]), our certificate's files ([`certificate`]) and, if that is
//! wanted, all others ([`files`]). Each watch reports; what follows is the shell's to decide.

pub mod certificate;
pub mod files;
pub mod kernel;
pub mod links;

use std::collections::BTreeMap;
use std::time::Instant;

use ringway_config::Prefix;
use ringway_intent::Links;

/// Something changed outside.
#[derive(Debug)]
pub enum Event {
    /// The host's addresses, after a change.
    Links(Links),
    /// Something that the daemon may have set in the kernel.
    Kernel,
    /// Our certificate's files.
    Certificate,
    /// When WireGuard clients, by prefix, used this gateway last.
    WireGuard(BTreeMap<Prefix, Instant>),
}
