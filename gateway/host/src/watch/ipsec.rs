//! [`find`]: IPsec policies of the kernel (`ip xfrm policy`) that take packets between the site and
//! the members: they are encrypted for another host or dropped, whatever routes and filters say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::Prefix;
use ringway_intent::{Finding, Remedy, Way};
use rtnetlink::packet_core::NLM_F_DUMP;

use crate::netlink::raw::{Attributes, RawSocket};

/// linux/netlink.h: `NETLINK_XFRM`.
const PROTOCOL: isize = 6;
/// linux/xfrm.h: `XFRM_MSG_GETPOLICY`.
const GET_POLICY: u16 = 0x15;

/// Offsets in `struct xfrm_userpolicy_info`. It begins with `struct xfrm_selector`.
const DESTINATION: usize = 0;
const SOURCE: usize = 16;
const PORT_MASKS: [usize; 2] = [34, 38];
const FAMILY: usize = 40;
const LENGTHS: [usize; 2] = [42, 43];
const TRANSPORT: usize = 44;
const INTERFACE: usize = 48;
const PRIORITY: usize = 152;
const DIRECTION: usize = 160;
const ACTION: usize = 161;
const LENGTH: usize = 168;

/// `enum xfrm_attr_type_t`: what is done with the packets, the mark that they must bear, and the
/// number of the interface that they must pass.
const TEMPLATES: u16 = 5;
const MARK: u16 = 21;
const INTERFACE_ID: u16 = 31;

/// A way of packets that has policies of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Out of this host, forwarded or not.
    Out,
    /// Forwarded.
    Forward,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    direction: Direction,
    source: Prefix,
    destination: Prefix,
    /// The lowest counts.
    priority: u32,
    /// Lets packets pass as they are.
    passes: bool,
}

/// The first policy that takes packets of some of `ways`. None where the kernel has no IPsec.
pub(super) fn find(ways: &[Way]) -> Option<Finding> {
    let policies = read().unwrap_or_else(|error| {
        tracing::debug!(%error, "The IPsec policies cannot be read");
        Vec::new()
    });
    if policies.is_empty() {
        return None;
    }

    ways.iter().find_map(|way| {
        let out = deciding(&policies, Direction::Out, way.host, way.remote);
        let back = deciding(&policies, Direction::Forward, way.remote, way.host);
        let policy = out.or(back)?;
        Some(finding(policy, way))
    })
}

fn read() -> io::Result<Vec<Policy>> {
    let mut policies = Vec::new();

    let mut socket = match RawSocket::open(PROTOCOL) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(policies),
        opened => opened?,
    };
    socket.ask(GET_POLICY, NLM_F_DUMP, &[], |_, message| {
        policies.extend(policy(message));
    })?;
    Ok(policies)
}

/// `None` for what is of another kind or concerns some packets of its addresses only.
fn policy(message: &[u8]) -> Option<Policy> {
    let (info, attributes) = message.split_at_checked(LENGTH)?;
    let attributes = Attributes(attributes);
    let direction = match info[DIRECTION] {
        1 => Direction::Out,
        2 => Direction::Forward,
        _ => return None,
    };

    let asks_for_port = PORT_MASKS.iter().any(|at| info[*at..][..2] != [0, 0]);
    let of_interface = info[INTERFACE..][..4] != [0; 4];
    let has = |kind: u16| attributes.find(kind).unwrap_or_default();
    // What is forwarded has no mark; a mark and its mask follow each other.
    let is_marked = has(MARK).get(..4).is_some_and(|mark| mark != [0; 4]);
    let of_number = has(INTERFACE_ID).iter().any(|byte| *byte != 0);
    if asks_for_port || of_interface || is_marked || of_number {
        return None;
    }
    // TCP stands for everything.
    if !matches!(info[TRANSPORT], 0 | 6) {
        return None;
    }

    Some(Policy {
        direction,
        source: prefix(info, SOURCE, info[LENGTHS[1]])?,
        destination: prefix(info, DESTINATION, info[LENGTHS[0]])?,
        priority: u32::from_ne_bytes(*info[PRIORITY..].first_chunk()?),
        passes: info[ACTION] == 0 && has(TEMPLATES).is_empty(),
    })
}

fn prefix(info: &[u8], at: usize, length: u8) -> Option<Prefix> {
    let bytes: &[u8; 16] = info[at..].first_chunk()?;
    let address = match i32::from(u16::from_ne_bytes(*info[FAMILY..].first_chunk()?)) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        _ => IpAddr::V6(Ipv6Addr::from(*bytes)),
    };

    format!("{address}/{length}").parse().ok()
}

/// The policy that takes a packet, unless it passes as it is.
fn deciding(
    policies: &[Policy],
    direction: Direction,
    source: IpAddr,
    destination: IpAddr,
) -> Option<&Policy> {
    let concerned = policies.iter().filter(|policy| {
        policy.direction == direction
            && policy.source.contains(source)
            && policy.destination.contains(destination)
    });
    // The first one of those with the lowest priority.
    let first = concerned.min_by_key(|policy| policy.priority);

    first.filter(|policy| !policy.passes)
}

fn finding(policy: &Policy, way: &Way) -> Finding {
    let Policy {
        source,
        destination,
        priority,
        ..
    } = policy;
    let ours = match policy.direction {
        Direction::Out => source,
        Direction::Forward => destination,
    };
    let member = &way.prefix;

    // A policy with the same addresses cannot be put in front of one of the lowest priority.
    let remedy = match priority {
        0 => format!(
            "ip xfrm policy   # then exclude {member} from what its program protects, or give its \
             policy a priority above 0"
        ),
        _ => format!(
            "ip xfrm policy add src {ours} dst {member} dir out priority {before} && \
             ip xfrm policy add src {member} dst {ours} dir fwd priority {before}",
            before = priority.saturating_sub(1)
        ),
    };
    Finding {
        name: "foreign filter ipsec".into(),
        what: format!(
            "an IPsec policy ({source} to {destination}) takes packets between {} and {member}",
            way.interface
        ),
        remedy: Remedy::command(remedy),
    }
}
