//! The data of one record, from tokens to wire format.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use hickory_proto::serialize::txt::parse_ttl;

use super::lexer::Token;
use super::{Place, ZoneFileError, name};
use crate::draft::ZoneError;
use crate::name::{escaped, text_from_wire};
use crate::rdata::{self, Field, kind, plain_number};

/// Types of DNSSEC (RFC 4034; RFC 2535; RFC 5155; RFC 7344), which hickory-proto reads from no
/// text.
const DNSSEC: [u16; 10] = [kind::DS, 24, 25, 46, 47, 48, 50, 51, 59, 60];

/// The type that a token names: a mnemonic, or `TYPE` and a number (RFC 3597, section 5).
pub(super) fn kind(token: &Token<'_>) -> Result<u16, ZoneFileError> {
    rdata::kind_from_text(token.text).ok_or_else(|| {
        token.at.fault(format!(
            "{:?} is no record type; write TYPE and its number if it is new",
            token.text
        ))
    })
}

/// Reads all `tokens` as data of `kind`; `at` is where the record starts.
pub(super) fn parse(
    at: Place,
    kind: u16,
    tokens: &[Token<'_>],
    origin: Option<&[u8]>,
) -> Result<Vec<u8>, ZoneFileError> {
    if !rdata::is_data(kind) {
        return Err(at.fault(ZoneError::Kind { kind }.to_string()));
    }

    let data = match (tokens, rdata::fields(kind)) {
        ([mark, len, hex @ ..], _) if mark.text == "\\#" && !mark.quoted => generic(len, hex)?,
        (_, Some(fields)) if !fields.contains(&Field::Rest) => {
            by_fields(at, fields, tokens, origin)?
        }
        _ => by_hickory(at, kind, tokens, origin)?,
    };

    // The generic form can state any octets, for types with known fields too.
    match rdata::check(kind, &data) {
        Ok(()) => Ok(data),
        Err(error) => Err(at.fault(error.to_string())),
    }
}

/// `\# <length> <hex>...`: RFC 3597, section 5.
fn generic(len: &Token<'_>, hex: &[Token<'_>]) -> Result<Vec<u8>, ZoneFileError> {
    let digits: String = hex.iter().map(|token| token.text).collect();
    let data: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| octet(digits.get(at..at + 2)?))
        .collect();

    data.filter(|data| plain_number(len.text) == Some(data.len()))
        .ok_or_else(|| {
            len.at
                .fault("the length and the hexadecimal digits do not agree")
        })
}

/// The octet that two hexadecimal digits stand for.
fn octet(digits: &str) -> Option<u8> {
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }

    u8::from_str_radix(digits, 16).ok()
}

fn by_fields(
    at: Place,
    fields: &[Field],
    tokens: &[Token<'_>],
    origin: Option<&[u8]>,
) -> Result<Vec<u8>, ZoneFileError> {
    let mut data = Vec::new();
    let mut tokens = tokens.iter().peekable();
    for field in fields {
        let token = tokens
            .next()
            .ok_or_else(|| at.fault("the record's data is incomplete"))?;
        put_field(&mut data, *field, token, origin)?;

        // RFC 1035, section 3.3.14: TXT has one string or more, so the rest are strings too.
        while *field == Field::Texts
            && let Some(token) = tokens.next()
        {
            put_field(&mut data, *field, token, origin)?;
        }
    }

    match tokens.next() {
        Some(token) => Err(token.at.fault("nothing may follow the data")),
        None => Ok(data),
    }
}

fn put_field(
    data: &mut Vec<u8>,
    field: Field,
    token: &Token<'_>,
    origin: Option<&[u8]>,
) -> Result<(), ZoneFileError> {
    let fault = |what: &str| token.at.fault(format!("this is no {what}"));
    match field {
        Field::Name | Field::PlainName => data.extend(name(token, origin)?),
        Field::U16 => {
            let number: u16 =
                plain_number(token.text).ok_or_else(|| fault("number up to 65535"))?;
            data.extend(number.to_be_bytes());
        }
        // The 32-bit numbers of known types are times and serials; plain seconds read the same.
        Field::U32 => data.extend(
            parse_ttl(token.text)
                .map_err(|_| fault("number or time"))?
                .to_be_bytes(),
        ),
        Field::Ipv4 => {
            data.extend(
                token
                    .text
                    .parse::<Ipv4Addr>()
                    .map_err(|_| fault("IPv4 address"))?
                    .octets(),
            );
        }
        Field::Ipv6 => {
            data.extend(
                token
                    .text
                    .parse::<Ipv6Addr>()
                    .map_err(|_| fault("IPv6 address"))?
                    .octets(),
            );
        }
        Field::Text | Field::Texts => {
            let text = unescape(token)?;
            data.push(u8::try_from(text.len()).map_err(|_| fault("string of at most 255 octets"))?);
            data.extend(text);
        }
        Field::Rest => return Err(fault("field that can be written so")),
    }

    Ok(())
}

fn unescape(token: &Token<'_>) -> Result<Vec<u8>, ZoneFileError> {
    let mut text = Vec::with_capacity(token.text.len());
    let mut bytes = token.text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => escaped(&mut bytes).map_err(|error| token.at.fault(error.to_string()))?,
            plain => plain,
        };
        text.push(byte);
    }

    Ok(text)
}

fn by_hickory(
    at: Place,
    kind: u16,
    tokens: &[Token<'_>],
    origin: Option<&[u8]>,
) -> Result<Vec<u8>, ZoneFileError> {
    let record_type = RecordType::from(kind);
    if matches!(record_type, RecordType::Unknown(_)) || DNSSEC.contains(&kind) {
        return Err(at.fault(
            "data of this type must have the generic form of RFC 3597: \
             \\# <length> <hexadecimal digits>",
        ));
    }

    let mut words = Vec::new();
    let mut fields = rdata::fields(kind).unwrap_or(&[]).iter();
    for token in tokens {
        words.push(match (fields.next(), token.quoted) {
            // hickory-proto does not complete relative names.
            (Some(Field::Name | Field::PlainName), _) => text_from_wire(&name(token, origin)?),
            (_, true) => format!("\"{}\"", token.text),
            (_, false) => token.text.to_owned(),
        });
    }

    RData::try_from_str(record_type, &words.join(" "))
        .map_err(|error| at.fault(error.to_string()))?
        .to_bytes()
        .map_err(|error| at.fault(error.to_string()))
}
