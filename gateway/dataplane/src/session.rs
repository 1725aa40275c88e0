//! The two directions of a session: [`Outgoing`] seals, [`Incoming`] opens.
//!
//! Both are shared between the snapshot, the threads and the control plane, and hold what outlives a
//! snapshot: packet numbers, replay window, keys of the phases, the peer's address. Nothing here locks.
//!
//! Phases go by count alone: phase p carries the packet numbers p·2²⁶ to (p+1)·2²⁶ − 1, so that both ends
//! know from the number which key a packet belongs to, and the phase byte is a check.

mod budget;
mod incoming;
mod outgoing;
mod phases;

pub use incoming::Incoming;
pub(crate) use incoming::Opened;
pub use outgoing::{Outgoing, Path};

/// Packets sealed under one key.
const PACKETS_PER_PHASE: u64 = 1 << 26;

/// Packet numbers of a session: sealing stops behind phase 255.
const PACKETS: u64 = 256 * PACKETS_PER_PHASE;

/// The phase a packet number belongs to; `None` beyond the last.
fn phase_of(number: u64) -> Option<u8> {
    u8::try_from(number / PACKETS_PER_PHASE).ok()
}
