//! Expressions and statements of nftables that the rules use, by libnftables-json(5).

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use nftables::expr::{
    BinaryOperation, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
    PayloadField, Prefix, SetItem,
};
use nftables::stmt::{Counter, JumpTarget, Mangle, Match, Operator, Statement};

use super::DropReason;

pub(super) type Term = Expression<'static>;
pub(super) type Step = Statement<'static>;

/// Flags of TCP (RFC 9293, section 3.1).
const TCP_SYN: u32 = 0x02;
const TCP_ACK: u32 = 0x10;

/// The address families: an `inet` table sees both, but addresses are matched per family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Family; 2] = [Family::V4, Family::V6];

    pub(super) fn of(prefix: &ringway_config::Prefix) -> Family {
        if prefix.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    /// Suffix of the names of sets.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        }
    }
}

pub(super) fn source(family: Family) -> Term {
    field(family.protocol(), "saddr")
}

pub(super) fn destination(family: Family) -> Term {
    field(family.protocol(), "daddr")
}

/// Destination port of `protocol`; `th` means any transport protocol.
pub(super) fn port(protocol: &'static str) -> Term {
    field(protocol, "dport")
}

/// Source port of `protocol`.
pub(super) fn source_port(protocol: &'static str) -> Term {
    field(protocol, "sport")
}

/// A TCP segment other than the first of a connection.
pub(super) fn opens_nothing() -> Step {
    let flags = field("tcp", "flags");
    let of_both = BinaryOperation::AND(flags, Expression::Number(TCP_SYN | TCP_ACK));

    is_not(
        Expression::BinaryOperation(Box::new(of_both)),
        Expression::Number(TCP_SYN),
    )
}

/// A frame that entered by a port of the bridge `name`.
pub(super) fn is_of_bridge(name: impl ToString) -> Step {
    is(meta(MetaKey::Ibridgename), word(name.to_string()))
}

pub(super) fn is_arp() -> Step {
    is(meta(MetaKey::Protocol), word("arp"))
}

/// Neighbour discovery of IPv6 (RFC 4861, section 4).
pub(super) fn is_neighbour_discovery() -> Step {
    let kinds = ["nd-neighbor-solicit", "nd-neighbor-advert"];
    is(field("icmpv6", "type"), one_of(kinds.map(word)))
}

pub(super) fn is_tcp_or_udp() -> Step {
    is(meta(MetaKey::L4proto), one_of([word("tcp"), word("udp")]))
}

/// An ICMP redirect (RFC 792).
pub(super) fn is_redirect() -> Step {
    is(field("icmp", "type"), word("redirect"))
}

pub(super) fn is_family(family: Family) -> Step {
    let name = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };

    is(meta(MetaKey::Nfproto), word(name))
}

/// Addressed to this host.
pub(super) fn is_local() -> Step {
    is_own_address(FibFlag::Daddr)
}

/// The source is an address of this host.
pub(super) fn is_from_here() -> Step {
    is_own_address(FibFlag::Saddr)
}

fn is_own_address(which: FibFlag) -> Step {
    // Matches by the routing table, since addresses change while the rules stay.
    let flags = HashSet::from([which]);
    let kind = Expression::Named(NamedExpression::Fib(Fib {
        result: FibResult::Type,
        flags,
    }));

    is(kind, word("local"))
}

pub(super) fn entered_by(device: impl ToString) -> Step {
    // Matches by name, because a re-created TUN has another index.
    is(meta(MetaKey::Iifname), word(device.to_string()))
}

pub(super) fn entered_elsewhere_than(device: impl ToString) -> Step {
    is_not(meta(MetaKey::Iifname), word(device.to_string()))
}

pub(super) fn leaves_by(device: impl ToString) -> Step {
    is(meta(MetaKey::Oifname), word(device.to_string()))
}

/// Entered by an interface in the set of names.
pub(super) fn entered_by_one_of(set: &str) -> Step {
    is_in_set(meta(MetaKey::Iifname), set)
}

pub(super) fn entered_by_none_of(set: &str) -> Step {
    is_not_in_set(meta(MetaKey::Iifname), set)
}

pub(super) fn leaves_by_none_of(set: &str) -> Step {
    is_not_in_set(meta(MetaKey::Oifname), set)
}

pub(super) fn entered_by_bridge() -> Step {
    is(meta(MetaKey::Iifkind), word("bridge"))
}

pub(super) fn leaves_by_bridge() -> Step {
    is(meta(MetaKey::Oifkind), word("bridge"))
}

pub(super) fn leaves_by_no_bridge() -> Step {
    is_not(meta(MetaKey::Oifkind), word("bridge"))
}

pub(super) fn entered_by_group(group: u32) -> Step {
    is(meta(MetaKey::Iifgroup), Expression::Number(group))
}

pub(super) fn entered_outside_group(group: u32) -> Step {
    is_not(meta(MetaKey::Iifgroup), Expression::Number(group))
}

pub(super) fn leaves_by_group(group: u32) -> Step {
    is(meta(MetaKey::Oifgroup), Expression::Number(group))
}

/// Decrypted by IPsec on this host.
pub(super) fn was_decrypted() -> Step {
    is(meta(MetaKey::Secpath), Expression::Boolean(true))
}

pub(super) fn leaves_outside_group(group: u32) -> Step {
    is_not(meta(MetaKey::Oifgroup), Expression::Number(group))
}

pub(super) fn is_not_mark(mark: u32) -> Step {
    is_not(meta(MetaKey::Mark), Expression::Number(mark))
}

pub(super) fn has_mark(mark: u32) -> Step {
    is(meta(MetaKey::Mark), Expression::Number(mark))
}

/// UDP from `port`.
pub(super) fn is_udp_from(port: u16) -> Step {
    is(field("udp", "sport"), number(port))
}

/// UDP to `port`.
pub(super) fn is_udp_to(port: u16) -> Step {
    is(field("udp", "dport"), number(port))
}

pub(super) fn set_mark(mark: u32) -> Step {
    Statement::Mangle(Mangle {
        key: meta(MetaKey::Mark),
        value: Expression::Number(mark),
    })
}

pub(super) fn is(left: Term, right: Term) -> Step {
    Statement::Match(Match {
        left,
        right,
        op: Operator::EQ,
    })
}

pub(super) fn is_not(left: Term, right: Term) -> Step {
    Statement::Match(Match {
        left,
        right,
        op: Operator::NEQ,
    })
}

pub(super) fn is_in_set(left: Term, set: &str) -> Step {
    is(left, word(format!("@{set}")))
}

pub(super) fn is_not_in_set(left: Term, set: &str) -> Step {
    is_not(left, word(format!("@{set}")))
}

pub(super) fn one_of(items: impl IntoIterator<Item = Term>) -> Term {
    Expression::Named(NamedExpression::Set(
        items.into_iter().map(SetItem::Element).collect(),
    ))
}

pub(super) fn address(address: IpAddr) -> Term {
    word(address.to_string())
}

pub(super) fn prefix(prefix: &ringway_config::Prefix) -> Term {
    range(prefix.address().to_string(), prefix.len())
}

/// All multicast addresses of `family` (RFC 5771, RFC 4291 section 2.7).
pub(super) fn multicast(family: Family) -> Term {
    match family {
        Family::V4 => range("224.0.0.0", 4),
        Family::V6 => range("ff00::", 8),
    }
}

pub(super) fn number(value: u16) -> Term {
    Expression::Number(value.into())
}

pub(super) fn word(text: impl Into<Cow<'static, str>>) -> Term {
    Expression::String(text.into())
}

pub(super) fn accept() -> Step {
    Statement::Accept(None)
}

/// Counts the packet under its reason, and drops it.
pub(super) fn drop(reason: DropReason) -> [Step; 2] {
    [
        Statement::Counter(Counter::Named(reason.as_str().into())),
        Statement::Drop(None),
    ]
}

/// Drops the packet without counting it.
pub(super) fn discard() -> Step {
    Statement::Drop(None)
}

/// Exempts the packet from connection tracking.
pub(super) fn untrack() -> Step {
    Statement::Notrack
}

/// Goes through another chain, and comes back if that does not decide.
pub(super) fn jump(chain: &'static str) -> Step {
    Statement::Jump(JumpTarget {
        target: chain.into(),
    })
}

/// Goes back to where the chain was jumped to from.
pub(super) fn leave() -> Step {
    Statement::Return(None)
}

/// Goes on in another chain, and does not come back.
pub(super) fn goto(chain: &'static str) -> Step {
    Statement::Goto(JumpTarget {
        target: chain.into(),
    })
}

fn range(address: impl Into<Cow<'static, str>>, len: u8) -> Term {
    let addr = Box::new(word(address));

    Expression::Named(NamedExpression::Prefix(Prefix {
        addr,
        len: len.into(),
    }))
}

fn field(protocol: &'static str, field: &'static str) -> Term {
    let payload = PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    };

    Expression::Named(NamedExpression::Payload(Payload::PayloadField(payload)))
}

fn meta(key: MetaKey) -> Term {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}
