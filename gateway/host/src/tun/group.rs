//! [`set`]: puts an interface into a group (`ip link set DEVICE group NUMBER`), without a runtime.

use std::io;

use rtnetlink::packet_core::{
    Emitable as _, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

/// Length of a netlink header (RFC 3549, section 2.2).
const HEADER: usize = 16;

// linux/rtnetlink.h and linux/if_link.h.
const RTM_SETLINK: u16 = 19;
const IFLA_GROUP: u16 = 27;

/// Buffer for the answer, which is available at once: the kernel handles a request inside the call
/// that sends it.
const ANSWER: usize = 4096;

/// Puts interface `index` of this thread's network namespace into `group`.
pub(super) fn set(index: u32, group: u32) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(index, group), 0)?;

    let mut answer = Vec::with_capacity(ANSWER);
    socket.recv(&mut answer, libc::MSG_DONTWAIT)?;
    let answer = NetlinkBuffer::new_checked(answer.as_slice()).map_err(io::Error::other)?;

    // An acknowledgement is an error of number 0.
    let number = answer
        .payload()
        .first_chunk()
        .copied()
        .map(i32::from_ne_bytes);
    match number {
        Some(0) if answer.message_type() == NLMSG_ERROR => Ok(()),
        Some(negative) => Err(io::Error::from_raw_os_error(-negative)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn request(index: u32, group: u32) -> Vec<u8> {
    // `struct ifinfomsg`: family, type, index, flags and the mask of flags to change.
    let mut payload = vec![0; 4];
    payload.extend(index.to_ne_bytes());
    payload.extend([0; 8]);
    payload.extend(8u16.to_ne_bytes());
    payload.extend(IFLA_GROUP.to_ne_bytes());
    payload.extend(group.to_ne_bytes());

    let mut header = NetlinkHeader::default();
    header.length = (HEADER + payload.len()) as u32;
    header.message_type = RTM_SETLINK;
    header.flags = NLM_F_REQUEST | NLM_F_ACK;

    let mut request = vec![0; HEADER];
    header.emit(&mut request);
    request.extend(payload);
    request
}
