//! The parameters of SVCB and HTTPS records in presentation format (RFC 9460, section 2.1).

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use crate::rdata::service::{key, key_name, numbers, params};

/// All parameters, separated by blanks; `None` if only the generic format can say them.
pub(super) fn text(data: &[u8]) -> Option<String> {
    let words: Option<Vec<String>> = params(data).map(|(key, value)| param(key, value)).collect();

    Some(words?.join(" "))
}

fn param(key: u16, value: &[u8]) -> Option<String> {
    let name = name(key);
    let text = match key {
        key::MANDATORY => {
            let keys: Vec<String> = numbers(value).map(self::name).collect();
            keys.join(",").into_bytes()
        }
        key::ALPN => protocols(value)?,
        key::PORT => u16::from_be_bytes(*value.first_chunk()?)
            .to_string()
            .into_bytes(),
        key::IPV4HINT => {
            let addresses = value.as_chunks::<4>().0.iter();
            joined(addresses.map(|octets| Ipv4Addr::from(*octets).to_string()))
        }
        key::IPV6HINT => {
            let addresses = value.as_chunks::<16>().0.iter();
            joined(addresses.map(|octets| Ipv6Addr::from(*octets).to_string()))
        }
        key::ECH => BASE64.encode(value).into_bytes(),
        _ => value.to_vec(),
    };

    Some(match &text[..] {
        // RFC 9460, section 2.1: a key without a value stands alone.
        [] => name,
        text if text.iter().all(is_plain) => format!("{name}={}", str::from_utf8(text).ok()?),
        text => format!("{name}={}", super::quoted(text)),
    })
}

/// The name of a key, or `key` and its number.
fn name(key: u16) -> String {
    key_name(key).map_or_else(|| format!("key{key}"), str::to_owned)
}

/// True if an octet needs neither quotation marks nor an escape.
fn is_plain(octet: &u8) -> bool {
    octet.is_ascii_graphic() && !b"\"\\;()".contains(octet)
}

fn joined(words: impl Iterator<Item = String>) -> Vec<u8> {
    words.collect::<Vec<_>>().join(",").into_bytes()
}

/// RFC 9460, section A.1: commas and backslashes in a protocol are escaped.
fn protocols(mut value: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some((len, rest)) = value.split_first() {
        let (protocol, tail) = rest.split_at_checked(usize::from(*len))?;

        if !text.is_empty() {
            text.push(b',');
        }
        for octet in protocol {
            if matches!(octet, b',' | b'\\') {
                text.push(b'\\');
            }
            text.push(*octet);
        }
        value = tail;
    }

    Some(text)
}
