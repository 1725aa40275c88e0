//! The data of one record, from tokens to wire format.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::field::put_field;
use super::lexer::Token;
use super::{Place, ZoneFileError, location, prefixes, service};
use crate::draft::ZoneError;
use crate::rdata::{self, Field, plain_number};

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
        (_, Some(fields)) => by_fields(at, fields, tokens, origin)?,
        (_, None) => {
            return Err(at.fault(format!(
                "the fields of this type are not supported; write its data in the generic form of \
                 RFC 3597: TYPE{kind} \\# <length> <hexadecimal digits>"
            )));
        }
    };

    // The generic form can state any octets, for types with known fields too.
    match rdata::check(kind, &data) {
        Ok(()) => Ok(data),
        Err(error) => Err(at.fault(error.to_string())),
    }
}

/// `\# <length> <hex>...`: RFC 3597, section 5.
fn generic(len: &Token<'_>, hex: &[Token<'_>]) -> Result<Vec<u8>, ZoneFileError> {
    hexadecimal(hex)
        .filter(|data| plain_number(len.text) == Some(data.len()))
        .ok_or_else(|| {
            len.at
                .fault("the length and the hexadecimal digits do not agree")
        })
}

/// The octets that hexadecimal digits stand for; blanks may stand anywhere between them.
fn hexadecimal(tokens: &[Token<'_>]) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(joined(tokens).as_bytes()).ok()
}

fn joined(tokens: &[Token<'_>]) -> String {
    tokens.iter().map(|token| token.text).collect()
}

fn by_fields(
    at: Place,
    fields: &[Field],
    mut tokens: &[Token<'_>],
    origin: Option<&[u8]>,
) -> Result<Vec<u8>, ZoneFileError> {
    let mut data = Vec::new();
    for field in fields {
        match field {
            // RFC 1035, section 3.3.14: TXT has one string or more.
            Field::Texts if !tokens.is_empty() => {
                for token in tokens {
                    put_field(&mut data, Field::Text, token, origin)?;
                }
                tokens = &[];
            }
            Field::OptionalText if tokens.is_empty() => {}
            Field::Hex
            | Field::Base64
            | Field::ServiceParams
            | Field::Location
            | Field::Prefixes => {
                put_rest(&mut data, at, *field, tokens)?;
                tokens = &[];
            }
            _ => {
                let (token, rest) = tokens
                    .split_first()
                    .ok_or_else(|| at.fault("the record's data is incomplete"))?;
                put_field(&mut data, *field, token, origin)?;
                tokens = rest;
            }
        }
    }

    match tokens.first() {
        Some(token) => Err(token.at.fault("nothing may follow the data")),
        None => Ok(data),
    }
}

/// Writes a field to which all other tokens belong.
fn put_rest(
    data: &mut Vec<u8>,
    at: Place,
    field: Field,
    tokens: &[Token<'_>],
) -> Result<(), ZoneFileError> {
    let first = tokens.first().map_or(at, |token| token.at);
    let octets = match field {
        Field::Hex => hexadecimal(tokens)
            .filter(|octets| !octets.is_empty())
            .ok_or_else(|| first.fault("these are no hexadecimal digits, two for each octet"))?,
        Field::Base64 => BASE64
            .decode(joined(tokens).as_bytes())
            .ok()
            .filter(|octets| !octets.is_empty())
            .ok_or_else(|| first.fault("this is no Base64"))?,
        Field::Location => location::parse(at, tokens)?,
        Field::Prefixes => prefixes::parse(tokens)?,
        // `ServiceParams`: `by_fields` calls this only with the fields that take all that is left.
        _ => service::parse(tokens)?,
    };

    data.extend(octets);
    Ok(())
}
