//! Address prefix lists in presentation format (RFC 3123, section 5): `[!]<family>:<prefix>`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ZoneFileError;
use super::lexer::Token;
use crate::rdata::plain_number;

/// The wire format of the items.
pub(super) fn parse(tokens: &[Token<'_>]) -> Result<Vec<u8>, ZoneFileError> {
    let mut data = Vec::new();
    for token in tokens {
        let item = item(token.text).ok_or_else(|| {
            token
                .at
                .fault("this is no prefix such as 1:10.0.0.0/8 or !2:fd00::/8")
        })?;
        data.extend(item);
    }

    Ok(data)
}

fn item(text: &str) -> Option<Vec<u8>> {
    let negated = text.strip_prefix('!');
    let (family, prefix) = negated.unwrap_or(text).split_once(':')?;
    let (address, prefix_len) = prefix.split_once('/')?;
    let prefix_len: u8 = plain_number(prefix_len)?;

    let family: u16 = plain_number(family)?;
    let octets = match family {
        1 => address.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        2 => address.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        _ => return None,
    };

    // RFC 3123, section 4: zero octets at the end are left out.
    let len = octets
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    let negation = if negated.is_some() { 0x80 } else { 0 };
    let mut item = family.to_be_bytes().to_vec();
    item.extend([prefix_len, negation | u8::try_from(len).ok()?]);
    item.extend(&octets[..len]);
    Some(item)
}
