//! recvmsg(2) into an ordinary byte buffer.
//!
//! Soundness: `&mut [u8]` is handed to `socket2` as `&mut [MaybeUninit<u8>]`, which has the same
//! layout. That would be wrong if anything wrote uninitialized bytes through it. `socket2` promises
//! not to: it passes the slice to the kernel, which writes values.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef};

use super::control;
use crate::udp::Metadata;

/// Receives one datagram, or several that the kernel has joined, without waiting.
pub(crate) fn receive(socket: &SockRef<'_>, buffer: &mut [u8]) -> io::Result<Metadata> {
    let mut from = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut ancillary = [0; control::CAPACITY];

    // SAFETY: recvmsg(2) below is the only use of both slices and writes initialized bytes.
    let uninit = unsafe { [as_uninit(buffer), as_uninit(&mut ancillary)] };
    let [buffer, control] = uninit;

    let mut buffers = [MaybeUninitSlice::new(buffer)];
    let mut message = MsgHdrMut::new()
        .with_addr(&mut from)
        .with_buffers(&mut buffers)
        .with_control(control);

    let len = socket.recvmsg(&mut message, libc::MSG_DONTWAIT)?;
    let ancillary_len = message.control_len().min(control::CAPACITY);

    let from = from.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut metadata = Metadata::new(len, plain(from));
    control::read(&ancillary[..ancillary_len], &mut metadata);
    Ok(metadata)
}

/// An IPv4-mapped address as the IPv4 address that it stands for.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// # Safety
/// No uninitialized byte may be written to the slice that is returned: it is read as `u8`
/// afterwards.
unsafe fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; the caller writes only initialized bytes.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
