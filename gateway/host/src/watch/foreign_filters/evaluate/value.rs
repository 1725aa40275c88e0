//! [`Value`]: the content of a register of the nftables virtual machine, as far as it is known.

use std::collections::BTreeMap;

use super::super::expression::{Expression, Register};
use super::super::sample::{Interface, Sample, State};
use super::{
    EQUAL, GREATER, GREATER_OR_EQUAL, LESS, LESS_OR_EQUAL, META_IIF, META_IIFNAME, META_L4PROTO,
    META_MARK, META_NFPROTO, META_OIF, META_OIFNAME, META_PROTOCOL, Match, NETWORK_HEADER,
    NOT_EQUAL, TRANSPORT_HEADER,
};

/// The value that `step` loads into a register, if it loads one.
pub(super) fn load(
    step: &Expression,
    registers: &BTreeMap<Register, Value>,
    packet: &Sample,
) -> Option<(Register, Value)> {
    match step {
        Expression::Meta { key, to } => Some((*to, load_meta(*key, packet))),
        Expression::State { to } => {
            let state = packet.state.bit().map(|bit| bit.to_ne_bytes().to_vec());
            Some((*to, Value::of(state)))
        }
        Expression::Status { to } => {
            // The addresses of the first packet are not translated, and there is no answer yet.
            let status = match packet.state {
                State::New => Value::from_known(&[0; 4]),
                State::Established | State::Untracked => Value::Unknown,
            };
            Some((*to, status))
        }
        Expression::Payload {
            base,
            offset,
            length,
            to,
        } => {
            let (offset, length) = (*offset as usize, *length as usize);
            let loaded = match *base {
                NETWORK_HEADER => packet.network(offset, length),
                TRANSPORT_HEADER => packet.transport(offset, length),
                _ => None,
            };
            Some((*to, loaded.map_or(Value::Unknown, Value::Bytes)))
        }
        Expression::Bitwise {
            from,
            to,
            mask,
            xor,
        } => {
            let after = match registers.get(from) {
                Some(Value::Bytes(before)) => Value::Bytes(masked(before, mask, xor)),
                _ => Value::Unknown,
            };
            Some((*to, after))
        }
        _ => None,
    }
}

fn load_meta(key: u32, packet: &Sample) -> Value {
    let bytes = match key {
        META_IIF | META_IIFNAME if packet.input.is_none() => return Value::AnyExceptLoopback,
        META_IIF => index(packet.input.as_ref()),
        META_OIF => index(packet.output.as_ref()),
        META_IIFNAME => packet.input.as_ref().map(|input| padded(&input.name)),
        META_OIFNAME => packet.output.as_ref().map(|output| padded(&output.name)),
        META_PROTOCOL if packet.is_v4 => Some(vec![0x08, 0x00]),
        META_PROTOCOL => Some(vec![0x86, 0xdd]),
        META_NFPROTO if packet.is_v4 => Some(vec![libc::AF_INET as u8]),
        META_NFPROTO => Some(vec![libc::AF_INET6 as u8]),
        META_L4PROTO => Some(vec![packet.protocol]),
        META_MARK => packet.mark.map(|mark| mark.to_ne_bytes().into()),
        _ => None,
    };

    Value::of(bytes)
}

fn index(interface: Option<&Interface>) -> Option<Vec<u8>> {
    Some(interface?.index?.to_ne_bytes().into())
}

/// A name, padded as in a register of the kernel.
pub(super) fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();

    bytes.resize(libc::IFNAMSIZ, 0);
    bytes
}

fn masked(before: &[Option<u8>], mask: &[u8], xor: &[u8]) -> Vec<Option<u8>> {
    before
        .iter()
        .zip(mask.iter().zip(xor))
        .map(|(byte, (mask, xor))| match byte {
            Some(byte) => Some((byte & mask) ^ xor),
            // A byte that the mask clears need not be known.
            None => (*mask == 0).then_some(*xor),
        })
        .collect()
}

/// The content of a register.
pub(super) enum Value {
    /// Bytes, each of them known or not.
    Bytes(Vec<Option<u8>>),
    Unknown,
    /// Some interface, but not loopback.
    AnyExceptLoopback,
}

impl Value {
    fn from_known(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.iter().copied().map(Some).collect())
    }

    fn of(bytes: Option<Vec<u8>>) -> Value {
        bytes.map_or(Value::Unknown, |bytes| Value::from_known(&bytes))
    }

    /// All bytes, if all are known.
    pub(super) fn known(&self) -> Option<Vec<u8>> {
        match self {
            Value::Bytes(bytes) => bytes.iter().copied().collect(),
            Value::Unknown | Value::AnyExceptLoopback => None,
        }
    }

    /// Compares as many bytes as the rule has. For a name with a final `*`, these are the bytes
    /// before it.
    pub(super) fn compare(&self, operator: u32, data: &[u8]) -> Match {
        let is_equal = match self {
            Value::Bytes(bytes) => bytes
                .get(..data.len())
                .and_then(|bytes| are_equal(bytes, data)),
            Value::AnyExceptLoopback if is_loopback(data) => Some(false),
            Value::AnyExceptLoopback | Value::Unknown => None,
        };

        match (is_equal, operator) {
            (Some(is_equal), EQUAL) => Match::of(is_equal),
            (Some(is_equal), NOT_EQUAL) => Match::of(!is_equal),
            _ => self.compare_order(operator, data).unwrap_or(Match::Maybe),
        }
    }

    /// Compares with `<`, `<=`, `>` or `>=`, as the kernel does: byte by byte.
    fn compare_order(&self, operator: u32, data: &[u8]) -> Option<Match> {
        let known = self.known()?;
        let order = known.get(..data.len())?.cmp(data);

        Some(Match::of(match operator {
            LESS => order.is_lt(),
            LESS_OR_EQUAL => order.is_le(),
            GREATER => order.is_gt(),
            GREATER_OR_EQUAL => order.is_ge(),
            _ => return None,
        }))
    }

    /// True if the value is from `first` to `last`.
    pub(super) fn is_within(&self, first: &[u8], last: &[u8]) -> Match {
        self.compare(GREATER_OR_EQUAL, first)
            .and(self.compare(LESS_OR_EQUAL, last))
    }
}

/// `None` if the result depends on unknown bytes.
fn are_equal(bytes: &[Option<u8>], data: &[u8]) -> Option<bool> {
    let differs = bytes
        .iter()
        .zip(data)
        .any(|(byte, wanted)| byte.is_some_and(|byte| byte != *wanted));

    if differs {
        Some(false)
    } else {
        bytes.iter().all(Option::is_some).then_some(true)
    }
}

/// The index of the loopback interface is 1 in every network namespace.
fn is_loopback(data: &[u8]) -> bool {
    data.starts_with(b"lo\0") || data == 1u32.to_ne_bytes()
}
