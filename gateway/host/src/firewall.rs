//! The guard: packets with addresses of the mesh enter and leave this host by the TUN device only.
//! It is one nftables table of our own (see `guard`). The data plane has already judged what comes
//! out of the TUN.
//!
//! The table (family `inet`, named like the TUN) is replaced in one transaction, so a packet never
//! meets half of it. It only drops, and no rule uses connection tracking: packets that another
//! table of the host drops stay dropped.
//!
//! Packets to the tunnel port neither enter nor leave by the TUN (no tunnel in a tunnel), and what
//! enters it, from this host or through it, must come from the site's prefixes.
//!
//! The table outlives the daemon, like the `unreachable` routes: forwarding stays on for the site's
//! interfaces, so that hosts get an answer, and the table restricts it to the mesh.

mod conntrack;
mod content;
mod draft;
mod guard;
pub mod isolation;
mod nft;
mod rules;
mod terms;
mod untracking;

use std::io;
use std::time::Duration;

#[cfg(test)]
pub(crate) mod testing;

pub use conntrack::is_unused as is_tracking_unused;
pub use guard::{Restriction, Surroundings};
pub use nft::Nft;
pub(crate) use nft::PROGRAMS;

/// Why the guard dropped packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Sent to a member's prefix by another interface than the TUN, or out of the TUN by one that
    /// does not lead into the site.
    Leak,
    /// The source is an address of the mesh, and the interface is not one where it can arrive.
    Spoofed,
    /// From an interface that forwards for the mesh only, to another destination.
    Transit,
    /// A tunnel inside the tunnel.
    TunnelPort,
    /// Sent into the TUN, with a source outside the site's prefixes.
    WrongSource,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [DropReason; 5] = [
        DropReason::Leak,
        DropReason::Spoofed,
        DropReason::Transit,
        DropReason::TunnelPort,
        DropReason::WrongSource,
    ];

    /// The name in metrics, in `status`, and of the table's counter.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Leak => "leak",
            DropReason::Spoofed => "spoofed",
            DropReason::Transit => "transit",
            DropReason::TunnelPort => "tunnel_port",
            DropReason::WrongSource => "wrong_source",
        }
    }
}

/// Why the guard could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The program nft is not installed.
    #[error("the nft program is missing: install the Debian package nftables")]
    Missing,
    /// The program could not be run.
    #[error("cannot run nft")]
    Run(#[source] io::Error),
    /// The program did not finish within the time limit.
    #[error("nft did not finish within {0:?}")]
    Timeout(Duration),
    /// The program, or the kernel, refused the command.
    #[error("nft refused: {stderr}")]
    Refused {
        /// The first lines of its error output, joined.
        stderr: String,
    },
    /// JSON from or for the program could not be read or written.
    #[error("nft gave an answer that is not understood")]
    Answer(#[source] serde_json::Error),
}
