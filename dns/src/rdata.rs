//! Record data in wire format: the fields of each type, where names stand in them, and whether
//! octets are well-formed.
//!
//! Types whose data contains names are described here by their fields. The answer logic treats all
//! other types as opaque; `hickory-proto` checks those that it knows, and the rest is carried as it
//! is (RFC 3597).

use std::str::FromStr;

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use crate::name::wire_len;

/// Numbers of the record types that have a meaning here (IANA, DNS parameters).
pub mod kind {
    #![expect(missing_docs, reason = "the names are the types' mnemonics")]
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
    pub const TKEY: u16 = 249;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const MAILB: u16 = 253;
    pub const MAILA: u16 = 254;
    pub const ANY: u16 = 255;
}

/// CLASS IN (RFC 1035, section 3.2.4): the only class of records here.
pub(crate) const CLASS_IN: u16 = 1;

/// One field of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// A domain name that may be compressed in a message (RFC 3597, section 4: types of RFC 1035
    /// only).
    Name,
    /// A domain name that must not be compressed.
    PlainName,
    U16,
    U32,
    Ipv4,
    Ipv6,
    /// One character string.
    Text,
    /// One or more character strings.
    Texts,
    /// The rest of the data, which hickory-proto checks.
    Rest,
}

/// Octets are not well-formed data of their type.
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

/// The number of a type by its mnemonic, such as `A` or `dname`, or by its generic name, such as
/// `TYPE65280` (RFC 3597, section 5).
pub fn kind_from_text(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    match &*text {
        // hickory-proto does not know these mnemonics.
        "DNAME" => Some(kind::DNAME),
        "LOC" => Some(kind::LOC),
        _ => match text.strip_prefix("TYPE") {
            Some(number) => plain_number(number),
            None => RecordType::from_str(&text).ok().map(u16::from),
        },
    }
}

/// A number of decimal digits alone: `str::parse` would accept a sign.
pub(crate) fn plain_number<N: FromStr>(text: &str) -> Option<N> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }

    text.parse().ok()
}

/// True if records of `kind` may stand in a zone: neither a question type nor a meta type (RFC
/// 6895, section 3.1).
pub fn is_data(kind: u16) -> bool {
    !matches!(kind, 0 | kind::OPT | 128..=255 | 65535)
}

/// Checks that `data` is exactly one record's data of `kind`, without name compression.
pub fn check(kind: u16, data: &[u8]) -> Result<(), RdataError> {
    if is_well_formed(kind, data) {
        Ok(())
    } else {
        Err(RdataError { kind })
    }
}

fn is_well_formed(kind: u16, data: &[u8]) -> bool {
    // RFC 1035, section 3.2.1: RDLENGTH has 16 bits.
    let Ok(len) = u16::try_from(data.len()) else {
        return false;
    };

    let Some(fields) = fields(kind) else {
        return is_well_formed_opaque(kind, data, len);
    };

    let mut rest = data;
    for field in fields {
        let Some(tail) = field_len(*field, rest).and_then(|len| rest.get(len..)) else {
            return false;
        };
        rest = tail;
    }

    match fields {
        [.., Field::Rest] => is_well_formed_opaque(kind, data, len),
        _ => rest.is_empty(),
    }
}

/// True if hickory-proto can parse `data`; of types that it does not know, any data passes.
fn is_well_formed_opaque(kind: u16, data: &[u8], len: u16) -> bool {
    let record_type = RecordType::from(kind);
    if matches!(record_type, RecordType::Unknown(_)) {
        return true;
    }

    // hickory-proto panics on empty data of some types that it keeps as octets.
    if data.is_empty() {
        return false;
    }

    RData::read(&mut BinDecoder::new(data), record_type, Restrict::new(len)).is_ok()
}

/// The number of octets that `field` has at the start of `data`; `None` if it is malformed.
pub(crate) fn field_len(field: Field, data: &[u8]) -> Option<usize> {
    match field {
        Field::Name | Field::PlainName => wire_len(data).ok(),
        Field::U16 => Some(2),
        Field::U32 | Field::Ipv4 => Some(4),
        Field::Ipv6 => Some(16),
        Field::Text => Some(1 + usize::from(*data.first()?)),
        // RFC 1035, section 3.3.14: one or more strings, so an empty datum is malformed.
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

/// The host name in `data`, in wire format, whose addresses belong into the additional section
/// (RFC 1035, section 3.3; RFC 2782).
pub(crate) fn host(kind: u16, data: &[u8]) -> Option<&[u8]> {
    match kind {
        kind::NS => Some(data),
        // After the preference.
        kind::MX => data.get(2..),
        // After priority, weight and port.
        kind::SRV => data.get(6..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_well_formed_data_and_no_shorter_or_longer() {
        // A CAA record's value has any length.
        const CAA: u16 = 257;
        let good: [(u16, &[u8]); 7] = [
            (kind::A, &[10, 0, 0, 1]),
            (kind::AAAA, &[0; 16]),
            (kind::CNAME, b"\x01a\x00"),
            (kind::MX, b"\x00\x0a\x01m\x00"),
            (kind::TXT, b"\x02hi\x01x"),
            (kind::SRV, b"\x00\x00\x00\x00\x1b\x8a\x04peer\x00"),
            (CAA, b"\x00\x05issueca.example"),
        ];
        for (kind, data) in good {
            assert_eq!(check(kind, data), Ok(()), "type {kind}");
            assert!(check(kind, &[]).is_err(), "type {kind}, empty");
            if kind == CAA {
                continue;
            }

            let shorter = &data[..data.len() - 1];
            assert!(check(kind, shorter).is_err(), "type {kind}, shorter");
            let longer = [data, &[9]].concat();
            assert!(check(kind, &longer).is_err(), "type {kind}, longer");
        }
    }

    #[test]
    fn accepts_any_data_of_types_it_does_not_know() {
        for kind in [kind::LOC, 65280] {
            assert_eq!(check(kind, &[]), Ok(()), "RFC 3597: opaque");
            assert_eq!(check(kind, b"any"), Ok(()), "RFC 3597: opaque");
        }
    }

    #[test]
    fn reads_types_in_any_case_and_by_number() {
        assert_eq!(kind_from_text("aaaa"), Some(kind::AAAA));
        assert_eq!(kind_from_text("DNAME"), Some(kind::DNAME));
        assert_eq!(kind_from_text("type39"), Some(kind::DNAME));
        assert_eq!(kind_from_text("LOC"), Some(kind::LOC));
        assert_eq!(kind_from_text("ANY"), Some(kind::ANY));
        assert_eq!(kind_from_text("NONSENSE"), None);
        assert_eq!(kind_from_text("TYPE+39"), None);
        assert_eq!(kind_from_text("TYPE"), None);
    }

    #[test]
    fn question_types_and_meta_types_are_no_data() {
        assert!(is_data(kind::A) && is_data(257) && is_data(65280));
        assert!(!is_data(0) && !is_data(kind::ANY) && !is_data(kind::AXFR) && !is_data(kind::OPT));
    }
}
