//! [`find`]: IPsec policies of the kernel (`ip xfrm policy`) that apply to packets between the site
//! and the members. Such packets are encrypted for another host, or dropped, whatever routes and
//! filters say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::Prefix;
use ringway_intent::{Finding, HostPair, Remedy};
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

/// `enum xfrm_attr_type_t`: the transforms of the packets, the mark that they must have, and the
/// XFRM interface that they must pass.
const TEMPLATES: u16 = 5;
const MARK: u16 = 21;
const INTERFACE_ID: u16 = 31;

/// The direction of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Packets that leave this host, forwarded or not.
    Out,
    /// Forwarded packets.
    Forward,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    direction: Direction,
    source: Prefix,
    destination: Prefix,
    /// The policy with the lowest number applies.
    priority: u32,
    /// A bypass policy: packets pass without IPsec.
    is_bypass: bool,
}

/// The first policy that applies to packets of one of `pairs`. `None` if the kernel has no IPsec.
pub(super) fn find(pairs: &[HostPair]) -> Option<Finding> {
    let policies = read().unwrap_or_else(|error| {
        tracing::debug!(%error, "The IPsec policies cannot be read");
        Vec::new()
    });
    if policies.is_empty() {
        return None;
    }

    pairs.iter().find_map(|pair| {
        let out = applying(&policies, Direction::Out, pair.host, pair.remote);
        let back = applying(&policies, Direction::Forward, pair.remote, pair.host);
        let policy = out.or(back)?;
        Some(finding(policy, pair))
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

/// `None` for a policy of another direction, or for one that applies only to some of the packets
/// between its addresses.
fn policy(message: &[u8]) -> Option<Policy> {
    let (info, attributes) = message.split_at_checked(LENGTH)?;
    let attributes = Attributes(attributes);
    let direction = match info[DIRECTION] {
        1 => Direction::Out,
        2 => Direction::Forward,
        _ => return None,
    };

    let matches_port = PORT_MASKS.iter().any(|at| info[*at..][..2] != [0, 0]);
    let matches_interface = info[INTERFACE..][..4] != [0; 4];
    let has = |kind: u16| attributes.find(kind).unwrap_or_default();
    // Forwarded packets have no mark. The attribute has the mark and its mask.
    let matches_mark = has(MARK).get(..4).is_some_and(|mark| mark != [0; 4]);
    let matches_xfrm_interface = has(INTERFACE_ID).iter().any(|byte| *byte != 0);
    if matches_port || matches_interface || matches_mark || matches_xfrm_interface {
        return None;
    }
    // Any protocol, or TCP, which is the most important one.
    if !matches!(info[TRANSPORT], 0 | 6) {
        return None;
    }

    Some(Policy {
        direction,
        source: prefix(info, SOURCE, info[LENGTHS[1]])?,
        destination: prefix(info, DESTINATION, info[LENGTHS[0]])?,
        priority: u32::from_ne_bytes(*info[PRIORITY..].first_chunk()?),
        is_bypass: info[ACTION] == 0 && has(TEMPLATES).is_empty(),
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

/// The policy that applies to a packet, unless that is a bypass.
fn applying(
    policies: &[Policy],
    direction: Direction,
    source: IpAddr,
    destination: IpAddr,
) -> Option<&Policy> {
    let matching = policies.iter().filter(|policy| {
        policy.direction == direction
            && policy.source.contains(source)
            && policy.destination.contains(destination)
    });
    // Of policies with equal priority, the first one applies.
    let first = matching.min_by_key(|policy| policy.priority);

    first.filter(|policy| !policy.is_bypass)
}

fn finding(policy: &Policy, pair: &HostPair) -> Finding {
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
    let member = &pair.prefix;

    // Nothing can precede a policy of priority 0.
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
            pair.interface
        ),
        remedy: Remedy::command(remedy),
    }
}
