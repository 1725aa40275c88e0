//! Record data in wire form: which fields a type has, where names stand in it, whether bytes are well-formed.
//!
//! Types that carry names are described here by their fields; all others are opaque to the answer
//! logic and checked by `hickory-proto`'s decoder where it knows them (RFC 3597: unknown types are
//! carried as they are).

use std::str::FromStr;

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use crate::loc;
use crate::name::wire_len;

/// Numbers of the record types that the answer logic treats specially (IANA, DNS parameters).
pub mod kind {
    #![expect(missing_docs, reason = "the types' own names")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const LOC: u16 = 29;
    pub const SRV: u16 = 33;
    pub const NAPTR: u16 = 35;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// One field of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// A domain name that may be compressed in a message (RFC 3597, section 4: types of RFC 1035 only).
    Name,
    /// A domain name that may not.
    PlainName,
    U16,
    U32,
    Ipv4,
    Ipv6,
    /// One character string.
    Text,
    /// One or more character strings.
    Texts,
    /// All that is left; checked by hickory-proto.
    Rest,
}

/// Why bytes are not data of their type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data of type {kind} is malformed")]
pub struct RdataError {
    /// Number of the type.
    pub kind: u16,
}

/// The fields of `kind`'s data; `None` if it is opaque here.
pub(crate) fn fields(kind: u16) -> Option<&'static [Field]> {
    Some(match kind {
        kind::A => &[Field::Ipv4],
        kind::AAAA => &[Field::Ipv6],
        kind::NS | kind::CNAME | kind::PTR => &[Field::Name],
        kind::SOA => &[
            Field::Name,
            Field::Name,
            Field::U32,
            Field::U32,
            Field::U32,
            Field::U32,
            Field::U32,
        ],
        kind::MX => &[Field::U16, Field::Name],
        kind::TXT => &[Field::Texts],
        kind::SRV => &[Field::U16, Field::U16, Field::U16, Field::PlainName],
        kind::DNAME => &[Field::PlainName],
        kind::NAPTR => &[
            Field::U16,
            Field::U16,
            Field::Text,
            Field::Text,
            Field::Text,
            Field::PlainName,
        ],
        kind::SVCB | kind::HTTPS => &[Field::U16, Field::PlainName, Field::Rest],
        _ => return None,
    })
}

/// The number of the type that zone files and users write as `text`: `A`, `dname`, `TYPE65280` (RFC 3597).
pub fn kind_from_text(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    match &*text {
        // hickory-proto does not know them.
        "DNAME" => Some(kind::DNAME),
        "LOC" => Some(kind::LOC),
        _ => match text.strip_prefix("TYPE") {
            Some(number) => plain_number(number),
            None => RecordType::from_str(&text).ok().map(u16::from),
        },
    }
}

/// A number of decimal digits and nothing else.
pub(crate) fn plain_number<N: FromStr>(text: &str) -> Option<N> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// True if records of `kind` may stand in a zone: no question types, no pseudo types (RFC 6895, section 3.1).
pub fn is_data(kind: u16) -> bool {
    !matches!(kind, 0 | kind::OPT | 128..=255 | 65535)
}

/// Checks that `data` is exactly one datum of `kind`, without compression.
pub fn check(kind: u16, data: &[u8]) -> Result<(), RdataError> {
    let error = || RdataError { kind };
    let len = u16::try_from(data.len()).map_err(|_| error())?;
    let known = fields(kind);
    let mut rest = data;
    for field in known.unwrap_or(&[]) {
        rest = field_len(*field, rest)
            .and_then(|len| rest.get(len..))
            .ok_or_else(error)?;
    }
    match known {
        Some([.., Field::Rest]) | None => check_opaque(kind, data, len).ok_or_else(error),
        Some(_) if rest.is_empty() => Ok(()),
        Some(_) => Err(error()),
    }
}

fn check_opaque(kind: u16, data: &[u8], len: u16) -> Option<()> {
    let record_type = RecordType::from(kind);
    if kind == kind::LOC {
        return loc::is_loc(data).then_some(());
    }
    if matches!(record_type, RecordType::Unknown(_)) {
        return Some(());
    }
    // hickory-proto asserts that what it keeps as bytes is not empty.
    if data.is_empty() {
        return None;
    }
    RData::read(&mut BinDecoder::new(data), record_type, Restrict::new(len))
        .ok()
        .map(drop)
}

/// How many of `data`'s first octets the field takes; `None` if it is malformed.
pub(crate) fn field_len(field: Field, data: &[u8]) -> Option<usize> {
    match field {
        Field::Name | Field::PlainName => wire_len(data).ok(),
        Field::U16 => Some(2),
        Field::U32 | Field::Ipv4 => Some(4),
        Field::Ipv6 => Some(16),
        Field::Text => Some(1 + usize::from(*data.first()?)),
        Field::Texts => {
            let mut at = 0;
            while at == 0 || at < data.len() {
                at += 1 + usize::from(*data.get(at)?);
            }
            Some(at)
        }
        Field::Rest => Some(data.len()),
    }
}

/// The host that `data` points at, in wire form: its addresses belong into the additional section
/// (RFC 1035, section 3.3; RFC 2782).
pub(crate) fn host(kind: u16, data: &[u8]) -> Option<&[u8]> {
    match kind {
        kind::NS => Some(data),
        kind::MX => data.get(2..),
        kind::SRV => data.get(6..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_data_passes_and_anything_cut_or_stretched_does_not() {
        let good: [(u16, &[u8]); 7] = [
            (kind::A, &[10, 0, 0, 1]),
            (kind::AAAA, &[0; 16]),
            (kind::CNAME, b"\x01a\x00"),
            (kind::MX, b"\x00\x0a\x01m\x00"),
            (kind::TXT, b"\x02hi\x01x"),
            (kind::SRV, b"\x00\x00\x00\x00\x1b\x8a\x04peer\x00"),
            (257, b"\x00\x05issueca.example"),
        ];
        for (kind, data) in good {
            assert_eq!(check(kind, data), Ok(()), "type {kind}");
            assert!(
                check(kind, &data[..data.len() - 1]).is_err() || kind == 257,
                "type {kind} cut"
            );
            let longer: Vec<u8> = data.iter().copied().chain([9]).collect();
            assert!(
                check(kind, &longer).is_err() || kind == 257,
                "type {kind} stretched"
            );
            assert!(check(kind, &[]).is_err(), "type {kind} empty");
        }
        assert_eq!(check(65280, &[]), Ok(()), "an unknown type may be empty");
    }

    #[test]
    fn types_are_read_in_any_case_and_by_number() {
        assert_eq!(kind_from_text("aaaa"), Some(kind::AAAA));
        assert_eq!(
            (kind_from_text("DNAME"), kind_from_text("type39")),
            (Some(kind::DNAME), Some(kind::DNAME))
        );
        assert_eq!(
            (kind_from_text("ANY"), kind_from_text("NONSENSE")),
            (Some(kind::ANY), None)
        );
        assert_eq!(
            (kind_from_text("TYPE+39"), kind_from_text("TYPE")),
            (None, None)
        );
    }

    #[test]
    fn question_types_are_no_data() {
        assert!(is_data(kind::A) && is_data(257) && is_data(65280));
        assert!(!is_data(0) && !is_data(kind::ANY) && !is_data(kind::AXFR) && !is_data(kind::OPT));
    }
}
