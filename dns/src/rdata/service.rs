//! The parameters of SVCB and HTTPS records in wire format (RFC 9460, section 2.2).

use std::collections::BTreeSet;

/// Numbers of the keys that have a format of their own (IANA, Service Parameter Keys).
pub(crate) mod key {
    pub(crate) const MANDATORY: u16 = 0;
    pub(crate) const ALPN: u16 = 1;
    pub(crate) const NO_DEFAULT_ALPN: u16 = 2;
    pub(crate) const PORT: u16 = 3;
    pub(crate) const IPV4HINT: u16 = 4;
    pub(crate) const ECH: u16 = 5;
    pub(crate) const IPV6HINT: u16 = 6;
    pub(crate) const DOHPATH: u16 = 7;
    pub(crate) const OHTTP: u16 = 8;
    /// Never a key (RFC 9460, section 14.3.2).
    pub(crate) const INVALID: u16 = 65535;
}

/// The names of the keys, by number.
const NAMES: [&str; 9] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
];

/// The name of a key; `None` if it has to be written as `key` and its number.
pub(crate) fn key_name(key: u16) -> Option<&'static str> {
    NAMES.get(usize::from(key)).copied()
}

/// The key with this name.
pub(crate) fn key_from_name(name: &str) -> Option<u16> {
    let index = NAMES.iter().position(|known| *known == name)?;

    u16::try_from(index).ok()
}

/// What is wrong with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamsError {
    #[error("the parameters are cut short, or not in the order of their keys")]
    Framing,
    #[error("the value of parameter {0} is malformed")]
    Value(u16),
    #[error("parameter {0} is said to be mandatory and is not there")]
    Missing(u16),
    #[error("no-default-alpn needs alpn beside it")]
    NoAlpn,
}

/// The parameters in `data` with their keys, up to the first that is cut short.
pub(crate) fn params(data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = data;

    std::iter::from_fn(move || {
        let (key, tail) = rest.split_first_chunk()?;
        let (len, tail) = tail.split_first_chunk()?;
        let (value, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;

        rest = tail;
        Some((u16::from_be_bytes(*key), value))
    })
}

/// Checks that `data` is a list of parameters as a server may send it.
pub(crate) fn check(data: &[u8]) -> Result<(), ParamsError> {
    let mut len = 0;
    let mut keys = BTreeSet::new();
    for (key, value) in params(data) {
        // RFC 9460, section 2.2: in strictly increasing order, so that no key comes twice.
        let is_next = keys.last().is_none_or(|last| *last < key);
        if !is_next {
            return Err(ParamsError::Framing);
        }
        if !is_value(key, value) {
            return Err(ParamsError::Value(key));
        }
        keys.insert(key);
        len += 4 + value.len();
    }
    if len != data.len() {
        return Err(ParamsError::Framing);
    }

    // RFC 9460, section 7.1.1: without `alpn`, such a record leaves a client no protocol at all.
    if keys.contains(&key::NO_DEFAULT_ALPN) && !keys.contains(&key::ALPN) {
        return Err(ParamsError::NoAlpn);
    }
    // RFC 9460, section 8: what is mandatory must be there.
    let mandatory = params(data).find(|(key, _)| *key == key::MANDATORY);
    let mandatory = mandatory.map_or(&[][..], |(_, value)| value);
    match numbers(mandatory).find(|key| !keys.contains(key)) {
        Some(missing) => Err(ParamsError::Missing(missing)),
        None => Ok(()),
    }
}

fn is_value(key: u16, value: &[u8]) -> bool {
    match key {
        key::MANDATORY => is_mandatory(value),
        key::ALPN => is_protocols(value),
        key::NO_DEFAULT_ALPN | key::OHTTP => value.is_empty(),
        key::PORT => value.len() == 2,
        key::IPV4HINT => !value.is_empty() && value.len().is_multiple_of(4),
        key::IPV6HINT => !value.is_empty() && value.len().is_multiple_of(16),
        key::ECH => !value.is_empty(),
        // RFC 9461, section 5: a template with the variable `dns`.
        key::DOHPATH => std::str::from_utf8(value).is_ok_and(|path| path.contains("dns")),
        key::INVALID => false,
        _ => true,
    }
}

/// RFC 9460, section 8: keys in strictly increasing order, without `mandatory` itself.
fn is_mandatory(value: &[u8]) -> bool {
    let keys: Vec<u16> = numbers(value).collect();

    !keys.is_empty()
        && value.len().is_multiple_of(2)
        && keys[0] != key::MANDATORY
        && keys.is_sorted_by(|a, b| a < b)
}

/// RFC 9460, section 7.1.1: one protocol identifier or more, each preceded by its length.
fn is_protocols(mut value: &[u8]) -> bool {
    if value.is_empty() {
        return false;
    }

    while let Some((len, rest)) = value.split_first() {
        match rest.split_at_checked(usize::from(*len)) {
            Some((protocol, tail)) if !protocol.is_empty() => value = tail,
            _ => return false,
        }
    }
    true
}

/// The 16-bit numbers in `value`.
pub(crate) fn numbers(value: &[u8]) -> impl Iterator<Item = u16> {
    value
        .as_chunks()
        .0
        .iter()
        .map(|octets| u16::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked_as_rfc_9460_demands() {
        let good: [&[u8]; 6] = [
            b"",
            b"\x00\x01\x00\x03\x02h2",
            b"\x00\x01\x00\x03\x02h2\x00\x02\x00\x00",
            b"\x00\x00\x00\x02\x00\x03\x00\x03\x00\x02\x00\x35",
            b"\x00\x04\x00\x08\x0a\x00\x00\x01\x0a\x00\x00\x02",
            b"\xff\x00\x00\x00",
        ];
        for data in good {
            assert_eq!(check(data), Ok(()), "{}", data.escape_ascii());
        }

        let bad: [(&[u8], ParamsError); 9] = [
            (b"\x00", ParamsError::Framing),
            (b"\x00\x03\x00\x02\x00", ParamsError::Framing),
            (
                b"\x00\x04\x00\x04\x0a\x00\x00\x01\x00\x03\x00\x02\x00\x35",
                ParamsError::Framing,
            ),
            (b"\x00\x01\x00\x00", ParamsError::Value(1)),
            (b"\x00\x01\x00\x01\x00", ParamsError::Value(1)),
            (b"\x00\x03\x00\x01\x00", ParamsError::Value(3)),
            (b"\xff\xff\x00\x00", ParamsError::Value(65535)),
            (b"\x00\x00\x00\x02\x00\x03", ParamsError::Missing(3)),
            (b"\x00\x02\x00\x00", ParamsError::NoAlpn),
        ];
        for (data, error) in bad {
            assert_eq!(check(data), Err(error), "{}", data.escape_ascii());
        }
    }
}
