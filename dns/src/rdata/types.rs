//! The record types whose data this crate reads, writes and checks field by field.

use super::Field::{
    self, Algorithm, Base64, CertificateType, Eui48, Eui64, Hex, Ipv4, Ipv6, Location, Locator,
    LongText, Name, OptionalText, PlainName, Prefixes, ServiceParams, Tag, Text, Texts, Time, U8,
    U16, U32,
};

/// A record type.
pub(super) struct RecordType {
    pub(super) number: u16,
    pub(super) mnemonic: &'static str,
    pub(super) fields: &'static [Field],
}

const fn of(number: u16, mnemonic: &'static str, fields: &'static [Field]) -> RecordType {
    RecordType {
        number,
        mnemonic,
        fields,
    }
}

/// By number. Types that have meaning only in a signed zone (RFC 4034, RFC 5155, RFC 8976) are
/// absent, and so are those whose fields depend on each other.
const TYPES: [RecordType; 47] = [
    of(1, "A", &[Ipv4]),
    of(2, "NS", &[Name]),
    of(5, "CNAME", &[Name]),
    of(6, "SOA", &[Name, Name, U32, Time, Time, Time, Time]),
    of(7, "MB", &[Name]),
    of(8, "MG", &[Name]),
    of(9, "MR", &[Name]),
    of(12, "PTR", &[Name]),
    of(13, "HINFO", &[Text, Text]),
    of(14, "MINFO", &[Name, Name]),
    of(15, "MX", &[U16, Name]),
    of(16, "TXT", &[Texts]),
    // RFC 1183.
    of(17, "RP", &[PlainName, PlainName]),
    of(18, "AFSDB", &[U16, PlainName]),
    of(19, "X25", &[Text]),
    of(20, "ISDN", &[Text, OptionalText]),
    of(21, "RT", &[U16, PlainName]),
    // RFC 2163.
    of(26, "PX", &[U16, PlainName, PlainName]),
    // RFC 1712.
    of(27, "GPOS", &[Text, Text, Text]),
    of(28, "AAAA", &[Ipv6]),
    // RFC 1876.
    of(29, "LOC", &[Location]),
    // RFC 2782.
    of(33, "SRV", &[U16, U16, U16, PlainName]),
    // RFC 3403.
    of(35, "NAPTR", &[U16, U16, Text, Text, Text, PlainName]),
    // RFC 2230.
    of(36, "KX", &[U16, PlainName]),
    // RFC 4398.
    of(37, "CERT", &[CertificateType, U16, Algorithm, Base64]),
    // RFC 6672.
    of(39, "DNAME", &[PlainName]),
    // RFC 3123.
    of(42, "APL", &[Prefixes]),
    // RFC 4034, section 5: it stands at a delegation, in a zone that is not signed too.
    of(43, "DS", &[U16, Algorithm, U8, Hex]),
    // RFC 4255.
    of(44, "SSHFP", &[U8, U8, Hex]),
    // RFC 4701.
    of(49, "DHCID", &[Base64]),
    // RFC 6698 and RFC 8162.
    of(52, "TLSA", &[U8, U8, U8, Hex]),
    of(53, "SMIMEA", &[U8, U8, U8, Hex]),
    of(58, "TALINK", &[PlainName, PlainName]),
    // RFC 7929.
    of(61, "OPENPGPKEY", &[Base64]),
    // RFC 9460.
    of(64, "SVCB", &[U16, PlainName, ServiceParams]),
    of(65, "HTTPS", &[U16, PlainName, ServiceParams]),
    // RFC 7208, section 3.1: obsolete, and read as TXT.
    of(99, "SPF", &[Texts]),
    // RFC 6742.
    of(104, "NID", &[U16, Locator]),
    of(105, "L32", &[U16, Ipv4]),
    of(106, "L64", &[U16, Locator]),
    of(107, "LP", &[U16, PlainName]),
    // RFC 7043.
    of(108, "EUI48", &[Eui48]),
    of(109, "EUI64", &[Eui64]),
    // RFC 7553.
    of(256, "URI", &[U16, U16, LongText]),
    // RFC 8659.
    of(257, "CAA", &[U8, Tag, LongText]),
    of(258, "AVC", &[Texts]),
    // RFC 4431.
    of(32769, "DLV", &[U16, Algorithm, U8, Hex]),
];

/// The type with this number.
pub(super) fn by_number(number: u16) -> Option<&'static RecordType> {
    let index = TYPES.binary_search_by_key(&number, |known| known.number);

    index.ok().map(|index| &TYPES[index])
}

/// The type with this mnemonic, in any case.
pub(super) fn by_mnemonic(text: &str) -> Option<&'static RecordType> {
    TYPES
        .iter()
        .find(|known| known.mnemonic.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_in_the_order_of_their_numbers() {
        assert!(TYPES.is_sorted_by_key(|known| known.number));
        for known in &TYPES {
            let found = by_mnemonic(known.mnemonic).map(|found| found.number);
            assert_eq!(found, Some(known.number));
        }
    }
}
