//! The interface by which packets arrive: [`interface_of`] for an accepted TCP connection;
//! [`index_of`] an interface's name.
//!
//! tcp(7) has no option for it. But the kernel records the interface of the segment that completed
//! the handshake, and returns it as the packet information of the connection.
//!
//! Soundness: getsockopt(2) writes at most `size` bytes to a buffer of that length and says how
//! many. The socket is borrowed, so that its descriptor is open during the call. What the kernel
//! wrote is read as bytes.
#![expect(unsafe_code, reason = "there is no safe wrapper of these options")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};

/// Room for a few control messages.
const ROOM: usize = 256;

/// A control message before its contents: length, level and type (cmsg(3)).
const HEADER: usize = size_of::<libc::cmsghdr>();

/// How a family names the packet information.
struct Names {
    level: libc::c_int,
    /// The option that returns it.
    options: libc::c_int,
    /// The type of the control message.
    kind: libc::c_int,
    /// Offset of the interface's index.
    offset: usize,
}

/// ip(7): `struct in_pktinfo` begins with the index.
const V4: Names = Names {
    level: libc::IPPROTO_IP,
    options: libc::IP_PKTOPTIONS,
    kind: libc::IP_PKTINFO,
    offset: 0,
};

/// ipv6(7): in `struct in6_pktinfo` the index follows the address.
const V6: Names = Names {
    level: libc::IPPROTO_IPV6,
    options: libc::IPV6_2292PKTOPTIONS,
    kind: libc::IPV6_PKTINFO,
    offset: 16,
};

/// The index of the interface on which the handshake of an accepted TCP connection was completed.
pub fn interface_of(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut family = [0; size_of::<libc::c_int>()];
    get(socket, libc::SOL_SOCKET, libc::SO_DOMAIN, &mut family)?;
    // The kernel returns it only if the socket has requested packet information.
    let names = match libc::c_int::from_ne_bytes(family) {
        libc::AF_INET => {
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
            V4
        }
        libc::AF_INET6 => {
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
            V6
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };

    let mut buffer = [0; ROOM];
    let len = get(socket, names.level, names.options, &mut buffer)?;
    index_in(&buffer[..len], &names).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The index in the control messages that the kernel wrote.
fn index_in(mut messages: &[u8], names: &Names) -> Option<u32> {
    loop {
        let len = usize::from_ne_bytes(*messages.first_chunk()?);
        let rest = messages.get(size_of::<usize>()..HEADER)?;
        let level = libc::c_int::from_ne_bytes(*rest.first_chunk()?);
        let kind = libc::c_int::from_ne_bytes(*rest.last_chunk()?);
        let contents = messages.get(HEADER..len)?;

        if level == names.level && kind == names.kind {
            let index = contents.get(names.offset..)?.first_chunk()?;
            return Some(u32::from_ne_bytes(*index));
        }

        // CMSG_ALIGN of cmsg(3).
        messages = messages.get(len.next_multiple_of(size_of::<usize>())..)?;
    }
}

/// The index of the interface `name`, in this thread's network namespace.
pub fn index_of(name: &str) -> io::Result<u32> {
    Ok(if_nametoindex(name)?)
}

/// Reads an option into `buffer`; how many bytes it has.
fn get(socket: BorrowedFd<'_>, level: i32, name: i32, buffer: &mut [u8]) -> io::Result<usize> {
    let mut size = buffer.len() as libc::socklen_t;
    // SAFETY: `buffer` is live and has `size` bytes; getsockopt(2) writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            buffer.as_mut_ptr().cast(),
            &raw mut size,
        )
    };

    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((size as usize).min(buffer.len()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_connection_of_this_host_comes_by_the_loopback_interface() {
        let loopback = index_of("lo").unwrap();

        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let interface = interface_of(accepted.as_fd()).unwrap();
            assert_eq!(interface, loopback, "{listen}");
        }
    }

    #[test]
    fn foreign_control_messages_are_skipped_and_truncated_ones_ignored() {
        let other = [
            &(HEADER + 1).to_ne_bytes()[..],
            &[9; 2 * size_of::<libc::c_int>()],
            &[0; 8],
        ];
        let info = [
            &(HEADER + 12).to_ne_bytes()[..],
            &V4.level.to_ne_bytes(),
            &V4.kind.to_ne_bytes(),
            &7u32.to_ne_bytes(),
            &[0; 8],
        ];
        let messages = [other.concat(), info.concat()].concat();

        assert_eq!(index_in(&messages, &V4), Some(7));
        for len in 0..messages.len() {
            assert_eq!(index_in(&messages[..len], &V4), None, "{len} bytes");
        }
        assert_eq!(index_in(&messages, &V6), None);
    }

    #[test]
    fn an_interface_that_does_not_exist_has_no_index() {
        assert!(index_of("no-such-if").is_err() && index_of("a\0b").is_err());
    }
}
