//! One field of a record's data that is one token.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::lexer::Token;
use super::{ZoneFileError, name, ttl};
use crate::name::escaped;
use crate::rdata::{self, Field, plain_number};

/// Appends the wire format of `token` as a `field`.
pub(super) fn put_field(
    data: &mut Vec<u8>,
    field: Field,
    token: &Token<'_>,
    origin: Option<&[u8]>,
) -> Result<(), ZoneFileError> {
    match field {
        Field::Name | Field::PlainName => data.extend(name(token, origin)?),
        Field::U8 => data.push(number(token, "number up to 255")?),
        Field::U16 => data.extend(number::<u16>(token, "number up to 65535")?.to_be_bytes()),
        Field::U32 => data.extend(number::<u32>(token, "number of 32 bits")?.to_be_bytes()),
        Field::Time => {
            data.extend(ttl::read(token)?.to_be_bytes());
        }
        Field::Algorithm => {
            let known = rdata::algorithm(token.text);
            data.push(known.map_or_else(|| number(token, "algorithm or number up to 255"), Ok)?);
        }
        Field::CertificateType => {
            let known = rdata::certificate_type(token.text);
            let number = known.map_or_else(|| number::<u16>(token, "certificate type"), Ok)?;
            data.extend(number.to_be_bytes());
        }
        Field::Ipv4 => data.extend(parsed::<Ipv4Addr>(token, "IPv4 address")?.octets()),
        Field::Ipv6 => data.extend(parsed::<Ipv6Addr>(token, "IPv6 address")?.octets()),
        Field::Locator => data.extend(groups::<4, 2>(token, ':', "locator such as 2001:db8:1:2")?),
        Field::Eui48 => data.extend(groups::<6, 1>(
            token,
            '-',
            "address such as 00-00-5e-00-53-2a",
        )?),
        Field::Eui64 => {
            data.extend(groups::<8, 1>(
                token,
                '-',
                "address such as 00-00-5e-ef-10-00-00-2a",
            )?);
        }
        Field::Text | Field::OptionalText | Field::Texts => {
            put_string(
                data,
                token,
                &unescape(token)?,
                "string of at most 255 octets",
            )?;
        }
        Field::Tag => put_string(data, token, token.text.as_bytes(), "tag")?,
        Field::LongText => data.extend(unescape(token)?),
        // These take every token that is left, or have the generic form only.
        Field::Hex
        | Field::Base64
        | Field::ServiceParams
        | Field::Location
        | Field::Prefixes
        | Field::Rest => return Err(fault(token, "field that can be written so")),
    }

    Ok(())
}

/// The octets of a character string, escapes resolved.
pub(super) fn unescape(token: &Token<'_>) -> Result<Vec<u8>, ZoneFileError> {
    unescape_text(token, token.text)
}

/// As [`unescape`], of a part of the token.
pub(super) fn unescape_text(token: &Token<'_>, text: &str) -> Result<Vec<u8>, ZoneFileError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(match byte {
            b'\\' => escaped(&mut bytes).map_err(|error| token.at.fault(error.to_string()))?,
            plain => plain,
        });
    }

    Ok(octets)
}

fn fault(token: &Token<'_>, what: &str) -> ZoneFileError {
    token.at.fault(format!("this is no {what}"))
}

fn number<N: FromStr>(token: &Token<'_>, what: &str) -> Result<N, ZoneFileError> {
    plain_number(token.text).ok_or_else(|| fault(token, what))
}

fn parsed<T: FromStr>(token: &Token<'_>, what: &str) -> Result<T, ZoneFileError> {
    token.text.parse().map_err(|_| fault(token, what))
}

/// `string` with its length before it.
fn put_string(
    data: &mut Vec<u8>,
    token: &Token<'_>,
    string: &[u8],
    what: &str,
) -> Result<(), ZoneFileError> {
    let len = u8::try_from(string.len()).map_err(|_| fault(token, what))?;

    data.push(len);
    data.extend_from_slice(string);
    Ok(())
}

/// `COUNT` groups of hexadecimal digits, each of `SIZE` octets (1 or 2), as octets.
fn groups<const COUNT: usize, const SIZE: usize>(
    token: &Token<'_>,
    separator: char,
    what: &str,
) -> Result<Vec<u8>, ZoneFileError> {
    let mut octets = Vec::with_capacity(COUNT * SIZE);
    for group in token.text.split(separator) {
        // Each octet of an EUI has both digits; a group of a locator may omit leading zeros.
        let is_long_enough = SIZE == 2 || group.len() == 2;
        let is_hex = group.bytes().all(|digit| digit.is_ascii_hexdigit());
        let value = u16::from_str_radix(group, 16).ok();
        let value = value
            .filter(|_| is_hex && is_long_enough && group.len() <= 2 * SIZE)
            .ok_or_else(|| fault(token, what))?;
        octets.extend_from_slice(&value.to_be_bytes()[2 - SIZE..]);
    }

    if octets.len() == COUNT * SIZE {
        Ok(octets)
    } else {
        Err(fault(token, what))
    }
}
