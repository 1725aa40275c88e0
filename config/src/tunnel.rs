//! [`Tunnel`]: `[tunnel]` of `gateway.toml`, what happens while a peer cannot be reached.

use std::time::Duration;

/// How hosts learn that a tunnel is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// A tunnel that is dead for this long ends the TCP connections through it.
    pub reset_after: Duration,
    /// Until then since the tunnel died, new connections are refused at once; afterwards they are
    /// held.
    pub fail_fast: Duration,
    /// Most connection requests that are held.
    pub held_syns: u32,
}
