//! [`Tun`]: packets in and out of the TUN device, each with its [`Offload`] in front, without waiting.
//!
//! Owns the descriptor's use; not the device, which `tun-rs` has made and configured.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use tun_rs::SyncDevice;

use crate::offload::OFFLOAD_LEN;

/// The longest packet there is, with its offload header: IPv6 counts its payload only.
pub(crate) const MAX_READ: usize = OFFLOAD_LEN + 40 + 0xffff;

/// The device, used by both threads.
pub(crate) struct Tun {
    /// The same open file as the device's.
    file: File,
    joins_udp: bool,
}

impl Tun {
    /// Error: `InvalidInput`, if the device was opened without offloads.
    pub(crate) fn new(device: &SyncDevice) -> io::Result<Tun> {
        if !device.tcp_gso() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the TUN device has no offloads"));
        }
        device.set_nonblocking(true)?;
        Ok(Tun { file: device.as_fd().try_clone_to_owned()?.into(), joins_udp: device.udp_gso() })
    }

    /// True if the kernel cuts UDP too (Linux 6.2).
    pub(crate) fn joins_udp(&self) -> bool {
        self.joins_udp
    }

    /// Reads one offload header and packet, of at most [`MAX_READ`] bytes.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Writes one offload header and packet, which lie in these parts.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.file).write_vectored(parts).map(|_| ())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
