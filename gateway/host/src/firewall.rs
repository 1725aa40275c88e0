//! The packet filter: what the other organizations may reach, as one nftables table of our own.
//!
//! The table (family `inet`, named like the TUN) is replaced in one transaction, so that no packet ever
//! meets half a policy, and established connections go on. It only ever drops: what another table of the
//! host drops stays dropped.
//!
//! Semantics, of packets that come out of the TUN, to this host or through it, in this order:
//! 1. to the tunnel port: dropped (no tunnel in a tunnel);
//! 2. from a source outside every member's prefixes: dropped;
//! 3. of no known connection and unfit to open one: dropped; of an established connection, or an ICMP
//!    error about one (packet too big included): accepted;
//! 4. DNS to this gateway's listeners: accepted, unless the list of rules is empty;
//! 5. without a list of rules: ICMP echo to the site's prefixes accepted; with one: what a rule allows
//!    (ICMP echo needs a rule of its own, an empty list allows nothing new);
//! 6. everything else: dropped.
//!
//! Packets into the TUN, from this host or through it, must come from the site's prefixes and not go to
//! the tunnel port. Where this daemon switched forwarding on, other forwarding is dropped (`guard_forwarding`).
//!
//! A removed rule ends no established connection; a removed member does (2. comes before 3.).
//!
//! The data plane has checked sources and destinations before; the filter decides on services, and is a
//! second pair of eyes.

mod draft;
mod memory;
mod nft;
mod rules;
mod terms;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use ringway_intent::PolicySpec;

use super::sysctl;

pub use memory::MemoryFirewall;
pub use nft::Nft;

/// The filter of a running daemon. Reloads change it, whoever asks for its drops reads it: one at a time, and
/// none of them on the loop, since the program may take its time.
pub type Filter = Arc<tokio::sync::Mutex<Nft>>;

/// Why the filter dropped packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// No rule allows it.
    Denied,
    /// Of no connection, and unfit to open one.
    Invalid,
    /// From the TUN, with a source that no member owns.
    Stranger,
    /// Between other interfaces, on a host that forwards for the tunnel only.
    Transit,
    /// A tunnel inside the tunnel.
    TunnelPort,
    /// Into the TUN, with a source outside the site's prefixes.
    WrongSource,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [DropReason; 6] = [
        DropReason::Denied,
        DropReason::Invalid,
        DropReason::Stranger,
        DropReason::Transit,
        DropReason::TunnelPort,
        DropReason::WrongSource,
    ];

    /// As metrics, `status` and the table's counters name it.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Denied => "denied",
            DropReason::Invalid => "invalid",
            DropReason::Stranger => "stranger",
            DropReason::Transit => "transit",
            DropReason::TunnelPort => "tunnel-port",
            DropReason::WrongSource => "wrong-source",
        }
    }
}

/// The filter of one daemon.
pub trait Firewall {
    /// Replaces what is in force by `spec`, in one transaction. On an error nothing has changed.
    fn apply(
        &mut self,
        spec: &PolicySpec,
    ) -> impl Future<Output = Result<(), FirewallError>> + Send;

    /// Takes the filter away; no error if there is none. To fail closed, only after the TUN is gone.
    fn remove(&mut self) -> impl Future<Output = Result<(), FirewallError>> + Send;

    /// Packets dropped so far, across every [`Firewall::apply`].
    fn drops(
        &mut self,
    ) -> impl Future<Output = Result<BTreeMap<DropReason, u64>, FirewallError>> + Send;
}

/// Why the filter is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The program is not installed.
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
        /// What it said, in one line.
        stderr: String,
    },
    /// The program's answer could not be read.
    #[error("nft gave an answer that is not understood")]
    Answer(#[source] serde_json::Error),
}

/// An idle connection must outlast Fabric's gRPC keepalive of 60 s by far.
const LEAST_IDLE: Duration = Duration::from_secs(600);

/// After how long the kernel forgets an idle TCP connection, if that is too soon for a gRPC connection that
/// is kept alive every 60 s; its packets would then be dropped as [`DropReason::Denied`]. The kernel's
/// default is 5 days. Known only once a filter is in force.
pub fn short_idle_timeout() -> Option<Duration> {
    let seconds = sysctl::read("net/netfilter/nf_conntrack_tcp_timeout_established").ok()?;
    let timeout = Duration::from_secs(seconds.parse().ok()?);
    (timeout < LEAST_IDLE).then_some(timeout)
}
