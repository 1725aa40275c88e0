//! [`Expression`]: one expression of an nftables rule, in the kernel's format. One that is not
//! understood becomes [`Expression::Unknown`]: it may match or not.

use std::ops::RangeInclusive;

use super::evaluate::META_MARK;
use super::extension::{extension, target};
use crate::netlink::raw::Attributes;

/// A register of the nftables virtual machine.
pub(super) type Register = u32;

/// One expression of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// Load metadata of the packet.
    Meta { key: u32, to: Register },
    /// Load the state of the connection.
    State { to: Register },
    /// Load the connection's status: whether its addresses are translated.
    Status { to: Register },
    /// Load bytes of a header.
    Payload {
        base: u32,
        offset: u32,
        length: u32,
        to: Register,
    },
    /// `to = (from & mask) ^ xor`.
    Bitwise {
        from: Register,
        to: Register,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// The rule ends here unless the comparison is true.
    Compare {
        register: Register,
        operator: u32,
        data: Vec<u8>,
    },
    /// The rule ends here unless the register's value is in the set. With `is_inverted`, it ends
    /// here if the value is in the set.
    Lookup {
        set: String,
        register: Register,
        is_inverted: bool,
    },
    /// The rule ends here unless the register's value is from `first` to `last`. With
    /// `is_inverted`, it ends here if the value is.
    Range {
        register: Register,
        first: Vec<u8>,
        last: Vec<u8>,
        is_inverted: bool,
    },
    /// The iptables match `multiport`.
    Ports(Ports),
    /// Looks the register's value up in a map of verdicts.
    VerdictMap { set: String, register: Register },
    /// The iptables match `conntrack`: the states that it accepts.
    StateMask(u32),
    /// The iptables match `addrtype`: the types of destinations that it accepts.
    DestinationType(u16),
    /// The rule's verdict.
    Verdict(Verdict),
    /// The rule does not apply to packets like ours.
    Never,
    /// Gives the packet a mark.
    SetMark,
    /// No influence on the verdict: counters, logs, comments.
    Nothing,
    /// Not understood: the rule may not apply.
    Unknown,
    /// Not understood: the rule may have any verdict.
    UnknownTarget,
}

/// Ports of which the packet must have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ports {
    /// As its source port.
    pub(super) source: bool,
    /// As its destination port.
    pub(super) destination: bool,
    pub(super) ranges: Vec<RangeInclusive<u16>>,
    /// It must have none of them.
    pub(super) is_inverted: bool,
}

/// A rule's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    /// Changes an address or a port, and accepts.
    Translate,
    Continue,
    Return,
    Jump(String),
    Goto(String),
}

// linux/netfilter/nf_tables.h.
const NAME: u16 = 1;
const DATA: u16 = 2;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const VERDICT_REGISTER: Register = 0;
const BITWISE_BOOL: u32 = 0;

impl Expression {
    /// Parses one element of a rule's list, which may stand for several expressions.
    pub(super) fn read(element: &[u8]) -> Vec<Expression> {
        let parts = Attributes(element);
        let name = parts.find(NAME).unwrap_or_default();
        let data = parts.find(DATA).unwrap_or_default();

        let read = match name.strip_suffix(b"\0").unwrap_or(&name) {
            b"meta" => read_meta(&data),
            b"ct" => read_ct(&data),
            b"payload" => read_payload(&data),
            b"bitwise" => read_bitwise(&data),
            b"cmp" => read_compare(&data),
            b"immediate" => read_immediate(&data),
            b"reject" => Some(Expression::Verdict(Verdict::Drop)),
            b"match" => return read_match(&data).unwrap_or_else(|| vec![Expression::Unknown]),
            b"target" => read_target(&data),
            b"counter" | b"log" | b"last" | b"notrack" => Some(Expression::Nothing),
            b"lookup" => read_lookup(&data),
            b"range" => read_range(&data),
            b"masq" | b"nat" | b"redir" => Some(Expression::Verdict(Verdict::Translate)),
            // These pass the packet to another program or subsystem.
            b"queue" | b"synproxy" => Some(Expression::UnknownTarget),
            _ => None,
        };
        vec![read.unwrap_or(Expression::Unknown)]
    }
}

fn read_meta(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);
    let key = data.number(2)?;

    Some(match (data.number(1), data.number(3)) {
        (Some(to), _) => Expression::Meta { key, to },
        // It is written from a register.
        (None, Some(_)) if key == META_MARK => Expression::SetMark,
        (None, Some(_)) => Expression::Nothing,
        (None, None) => return None,
    })
}

fn read_ct(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);

    let to = data.number(1)?;
    match data.number(2)? {
        CT_STATE => Some(Expression::State { to }),
        CT_STATUS => Some(Expression::Status { to }),
        _ => None,
    }
}

fn read_payload(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);

    Some(Expression::Payload {
        to: data.number(1)?,
        base: data.number(2)?,
        offset: data.number(3)?,
        length: data.number(4)?,
    })
}

fn read_bitwise(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);
    // Shifts, and operations on two registers, are not understood.
    if data.number(6).unwrap_or(BITWISE_BOOL) != BITWISE_BOOL {
        return None;
    }

    Some(Expression::Bitwise {
        from: data.number(1)?,
        to: data.number(2)?,
        mask: value(&data.find(4)?)?,
        xor: value(&data.find(5)?)?,
    })
}

fn read_compare(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);

    Some(Expression::Compare {
        register: data.number(1)?,
        operator: data.number(2)?,
        data: value(&data.find(3)?)?,
    })
}

fn read_range(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);

    Some(Expression::Range {
        register: data.number(1)?,
        // `enum nft_range_ops`.
        is_inverted: data.number(2)? != 0,
        first: value(&data.find(3)?)?,
        last: value(&data.find(4)?)?,
    })
}

fn read_immediate(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);
    if data.number(1)? != VERDICT_REGISTER {
        return None;
    }

    read_verdict(&data.find(2)?)
}

/// Parses the nested attributes of a verdict.
pub(super) fn read_verdict(data: &[u8]) -> Option<Expression> {
    let verdict = Attributes(data).find(2)?;
    let verdict = Attributes(&verdict);
    let chain = verdict.find(2).map(|chain| text(&chain));
    // linux/netfilter.h, linux/netfilter/nf_tables.h: NF_DROP, NF_ACCEPT; NFT_CONTINUE, NFT_JUMP,
    // NFT_GOTO, NFT_RETURN.
    let verdict = match verdict.number(1)? as i32 {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -1 => Verdict::Continue,
        -3 => Verdict::Jump(chain?),
        -4 => Verdict::Goto(chain?),
        -5 => Verdict::Return,
        _ => return Some(Expression::UnknownTarget),
    };
    Some(Expression::Verdict(verdict))
}

fn read_lookup(data: &[u8]) -> Option<Expression> {
    let data = Attributes(data);
    let set = text(&data.find(1)?);
    let register = data.number(2)?;

    match data.number(3) {
        None => Some(Expression::Lookup {
            set,
            register,
            // The only flag: `!=` instead of `==`.
            is_inverted: data.number(5).unwrap_or(0) != 0,
        }),
        Some(VERDICT_REGISTER) => Some(Expression::VerdictMap { set, register }),
        Some(_) => None,
    }
}

/// An iptables match.
fn read_match(data: &[u8]) -> Option<Vec<Expression>> {
    let data = Attributes(data);
    let name = text(&data.find(1)?);

    Some(extension(&name, data.number(2)?, &data.find(3)?))
}

/// An iptables target.
fn read_target(data: &[u8]) -> Option<Expression> {
    let name = text(&Attributes(data).find(1)?);

    Some(target(&name))
}

fn value(data: &[u8]) -> Option<Vec<u8>> {
    Attributes(data).find(1)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}
