//! A link emulator: what a bad WAN does to the packets between two ends, in user space, on layer 3.
//!
//! It connects two TUN devices of one network namespace. The namespace routes into them the packets
//! to be impaired, those of a tunnel as well as those of the measurement without one. The emulator
//! owns delay, jitter, loss, reordering, duplication, corruption, rate, a smaller MTU with or
//! without ICMP errors, address translation with rebinding, and forged sources. It does not own
//! routes; [`running`] adds those of a laboratory.
//!
//! ```text
//!   left TUN ──► [mtu] ─► NAT ─► out:  loss, duplicates, corruption, rate, delay ──► right TUN
//!   left TUN ◄── NAT ◄─ back: loss, duplicates, corruption, rate, delay ◄─ [mtu] ◄── right TUN
//! ```
//! [`Link`] is pure: packets, commands and the time go in, packets come out. The same seed and
//! input always give the same output. Only [`shell`] touches devices, clocks and standard input.
//!
//! The TUN devices have no offloads: the kernel cuts large segments before them, so that packets no
//! longer than the MTU arrive here, as on a wire. `tests/bench/wan --ceiling` measures how much the
//! emulator carries.
//!
//! Reading order: [`conditions`], [`pipe`], [`link`], [`command`], [`shell`].

pub mod bottleneck;
pub mod checksum;
pub mod command;
pub mod conditions;
pub mod counts;
pub mod fragment;
pub mod icmp;
pub mod link;
pub mod nat;
pub mod packet;
pub mod pipe;
pub mod rng;
pub mod running;
pub mod shell;

pub use command::Command;
pub use conditions::{Conditions, Mtu, Rate, Share};
pub use link::{End, Link};
pub use packet::Packet;
pub use running::Emulator;
