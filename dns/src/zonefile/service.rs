//! The parameters of SVCB and HTTPS records in presentation format (RFC 9460, section 2.1 and
//! appendix A): `key`, `key=value` or `key="value"`, in any order.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use data_encoding::BASE64;

use super::ZoneFileError;
use super::field::unescape_text;
use super::lexer::Token;
use crate::rdata::plain_number;
use crate::rdata::service::{check, key, key_from_name};

/// The wire format of the parameters.
pub(super) fn parse(tokens: &[Token<'_>]) -> Result<Vec<u8>, ZoneFileError> {
    let mut params = BTreeMap::new();
    let mut rest = tokens;
    while let Some((token, tail)) = rest.split_first() {
        rest = tail;
        if token.quoted {
            let message = "a parameter is written key, key=value or key=\"value\"";
            return Err(token.at.fault(message));
        }

        let (name, mut text) = token.text.split_once('=').unwrap_or((token.text, ""));
        // To the lexer, key="value" is two tokens without a blank between them.
        if token.text.ends_with('=')
            && let Some((value, tail)) = rest.split_first()
            && value.quoted
            && value.follows(token)
        {
            text = value.text;
            rest = tail;
            if let Some(next) = rest.first().filter(|next| next.follows(value)) {
                return Err(next
                    .at
                    .fault("a blank must stand before the next parameter"));
            }
        }

        let (key, value) = param(name, &unescape_text(token, text)?)
            .map_err(|message| token.at.fault(format!("{name}: {message}")))?;
        if params.insert(key, value).is_some() {
            return Err(token.at.fault(format!("{name} stands here twice")));
        }
    }

    let data = encode(&params);
    match (check(&data), tokens.first()) {
        (Err(error), Some(first)) => Err(first.at.fault(error.to_string())),
        _ => Ok(data),
    }
}

fn encode(params: &BTreeMap<u16, Vec<u8>>) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in params {
        // A longer value does not fit into a record, which `rdata::check` refuses.
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        data.extend(key.to_be_bytes());
        data.extend(len.to_be_bytes());
        data.extend(value);
    }

    data
}

/// One parameter in wire format.
fn param(name: &str, value: &[u8]) -> Result<(u16, Vec<u8>), &'static str> {
    let Some(key) = key_from_name(name) else {
        let number = name.strip_prefix("key").and_then(numbered);
        // RFC 9460, section 2.1: the value of a key that is written as a number is octets.
        return number
            .map(|key| (key, value.to_vec()))
            .ok_or("this is no key; write key and its number if it is new");
    };

    let octets = match key {
        key::MANDATORY => mandatory(value)?,
        key::ALPN => protocols(value)?,
        key::NO_DEFAULT_ALPN | key::OHTTP => nothing(value)?,
        key::PORT => port(value)?,
        key::IPV4HINT => addresses(value, |address: Ipv4Addr| address.octets().to_vec())?,
        key::IPV6HINT => addresses(value, |address: Ipv6Addr| address.octets().to_vec())?,
        key::ECH => BASE64.decode(value).map_err(|_| "this is no Base64")?,
        _ => value.to_vec(),
    };
    Ok((key, octets))
}

/// A number without leading zeros.
fn numbered(text: &str) -> Option<u16> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }

    plain_number(text).filter(|number| *number != key::INVALID)
}

/// RFC 9460, section 8.
fn mandatory(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut keys = Vec::new();
    for name in value.split(|octet| *octet == b',') {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let key = key_from_name(name).or_else(|| name.strip_prefix("key").and_then(numbered));
        keys.push(key.ok_or("a list of keys, separated by commas, must stand here")?);
    }

    // In text they may have any order, on the wire only that of their numbers.
    keys.sort_unstable();
    if !keys.is_sorted_by(|a, b| a < b) || keys[0] == key::MANDATORY {
        return Err("a key stands here twice, or mandatory itself");
    }
    Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// RFC 9460, sections 7.1.1 and A.1: protocols separated by commas; a backslash escapes a comma or
/// a backslash in one.
fn protocols(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut protocols = vec![Vec::new()];
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        let escaped = match octet {
            b'\\' => octets.next().filter(|next| matches!(next, b'\\' | b',')),
            b',' => {
                protocols.push(Vec::new());
                continue;
            }
            plain => Some(plain),
        };
        let octet = escaped.ok_or("in a list, \\\\ escapes a comma or a backslash only")?;
        if let Some(last) = protocols.last_mut() {
            last.push(*octet);
        }
    }

    let mut data = Vec::new();
    for protocol in protocols {
        let len = u8::try_from(protocol.len()).ok().filter(|len| *len > 0);
        data.push(len.ok_or("a protocol has 1 to 255 octets")?);
        data.extend(protocol);
    }
    Ok(data)
}

fn nothing(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() {
        Ok(Vec::new())
    } else {
        Err("this key has no value")
    }
}

fn port(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let port: Option<u16> = std::str::from_utf8(value).ok().and_then(plain_number);

    port.map(|port| port.to_be_bytes().to_vec())
        .ok_or("this is no port")
}

fn addresses<A: FromStr>(value: &[u8], octets: fn(A) -> Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let mut data = Vec::new();
    for address in value.split(|octet| *octet == b',') {
        let address = std::str::from_utf8(address)
            .ok()
            .and_then(|text| text.parse().ok());
        data.extend(octets(
            address.ok_or("a list of addresses must stand here")?,
        ));
    }

    Ok(data)
}
