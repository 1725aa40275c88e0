//! Protocols, by name or by number.

use crate::file::item::Item;
use crate::{PortRange, Service};

/// Protocols that a rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proto {
    Tcp,
    Udp,
    Icmp,
    Number(u8),
}

impl Proto {
    pub(super) fn has_ports(self) -> bool {
        matches!(self, Proto::Tcp | Proto::Udp)
    }

    pub(super) fn service(self, ports: Vec<PortRange>) -> Service {
        match self {
            Proto::Tcp => Service::Tcp(ports),
            Proto::Udp => Service::Udp(ports),
            Proto::Icmp => Service::Icmp,
            Proto::Number(number) => Service::Protocol(number),
        }
    }
}

/// Protocols that are written by their numbers (IANA, Assigned Internet Protocol Numbers), and
/// whose names are tried.
const NUMBERS: [(&str, u8); 9] = [
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", 132),
];

pub(super) fn read(item: &Item<'_>) -> Option<Proto> {
    if !item.is_text() {
        let number = u8::try_from(item.integer(0..=255)?).ok()?;
        return read_number(item, number);
    }

    let text = item.text()?;
    let number = NUMBERS.iter().find(|(name, _)| *name == text);
    match (text, number) {
        ("tcp", _) => Some(Proto::Tcp),
        ("udp", _) => Some(Proto::Udp),
        ("icmp", _) => Some(Proto::Icmp),
        ("icmpv6" | "icmp6" | "ipv6-icmp" | "ping", _) => item.refuse(format!(
            "{text:?} is not known here; write proto = \"icmp\", which is echo of both families"
        )),
        (_, Some((name, number))) => item.refuse(format!(
            "{name} is named by its number; write proto = {number}"
        )),
        (_, None) => item.refuse(format!("{text:?} is no protocol that a rule can name")),
    }
}

/// What the filter judges by another rule, or looks through, cannot be allowed by its number.
fn read_number(item: &Item<'_>, number: u8) -> Option<Proto> {
    match number {
        6 => item.refuse("protocol 6 is TCP; write proto = \"tcp\""),
        17 => item.refuse("protocol 17 is UDP; write proto = \"udp\""),
        1 | 58 => item.refuse(format!(
            "protocol {number} is ICMP, of which a rule allows echo; write proto = \"icmp\""
        )),
        // IANA, IPv6 Extension Header Types; 59 ends the chain (RFC 8200, section 4.7). 50 (ESP)
        // ends it too, but carries what only the ends can read, and 253 and 254 are for
        // experiments: they are allowed.
        0 | 43 | 44 | 51 | 59 | 60 | 135 | 139 | 140 => item.refuse(format!(
            "protocol {number} is an extension header of IPv6; write the protocol behind it"
        )),
        255 => item.refuse("protocol 255 is reserved; write a number from 2 to 254"),
        _ => Some(Proto::Number(number)),
    }
}
