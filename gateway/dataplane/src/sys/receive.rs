//! recvmsg(2) into an ordinary byte buffer.
//!
//! Soundness: the one block turns `&mut [u8]` into `&mut [MaybeUninit<u8>]`, which has the same layout. That
//! would be wrong if anybody wrote uninitialized bytes through it; only the kernel writes, and it writes
//! values.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef};

use super::control::{self, ROOM, Told};

/// Receives one datagram, or several that the kernel has joined, without waiting. Gives their length, where
/// they came from (IPv4 in its plain form) and what else was told.
pub(crate) fn receive(
    socket: &SockRef<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr, Told)> {
    let mut from = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut room = [0; ROOM];
    let (len, told_len) = {
        let mut buffers = [MaybeUninitSlice::new(as_uninit(buffer))];
        let mut message = MsgHdrMut::new()
            .with_addr(&mut from)
            .with_buffers(&mut buffers)
            .with_control(as_uninit(&mut room));
        let len = socket.recvmsg(&mut message, libc::MSG_DONTWAIT)?;
        (len, message.control_len())
    };
    let from = from.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((len, plain(from), control::read(&room[..told_len.min(ROOM)])))
}

/// An IPv4 address is never mapped.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the callers above let only the kernel write.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}
