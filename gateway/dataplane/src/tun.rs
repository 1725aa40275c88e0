//! [`Tun`]: one queue of a TUN device, read by a lane's sending thread and written by its receiving
//! thread.
//!
//! [`TunQueue`] is the kernel's, [`ChannelTun`] a version in memory for tests, simulation and
//! fuzzing. The threads are generic over the trait, so that its calls are static and cost nothing.

mod byte_limit;
mod channel;
mod queue;

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

pub use self::channel::{ChannelHost, ChannelTun};
pub(crate) use self::queue::TunQueue;
use crate::offload::OFFLOAD_LEN;

/// Bytes of the longest read: an offload header and the longest IPv6 packet, whose length field
/// leaves out the fixed header of 40 bytes.
pub(crate) const MAX_READ: usize = OFFLOAD_LEN + 40 + 0xffff;

/// A TUN device with offloads (IFF_VNET_HDR): each packet has a `virtio_net_hdr` of 10 bytes in
/// front of it, which may say that it is a super-packet of many segments. Nothing here waits;
/// poll(2) on the descriptor does.
pub trait Tun: AsFd + Send + Sync + 'static {
    /// True if the reader of what is written cuts UDP super-packets, too (Linux 6.2).
    fn segments_udp(&self) -> bool;

    /// Reads one packet and gives its length, offload header included. Errors: `WouldBlock` if
    /// there is none; `EBADF` or `EBADFD` if the device is gone; any other may pass, as when it is
    /// down.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes one packet, offload header first, that lies in these parts.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()>;
}
