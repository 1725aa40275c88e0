//! A link emulator: what two ends of a WAN do to each other's packets, in user space, on layer 3.
//!
//! It stands between two TUN devices of one namespace, which routes into them whatever shall
//! suffer: the tunnel and the un-tunnelled reference alike. It owns delay, jitter, loss,
//! reordering, duplication, corruption, rate, a smaller MTU with or without ICMP, address
//! translation with rebinding, and forged sources; it does not own routes ([`running`] makes those
//! of a laboratory).
//!
//! ```text
//!   left TUN ──► [mtu] ─► NAT ─► out:  loss, duplicates, corruption, rate, delay ──► right TUN
//!   left TUN ◄── NAT ◄─ back: loss, duplicates, corruption, rate, delay ◄─ [mtu] ◄── right TUN
//! ```
//! [`Link`] is pure: packets, commands and the time go in, packets come out. A seed and the same
//! input give the same output, always. [`shell`] is its only contact with devices, clocks and
//! standard input.
//!
//! The TUN devices have no offloads: super-packets are cut by the kernel in front of them, so that
//! packets of the size of the MTU arrive here, as on a wire. `tests/bench/wan --ceiling` says how
//! much it carries.
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
