//! Identifiers of connections, dials, sessions and starts of a daemon.

use std::fmt;

/// One connection of the control plane, dialled or accepted. The shell counts them; a number is
/// never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One [`Action::Dial`](crate::Action::Dial). The core counts them; a number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// The number of a session in data packets. The receiving gateway chooses it: random, not zero, and
/// unique among its sessions (gateway/PROTOCOL.md, "Data packets").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionIndex(pub u32);

/// 16 random bytes, drawn at each start of a daemon. They distinguish a restart from a second
/// connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
