//! [`set`]: puts an interface into a group (`ip link set DEVICE group NUMBER`), and [`of`]: reads
//! the group of one. Both without a runtime.

use std::io;

use rtnetlink::packet_core::{
    Emitable as _, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

/// Length of a netlink header (RFC 3549, section 2.2).
const HEADER: usize = 16;

// linux/rtnetlink.h and linux/if_link.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFLA_IFNAME: u16 = 3;
const IFLA_GROUP: u16 = 27;

/// Buffer for the answer, which is available at once: the kernel handles a request inside the call
/// that sends it.
const ANSWER: usize = 32 * 1024;

/// Length of `struct ifinfomsg`, and of the header of an attribute (rtnetlink(7)).
const IFINFOMSG: usize = 16;
const ATTRIBUTE: usize = 4;

/// Puts interface `index` of this thread's network namespace into `group`.
pub(super) fn set(index: u32, group: u32) -> io::Result<()> {
    let answer = ask(&request(index, group))?;
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

/// The group of interface `name` of this thread's network namespace; `None` if there is none.
pub(super) fn of(name: &str) -> io::Result<Option<u32>> {
    let mut payload = vec![0; IFINFOMSG];
    payload.extend(attribute(IFLA_IFNAME, name.as_bytes()));
    let answer = ask(&message(RTM_GETLINK, NLM_F_REQUEST, payload))?;
    let answer = NetlinkBuffer::new_checked(answer.as_slice()).map_err(io::Error::other)?;
    // Anything else is an error: there is no such interface.
    if answer.message_type() != RTM_NEWLINK {
        return Ok(None);
    }

    let attributes = answer.payload().get(IFINFOMSG..).unwrap_or_default();
    Ok(find(attributes, IFLA_GROUP))
}

/// The number in the attribute `kind`.
fn find(mut attributes: &[u8], kind: u16) -> Option<u32> {
    loop {
        let (len, rest) = attributes.split_first_chunk()?;
        let (found, _) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_ne_bytes(*len));
        if u16::from_ne_bytes(*found) == kind {
            let value = attributes.get(ATTRIBUTE..len)?;
            return Some(u32::from_ne_bytes(*value.first_chunk()?));
        }

        // A length of 0 would never end.
        attributes = attributes.get(len.max(ATTRIBUTE).next_multiple_of(4)..)?;
    }
}

fn ask(request: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;

    let mut answer = Vec::with_capacity(ANSWER);
    socket.recv(&mut answer, libc::MSG_DONTWAIT)?;
    Ok(answer)
}

fn request(index: u32, group: u32) -> Vec<u8> {
    // `struct ifinfomsg`: family, type, index, flags and the mask of flags to change.
    let mut payload = vec![0; 4];
    payload.extend(index.to_ne_bytes());
    payload.extend([0; 8]);
    payload.extend(attribute(IFLA_GROUP, &group.to_ne_bytes()));

    message(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, payload)
}

/// An attribute of at most 255 bytes, with its padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);

    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, flags: u16, payload: Vec<u8>) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.length = (HEADER + payload.len()) as u32;
    header.message_type = kind;
    header.flags = flags;

    let mut request = vec![0; HEADER];
    header.emit(&mut request);
    request.extend(payload);
    request
}
