//! [`Phase`]: how far the daemon is on its way out.
//!
//! ```text
//!   Running ── Shutdown ──► Leaving ── mesh is drained ──► Drained ── ports answered ──► Stopped
//! ```
//! From Leaving on no change is begun. In Drained only the answers of the host's ports count: the
//! last routes must be in the kernel, and no guard may be on its way to it, when the daemon stops.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    Leaving,
    Drained,
    Stopped,
}
