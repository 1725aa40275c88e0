//! TTLs and other times: seconds, or numbers with units (`1h30m`).

use hickory_proto::serialize::txt::parse_ttl;

use super::ZoneFileError;
use super::lexer::Token;

/// True if `token` is meant to be a time: digits, with units or without.
pub(super) fn looks_like_one(token: &Token<'_>) -> bool {
    let mut bytes = token.text.bytes();

    bytes.next().is_some_and(|first| first.is_ascii_digit())
        && bytes.all(|byte| byte.is_ascii_digit() || b"smhdwSMHDW".contains(&byte))
}

/// The seconds.
pub(super) fn read(token: &Token<'_>) -> Result<u32, ZoneFileError> {
    parse_ttl(token.text).map_err(|_| {
        token.at.fault(if is_number_with_units(token) {
            // RFC 2181, section 8.
            "this TTL is too large; write at most 2147483647 seconds"
        } else {
            "this is no TTL; write seconds or 1h30m"
        })
    })
}

/// A number before each unit: what is wrong can only be that the sum is too large.
fn is_number_with_units(token: &Token<'_>) -> bool {
    let bytes = token.text.as_bytes();
    let pairs = bytes
        .windows(2)
        .all(|pair| pair.iter().any(u8::is_ascii_digit));

    looks_like_one(token) && pairs
}
