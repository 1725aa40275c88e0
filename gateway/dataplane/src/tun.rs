//! [`Tun`]: packets in and out of the TUN device, each with its [`Offload`] in front, without waiting.
//!
//! Owns the descriptor's use; not the device, which `tun-rs` has made and configured.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tun_rs::SyncDevice;

use crate::offload::OFFLOAD_LEN;
use crate::sys::queue;

/// The longest packet there is, with its offload header: IPv6 counts its payload only.
pub(crate) const MAX_READ: usize = OFFLOAD_LEN + 40 + 0xffff;

/// The device, used by the two threads of a lane.
pub(crate) struct Tun {
    /// The lane's queue. That of lane 0 is the same open file as the device's.
    queue: File,
    /// Where all lanes write.
    out: Arc<File>,
    joins_udp: bool,
}

impl Tun {
    /// The device for as many lanes, each with a queue of its own. Error: `InvalidInput`, if the device was opened
    /// without offloads, or for one queue although there are to be more.
    pub(crate) fn open(device: &SyncDevice, lanes: usize) -> io::Result<Vec<Tun>> {
        if !device.tcp_gso() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the TUN device has no offloads",
            ));
        }
        let queue = |device: &SyncDevice| -> io::Result<File> {
            device.set_nonblocking(true)?;
            Ok(device.as_fd().try_clone_to_owned()?.into())
        };
        let first = queue(device)?;
        let more = (1..lanes)
            .map(|_| queue(&device.try_clone()?))
            .collect::<io::Result<Vec<_>>>()?;
        let out = Arc::new(match lanes {
            1 => first.try_clone()?,
            _ => writer(device)?,
        });
        let tun = |queue| Tun {
            queue,
            out: out.clone(),
            joins_udp: device.udp_gso(),
        };
        Ok([first].into_iter().chain(more).map(tun).collect())
    }

    /// True if the kernel cuts UDP too (Linux 6.2).
    pub(crate) fn joins_udp(&self) -> bool {
        self.joins_udp
    }

    /// Reads one offload header and packet, of at most [`MAX_READ`] bytes.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.queue).read(buffer)
    }

    /// Writes one offload header and packet, which lie in these parts.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&*self.out).write_vectored(parts).map(|_| ())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// A queue of a device with several, for writing only. A packet that is written to a queue which the kernel also
/// hands packets to draws the packets of the opposite direction there; this one leaves all flows where their hashes
/// put them, from the first packet on.
fn writer(device: &SyncDevice) -> io::Result<File> {
    let writer = device.try_clone()?;
    writer.set_nonblocking(true)?;
    queue::detach(writer.as_fd())?;
    Ok(writer.as_fd().try_clone_to_owned()?.into())
}
