//! Records in presentation format, as in zone files (RFC 1035, section 5).
//!
//! Invariant: parsing the text gives the same octets again. Data without a format of its own, or
//! that would not survive it, is written in the generic format of RFC 3597, section 5.

mod service;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXLOWER};
use hickory_proto::rr::RecordType;

use crate::name::{Name, text_from_wire};
use crate::rdata::{self, Field, kind_from_text};
use crate::zone::Zone;

impl Zone {
    /// The zone as a zone file with absolute names, from which [`Zone::from_text`] builds the same
    /// zone again.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "; {} at serial {}, {} records\n",
            self.apex(),
            self.serial(),
            self.records()
        );

        self.rrsets(|owner, set| {
            for data in set.data() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}", record_text(owner, set.ttl(), set.kind(), data));
            }
        });

        text
    }
}

/// One record: owner, TTL, class, type, data.
pub(crate) fn record_text(owner: &Name, ttl: u32, kind: u16, data: &[u8]) -> String {
    format!(
        "{} {ttl} IN {} {}",
        text_from_wire(owner.as_wire()),
        kind_text(kind),
        data_text(kind, data)
    )
}

/// A type's mnemonic, or `TYPE` and its number (RFC 3597, section 5).
pub(crate) fn kind_text(kind: u16) -> String {
    if let Some(mnemonic) = rdata::mnemonic(kind) {
        return mnemonic.to_owned();
    }

    // hickory-proto has mnemonics that it does not read.
    let name = RecordType::from(kind).to_string();
    if kind_from_text(&name) == Some(kind) {
        name
    } else {
        format!("TYPE{kind}")
    }
}

/// `data` must be well-formed for its type.
fn data_text(kind: u16, data: &[u8]) -> String {
    let text = rdata::fields(kind).and_then(|fields| text_by_fields(fields, data));

    text.unwrap_or_else(|| {
        let hex = HEXLOWER.encode(data);
        format!("\\# {} {hex}", data.len()).trim_end().to_owned()
    })
}

fn text_by_fields(fields: &[Field], mut data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    for field in fields {
        let (value, rest) = data.split_at_checked(rdata::field_len(*field, data)?)?;

        words.extend(word(*field, value)?);
        data = rest;
    }

    data.is_empty().then(|| words.join(" "))
}

/// How a field is written. `Some(None)`: not at all. `None`: only the generic format can say it.
fn word(field: Field, value: &[u8]) -> Option<Option<String>> {
    let text = match field {
        Field::Name | Field::PlainName => text_from_wire(value),
        Field::U8 | Field::Algorithm => value.first()?.to_string(),
        Field::U16 | Field::CertificateType => {
            u16::from_be_bytes(*value.first_chunk()?).to_string()
        }
        Field::U32 | Field::Time => u32::from_be_bytes(*value.first_chunk()?).to_string(),
        Field::Ipv4 => Ipv4Addr::from(*value.first_chunk::<4>()?).to_string(),
        Field::Ipv6 => Ipv6Addr::from(*value.first_chunk::<16>()?).to_string(),
        Field::Locator => groups(value.chunks(2), ":"),
        Field::Eui48 | Field::Eui64 => groups(value.chunks(1), "-"),
        Field::OptionalText if value.is_empty() => return Some(None),
        Field::Text | Field::OptionalText | Field::Texts => strings(value)?,
        Field::Tag => str::from_utf8(value.get(1..)?).ok()?.to_owned(),
        Field::LongText => quoted(value),
        Field::Hex => HEXLOWER.encode(value),
        Field::Base64 => BASE64.encode(value),
        Field::ServiceParams if value.is_empty() => return Some(None),
        Field::ServiceParams => service::text(value)?,
        Field::Prefixes => prefixes(value)?,
        Field::Location | Field::Rest => return None,
    };

    Some(Some(text))
}

fn groups<'v>(groups: impl Iterator<Item = &'v [u8]>, separator: &str) -> String {
    let groups: Vec<String> = groups.map(|group| HEXLOWER.encode(group)).collect();

    groups.join(separator)
}

/// RFC 3123, section 5.
fn prefixes(data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    for item in rdata::prefixes::items(data) {
        let mut octets = [0; 16];
        octets
            .get_mut(..item.address.len())?
            .copy_from_slice(item.address);
        let address = match item.family {
            1 => IpAddr::from(*octets.first_chunk::<4>()?),
            2 => IpAddr::from(octets),
            _ => return None,
        };

        let negation = if item.is_negated { "!" } else { "" };
        let (family, prefix_len) = (item.family, item.prefix_len);
        words.push(format!("{negation}{family}:{address}/{prefix_len}"));
    }

    Some(words.join(" "))
}

/// Character strings, each preceded by its length (RFC 1035, section 3.3).
fn strings(mut strings: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let Some((len, rest)) = strings.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*len))?;

        words.push(quoted(string));
        strings = rest;
    }

    Some(words.join(" "))
}

/// A character string in quotation marks.
fn quoted(string: &[u8]) -> String {
    let mut text = String::from('"');
    for &octet in string {
        match octet {
            b'"' | b'\\' => text.extend(['\\', octet as char]),
            b' '..=b'~' => text.push(octet as char),
            _ => text.push_str(&format!("\\{octet:03}")),
        }
    }

    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_a_zones_text_gives_the_same_zone() {
        let text = "\
            $TTL 5\n\
            @ SOA ns h\\.m 7 2 3 4 5\n\
            @ NS Ns\n\
            @ MX 10 mail\n\
            @ CAA 0 issue \"ca.example\"\n\
            \\@a\\.b\\032c A 10.0.0.1\n\
            ns AAAA fd00::1\n\
            t TXT \"a \\\" \\\\ \\200 ; (\" \"\" c\n\
            _x._tcp 30 SRV 0 1 7051 ns\n\
            d DNAME x.\n\
            u TYPE65280 \\# 3 0a0b0c\n\
            v TYPE65281 \\# 0\n\
            *.w CNAME .\n\
            n NAPTR 1 2 \"u\" \"s\" \"\" .\n\
            h HTTPS 1 . alpn=h2,h3 port=53\n\
            l LOC 52 22 23 N 4 53 32 E -2m 0m 10000m 10m\n\
            s SSHFP 1 1 ( 123456789abcdef67890 123456789abcdef67890 )\n\
            v2 HTTPS 1 . alpn=\"h\\\\,2,h\\\\\\\\3\" key667=\"a b\"\n\
            p APL 1:10.0.0.0/8 !2:fd00::/8\n\
            c CERT PKIX 1 RSASHA256 AAAA\n\
            e EUI48 00-00-5E-00-53-2A\n\
            i ISDN \"150\"\n\
            y URI 1 2 \"ftp://a b\"\n";
        let apex = Name::from_text("org1.example").unwrap();
        let zone = Zone::from_text(text, Some(&apex)).unwrap();

        let written = zone.to_text();
        let parsed = Zone::from_text(&written, None)
            .unwrap_or_else(|faults| panic!("{faults:?}\n{written}"));
        assert_eq!(parsed.encode(), zone.encode(), "{written}");

        for line in [
            "org1.example. 5 IN MX 10 mail.org1.example.",
            "org1.example. 5 IN NS Ns.org1.example.",
            "org1.example. 5 IN CAA 0 issue \"ca.example\"",
            "_x._tcp.org1.example. 30 IN SRV 0 1 7051 ns.org1.example.",
            "d.org1.example. 5 IN DNAME x.",
            "t.org1.example. 5 IN TXT \"a \\\" \\\\ \\200 ; (\" \"\" \"c\"",
            "u.org1.example. 5 IN TYPE65280 \\# 3 0a0b0c",
            "v.org1.example. 5 IN TYPE65281 \\# 0",
            "h.org1.example. 5 IN HTTPS 1 . alpn=h2,h3 port=53",
            "v2.org1.example. 5 IN HTTPS 1 . alpn=\"h\\\\,2,h\\\\\\\\3\" key667=\"a b\"",
            "p.org1.example. 5 IN APL 1:10.0.0.0/8 !2:fd00::/8",
            "e.org1.example. 5 IN EUI48 00-00-5e-00-53-2a",
            "i.org1.example. 5 IN ISDN \"150\"",
            "y.org1.example. 5 IN URI 1 2 \"ftp://a b\"",
            "l.org1.example. 5 IN LOC \\# 16 000016138b3cf018810cbce0009895b8",
        ] {
            assert!(
                written.lines().any(|written| written == line),
                "{line}\nis not in\n{written}"
            );
        }
    }
}
