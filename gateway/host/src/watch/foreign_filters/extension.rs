//! [`extension`] and [`target`]: matches and targets of iptables, as nftables expressions. Both
//! iptables-legacy and iptables-nft have them in the kernel's format (linux/netfilter/xt_*.h).

use super::evaluate::{EQUAL, META_MARK, NOT_EQUAL, TRANSPORT_HEADER};
use super::expression::{Expression, Ports, Verdict};

/// The register that converted rules use.
pub(super) const REGISTER: u32 = 1;

/// linux/netfilter/xt_conntrack.h, `struct xt_conntrack_mtinfo` (revisions 2 and 3): offsets of the
/// flags and of the mask of states, and the only flag that is understood.
const MATCH_FLAGS: usize = 146;
const INVERT_FLAGS: usize = 148;
const STATE_MASK: usize = 150;
const XT_CONNTRACK_STATE: u16 = 1;

/// linux/netfilter/xt_tcpudp.h, `struct xt_tcp` and `struct xt_udp`: offsets of the ranges of ports
/// in both; of TCP's option, mask and value of the flags, and inversions; of UDP's inversions.
const SOURCE_PORTS: usize = 0;
const DESTINATION_PORTS: usize = 4;
const TCP_OPTION: usize = 8;
const TCP_FLAGS_MASK: usize = 9;
const TCP_FLAGS: usize = 10;
const TCP_INVERSIONS: usize = 11;
const UDP_INVERSIONS: usize = 8;
/// The bits of the inversions.
const NOT_SOURCE_PORTS: u8 = 1;
const NOT_DESTINATION_PORTS: u8 = 2;
const NOT_FLAGS: u8 = 4;
const KNOWN_INVERSIONS: u8 = NOT_SOURCE_PORTS | NOT_DESTINATION_PORTS | NOT_FLAGS;
/// RFC 9293, section 3.1.
const FLAGS_OFFSET: u32 = 13;

/// linux/netfilter/xt_multiport.h, `struct xt_multiport_v1`: which ports, how many, the ports,
/// which of them begin a range, and whether the match is inverted.
const MULTIPORT_PORTS: usize = 2;
const MULTIPORT_RANGES: usize = 32;
const MULTIPORT_INVERTED: usize = 47;
const MULTIPORT_MOST: usize = 15;

/// linux/netfilter/xt_physdev.h, `struct xt_physdev_info`: which conditions are inverted, which are
/// compared, and the one about bridged packets.
const PHYSDEV_INVERTED: usize = 64;
const PHYSDEV_COMPARED: usize = 65;
const PHYSDEV_IS_BRIDGED: u8 = 4;

/// The iptables match `name`, with the kernel's data `info`. One that is not understood may match
/// or not.
pub(super) fn extension(name: &str, revision: u32, info: &[u8]) -> Vec<Expression> {
    let read = match name {
        "comment" => Some(Vec::new()),
        "conntrack" if revision >= 2 => read_conntrack(info).map(|one| vec![one]),
        "addrtype" if revision == 1 => read_address_types(info).map(|one| vec![one]),
        "multiport" if revision == 1 => read_multiport(info).map(|one| vec![one]),
        "mark" if revision == 1 => read_mark(info),
        "physdev" => read_physdev(info).map(|one| vec![one]),
        "tcp" => read_tcp(info),
        "udp" => read_udp(info),
        _ => None,
    };

    read.unwrap_or_else(|| vec![Expression::Unknown])
}

/// The iptables target `name`, if it is not a verdict.
pub(super) fn target(name: &str) -> Expression {
    match name {
        "REJECT" => Expression::Verdict(Verdict::Drop),
        "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" => {
            Expression::Verdict(Verdict::Translate)
        }
        "MARK" | "CONNMARK" => Expression::SetMark,
        "LOG" | "NFLOG" | "TCPMSS" | "CT" => Expression::Nothing,
        _ => Expression::UnknownTarget,
    }
}

fn read_conntrack(info: &[u8]) -> Option<Expression> {
    // A match on more than the state is not understood.
    let has_only_state = u16_at(info, MATCH_FLAGS)? == XT_CONNTRACK_STATE;
    let is_inverted = u16_at(info, INVERT_FLAGS)? & XT_CONNTRACK_STATE != 0;
    let mask = u32::from(u16_at(info, STATE_MASK)?);

    has_only_state.then_some(Expression::StateMask(if is_inverted {
        !mask
    } else {
        mask
    }))
}

/// linux/netfilter/xt_addrtype.h: `struct xt_addrtype_info_v1`: types of sources and destinations,
/// and flags.
fn read_address_types(info: &[u8]) -> Option<Expression> {
    let types = u16_at(info, 2)?;
    let has_other_conditions = info[..2] != [0, 0] || info.get(4..8)? != [0; 4];

    (!has_other_conditions).then_some(Expression::DestinationType(types))
}

fn read_multiport(info: &[u8]) -> Option<Expression> {
    let (side, count) = (*info.first()?, usize::from(*info.get(1)?));
    let begins = info.get(MULTIPORT_RANGES..MULTIPORT_INVERTED)?;
    let is_inverted = *info.get(MULTIPORT_INVERTED)? != 0;
    let mut ports = (0..count.min(MULTIPORT_MOST))
        .map(|index| Some((u16_at(info, MULTIPORT_PORTS + 2 * index)?, begins[index])));

    let mut ranges = Vec::new();
    while let Some(port) = ports.next() {
        let (first, begins_range) = port?;
        let last = if begins_range != 0 {
            ports.next()??.0
        } else {
            first
        };
        ranges.push(first..=last);
    }
    // `enum xt_multiport_flags`.
    let (source, destination) = match side {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return None,
    };
    Some(Expression::Ports(Ports {
        source,
        destination,
        ranges,
        is_inverted,
    }))
}

/// linux/netfilter/xt_mark.h: `struct xt_mark_mtinfo1`: value, mask, and inversion.
fn read_mark(info: &[u8]) -> Option<Vec<Expression>> {
    let (mark, mask) = (info.get(..4)?, info.get(4..8)?);
    let is_inverted = *info.get(8)? != 0;

    Some(vec![
        Expression::Meta {
            key: META_MARK,
            to: REGISTER,
        },
        masked(mask),
        compare(is_inverted, mark),
    ])
}

/// linux/netfilter/xt_physdev.h, `struct xt_physdev_info`. Our packets are routed, not bridged.
fn read_physdev(info: &[u8]) -> Option<Expression> {
    let (inverted, compared) = (*info.get(PHYSDEV_INVERTED)?, *info.get(PHYSDEV_COMPARED)?);
    let demands_bridged = compared & !inverted & PHYSDEV_IS_BRIDGED != 0;

    demands_bridged.then_some(Expression::Never)
}

fn read_tcp(info: &[u8]) -> Option<Vec<Expression>> {
    let inversions = *info.get(TCP_INVERSIONS)?;
    if info[TCP_OPTION] != 0 || inversions & !KNOWN_INVERSIONS != 0 {
        return None;
    }

    let mut steps = read_ports(info, inversions)?;
    let (mask, flags) = (info[TCP_FLAGS_MASK], info[TCP_FLAGS]);
    if mask != 0 {
        let is_inverted = inversions & NOT_FLAGS != 0;
        steps.extend([
            load(FLAGS_OFFSET, 1),
            masked(&[mask]),
            compare(is_inverted, &[flags]),
        ]);
    }
    Some(steps)
}

fn read_udp(info: &[u8]) -> Option<Vec<Expression>> {
    let inversions = *info.get(UDP_INVERSIONS)?;

    (inversions & !KNOWN_INVERSIONS == 0).then(|| read_ports(info, inversions))?
}

fn read_ports(info: &[u8], inversions: u8) -> Option<Vec<Expression>> {
    let mut steps = Vec::new();

    for (at, offset, inversion) in [
        (SOURCE_PORTS, 0, NOT_SOURCE_PORTS),
        (DESTINATION_PORTS, 2, NOT_DESTINATION_PORTS),
    ] {
        let (first, last) = (u16_at(info, at)?, u16_at(info, at + 2)?);
        let is_inverted = inversions & inversion != 0;
        if (first, last) != (0, u16::MAX) || is_inverted {
            steps.push(load(offset, 2));
            steps.push(Expression::Range {
                register: REGISTER,
                first: first.to_be_bytes().into(),
                last: last.to_be_bytes().into(),
                is_inverted,
            });
        }
    }
    Some(steps)
}

fn masked(mask: &[u8]) -> Expression {
    Expression::Bitwise {
        from: REGISTER,
        to: REGISTER,
        mask: mask.to_vec(),
        xor: vec![0; mask.len()],
    }
}

fn compare(is_inverted: bool, data: &[u8]) -> Expression {
    Expression::Compare {
        register: REGISTER,
        operator: if is_inverted { NOT_EQUAL } else { EQUAL },
        data: data.to_vec(),
    }
}

fn load(offset: u32, length: u32) -> Expression {
    Expression::Payload {
        base: TRANSPORT_HEADER,
        offset,
        length,
        to: REGISTER,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..)?.first_chunk()?;

    Some(u16::from_ne_bytes(*two))
}
