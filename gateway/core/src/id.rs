//! Numbers that name connections, dials, sessions and lifetimes of a daemon.

use std::fmt;

/// One connection of the control plane, dialled or accepted. The shell counts them; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One [`Action::Dial`](crate::Action::Dial). The core counts them; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// What a session is called in the data packets to the gateway that chose it: random, nonzero, unique
/// among that gateway's sessions (DESIGN.md, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionIndex(pub u32);

/// 16 random bytes, drawn once per start of a daemon: tells a restart from a second connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
