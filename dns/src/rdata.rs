//! Record data in wire format: the fields of each type, where names stand in them, and whether
//! octets are well-formed.
//!
//! `types` describes the known types by their fields. The answer logic treats all others as
//! opaque: `hickory-proto` checks those that it knows, and the rest is carried as it is (RFC 3597).

mod mnemonic;
pub(crate) mod prefixes;
pub(crate) mod service;
mod types;

use std::borrow::Cow;
use std::str::FromStr;

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

pub(crate) use self::mnemonic::{algorithm, certificate_type};
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
    pub const SRV: u16 = 33;
    pub const NAPTR: u16 = 35;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const NSEC: u16 = 47;
    pub const NSEC3: u16 = 50;
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
    U8,
    U16,
    U32,
    /// Seconds in 32 bits.
    Time,
    /// The number of a DNSSEC algorithm, one octet.
    Algorithm,
    /// The number of a certificate type, two octets.
    CertificateType,
    Ipv4,
    Ipv6,
    /// 64 bits of an address (RFC 6742, section 2.1.1).
    Locator,
    Eui48,
    Eui64,
    /// One character string.
    Text,
    /// One character string or none.
    OptionalText,
    /// One or more character strings.
    Texts,
    /// Letters and digits, preceded by their length (RFC 8659, section 4.1).
    Tag,
    /// The rest of the data, as text.
    LongText,
    /// The rest of the data, in hexadecimal digits; at least one octet.
    Hex,
    /// The rest of the data, in Base64; at least one octet.
    Base64,
    /// The parameters of a service.
    ServiceParams,
    /// A place on earth (RFC 1876, section 2).
    Location,
    /// A list of address prefixes.
    Prefixes,
    /// The rest of the data, of which nothing is known.
    Rest,
}

impl Field {
    /// True if the field is a domain name.
    pub(crate) fn is_name(self) -> bool {
        matches!(self, Field::Name | Field::PlainName)
    }
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
    types::by_number(kind).map(|known| known.fields)
}

/// The mnemonic of a type with known fields.
pub(crate) fn mnemonic(kind: u16) -> Option<&'static str> {
    types::by_number(kind).map(|known| known.mnemonic)
}

/// The number of a type by its mnemonic, such as `A` or `dname`, or by its generic name, such as
/// `TYPE65280` (RFC 3597, section 5).
pub fn kind_from_text(text: &str) -> Option<u16> {
    if let Some(known) = types::by_mnemonic(text) {
        return Some(known.number);
    }

    let text = text.to_ascii_uppercase();
    match text.strip_prefix("TYPE") {
        Some(number) => plain_number(number),
        None => {
            mnemonic::other_type(&text).or_else(|| RecordType::from_str(&text).ok().map(u16::from))
        }
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
        let split = field_len(*field, rest).and_then(|len| rest.split_at_checked(len));
        let Some((value, tail)) = split else {
            return false;
        };
        if !is_value(*field, value) {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

/// True if `value`, which has the right length, can be the value of `field`.
fn is_value(field: Field, value: &[u8]) -> bool {
    match field {
        // RFC 8659, section 4.1: letters and digits, at least one, behind their number.
        Field::Tag => {
            matches!(value.len(), 2..=256) && value[1..].iter().all(u8::is_ascii_alphanumeric)
        }
        Field::Hex | Field::Base64 => !value.is_empty(),
        Field::ServiceParams => service::check(value).is_ok(),
        Field::Location => is_location(value),
        Field::Prefixes => prefixes::is_list(value),
        _ => true,
    }
}

/// RFC 1876, section 2: version 0, and three sizes of two decimal digits each.
fn is_location(value: &[u8]) -> bool {
    let [0, sizes @ ..] = value else {
        return false;
    };

    let are_digits = |size: &u8| size >> 4 <= 9 && size & 0x0f <= 9;
    value.len() == 16 && sizes[..3].iter().all(are_digits)
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
        Field::U8 | Field::Algorithm => Some(1),
        Field::U16 | Field::CertificateType => Some(2),
        Field::U32 | Field::Time | Field::Ipv4 => Some(4),
        Field::Eui48 => Some(6),
        Field::Locator | Field::Eui64 => Some(8),
        Field::Ipv6 => Some(16),
        Field::Text | Field::Tag => Some(1 + usize::from(*data.first()?)),
        Field::OptionalText => Some(data.first().map_or(0, |len| 1 + usize::from(*len))),
        // RFC 1035, section 3.3.14: one or more strings, so an empty datum is malformed.
        Field::Texts => {
            let mut at = 0;
            while at == 0 || at < data.len() {
                at += 1 + usize::from(*data.get(at)?);
            }
            Some(at)
        }
        Field::LongText
        | Field::Hex
        | Field::Base64
        | Field::ServiceParams
        | Field::Location
        | Field::Prefixes
        | Field::Rest => Some(data.len()),
    }
}

/// `data` with its names in lowercase (RFC 4034, section 6.2): equal data have equal octets.
pub(crate) fn canonical(kind: u16, data: &[u8]) -> Cow<'_, [u8]> {
    let fields = fields(kind).unwrap_or_default();
    if !fields.iter().any(|field| field.is_name()) {
        return Cow::Borrowed(data);
    }

    let mut canonical = data.to_vec();
    let mut rest = &mut canonical[..];
    for field in fields {
        let len = field_len(*field, rest).unwrap_or(rest.len());
        let Some((value, tail)) = rest.split_at_mut_checked(len) else {
            break;
        };
        if field.is_name() {
            // Length octets are below 64 and letters above.
            value.make_ascii_lowercase();
        }
        rest = tail;
    }
    Cow::Owned(canonical)
}

/// The host name in `data`, in wire format, whose records belong into the additional section (RFC
/// 1035, section 3.3; RFC 2782; RFC 3403, section 4.2; RFC 9460, section 4.1).
pub(crate) fn host(kind: u16, data: &[u8]) -> Option<&[u8]> {
    match kind {
        kind::NS => Some(data),
        // After the preference.
        kind::MX => data.get(2..),
        // After priority, weight and port.
        kind::SRV => data.get(6..),
        // After the priority; parameters follow.
        kind::SVCB | kind::HTTPS => data.get(2..),
        // After order, preference, flags, services and the regular expression.
        kind::NAPTR => {
            let fields = fields(kind)?.iter().take(5);
            fields
                .copied()
                .try_fold(data, |rest, field| rest.get(field_len(field, rest)?..))
        }
        _ => None,
    }
}

/// The types of that host's records, for RRsets of type `kind`; empty if there is no host.
pub(crate) fn additional(kind: u16) -> &'static [u16] {
    match kind {
        kind::NS | kind::MX | kind::SRV => &[kind::A, kind::AAAA],
        kind::NAPTR => &[kind::SRV, kind::A, kind::AAAA],
        kind::SVCB => &[kind::SVCB, kind::A, kind::AAAA],
        kind::HTTPS => &[kind::HTTPS, kind::A, kind::AAAA],
        _ => &[],
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
        for kind in [65279, 65280] {
            assert_eq!(check(kind, &[]), Ok(()), "RFC 3597: opaque");
            assert_eq!(check(kind, b"any"), Ok(()), "RFC 3597: opaque");
        }
    }

    #[test]
    fn reads_types_in_any_case_and_by_number() {
        assert_eq!(kind_from_text("aaaa"), Some(kind::AAAA));
        assert_eq!(kind_from_text("DNAME"), Some(kind::DNAME));
        assert_eq!(kind_from_text("type39"), Some(kind::DNAME));
        assert_eq!(kind_from_text("loc"), Some(29));
        assert_eq!(kind_from_text("ANY"), Some(kind::ANY));
        assert_eq!(kind_from_text("NONSENSE"), None);
        assert_eq!(kind_from_text("TYPE+39"), None);
        assert_eq!(kind_from_text("TYPE"), None);
    }

    #[test]
    fn the_case_of_names_in_data_makes_no_difference() {
        let same: [(u16, &[u8], &[u8]); 3] = [
            (kind::MX, b"\x00\x41\x01M\x00", b"\x00\x41\x01m\x00"),
            (kind::SRV, b"AAAAAA\x01M\x00", b"AAAAAA\x01m\x00"),
            (kind::TXT, b"\x01M", b"\x01M"),
        ];
        for (kind, data, expected) in same {
            assert_eq!(*canonical(kind, data), *expected, "type {kind}");
        }
    }

    #[test]
    fn question_types_and_meta_types_are_no_data() {
        assert!(is_data(kind::A) && is_data(257) && is_data(65280));
        assert!(!is_data(0) && !is_data(kind::ANY) && !is_data(kind::AXFR) && !is_data(kind::OPT));
    }
}
