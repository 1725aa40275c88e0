//! The guard: addresses of the mesh enter and leave this host by the TUN device alone, as one
//! nftables table of our own (see `guard`). And, behind the TUN, what the other organizations may
//! reach.
//!
//! The table (family `inet`, named like the TUN) is replaced in one transaction, so that no packet
//! ever meets half of it. It only drops: packets that another table of the host drops stay dropped.
//!
//! Packets out of the TUN, to this host or through it, are judged in this order:
//! 1. to the tunnel port: dropped (no tunnel in a tunnel);
//! 2. from a source outside every member's prefixes: dropped;
//! 3. of no known connection and unable to open one: dropped; of an established connection, or an
//!    ICMP error about one (packet too big included): accepted;
//! 4. DNS to this gateway's listeners: accepted, unless the list of rules is empty;
//! 5. without a list of rules: ICMP echo to the site's prefixes accepted; with one: accepted if a
//!    rule allows it (ICMP echo needs a rule of its own, an empty list allows no new connection);
//! 6. everything else: dropped.
//!
//! Packets into the TUN, from this host or through it, must come from the site's prefixes and not
//! go to the tunnel port.
//!
//! The table outlives the daemon, as the `unreachable` routes do: forwarding stays on for the site's
//! interfaces, so that hosts get an answer, and the table keeps that to the mesh.

mod conntrack;
mod content;
mod draft;
mod guard;
mod nft;
mod rules;
mod terms;

use std::io;
use std::time::Duration;

use super::sysctl;

#[cfg(test)]
pub(crate) mod testing;

pub use guard::{Restriction, Surroundings};
pub use nft::Nft;

/// Why the filter dropped packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// No rule allows it.
    Denied,
    /// Of no connection, and unable to open one.
    Invalid,
    /// To a member's prefix, by another interface than the TUN.
    Leak,
    /// With an address of the mesh as source, from an interface where it cannot be.
    Spoofed,
    /// From the TUN, with a source that no member owns.
    Stranger,
    /// From an interface that forwards for the mesh only, to elsewhere.
    Transit,
    /// A tunnel inside the tunnel.
    TunnelPort,
    /// Into the TUN, with a source outside the site's prefixes.
    WrongSource,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [DropReason; 8] = [
        DropReason::Denied,
        DropReason::Invalid,
        DropReason::Leak,
        DropReason::Spoofed,
        DropReason::Stranger,
        DropReason::Transit,
        DropReason::TunnelPort,
        DropReason::WrongSource,
    ];

    /// The name in metrics, in `status`, and of the table's counter.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Denied => "denied",
            DropReason::Invalid => "invalid",
            DropReason::Leak => "leak",
            DropReason::Spoofed => "spoofed",
            DropReason::Stranger => "stranger",
            DropReason::Transit => "transit",
            DropReason::TunnelPort => "tunnel-port",
            DropReason::WrongSource => "wrong-source",
        }
    }
}

/// Why the filter could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The program nft is not installed.
    #[error("the nft program is missing: install the Debian package nftables")]
    Missing,
    /// The program could not be run.
    #[error("cannot run nft")]
    Run(#[source] io::Error),
    /// The program did not finish.
    #[error("nft did not finish within {0:?}")]
    Timeout(Duration),
    /// The program, or the kernel, refused.
    #[error("nft refused: {stderr}")]
    Refused {
        /// The first lines of its error output, joined.
        stderr: String,
    },
    /// JSON from or for the program could not be read or written.
    #[error("nft gave an answer that is not understood")]
    Answer(#[source] serde_json::Error),
}

/// An idle connection must outlast Fabric's gRPC keepalive of 60 s by far.
const LEAST_IDLE: Duration = Duration::from_secs(600);

/// The time after which the kernel forgets an idle TCP connection, if that is too soon for a gRPC
/// connection with a keepalive of 60 s: its packets would then be dropped as
/// [`DropReason::Denied`]. `None` if it is long enough (the kernel's default is 5 days), or if no
/// filter is in force yet.
pub fn short_idle_timeout() -> Option<Duration> {
    let seconds = sysctl::read("net/netfilter/nf_conntrack_tcp_timeout_established").ok()?;
    let timeout = Duration::from_secs(seconds.parse().ok()?);

    (timeout < LEAST_IDLE).then_some(timeout)
}
