//! Records in presentation format, as in zone files (RFC 1035, section 5).
//!
//! Invariant: parsing the text gives the same octets again. Data without a format of its own, or
//! that would not survive it, is written in the generic format of RFC 3597, section 5.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use crate::name::{Name, text_from_wire};
use crate::rdata::{self, Field, kind, kind_from_text};
use crate::zone::Zone;
use crate::zonefile::read_data;

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
    let name = match kind {
        kind::DNAME => "DNAME".to_owned(),
        kind::LOC => "LOC".to_owned(),
        _ => RecordType::from(kind).to_string(),
    };

    // hickory-proto has mnemonics that we do not read.
    if kind_from_text(&name) == Some(kind) {
        name
    } else {
        format!("TYPE{kind}")
    }
}

/// `data` must be well-formed for its type.
fn data_text(kind: u16, data: &[u8]) -> String {
    let text = match rdata::fields(kind) {
        Some(fields) if !fields.contains(&Field::Rest) => text_by_fields(fields, data),
        _ => text_by_hickory(kind, data),
    };
    text.unwrap_or_else(|| {
        let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("\\# {} {hex}", data.len()).trim_end().to_owned()
    })
}

fn text_by_fields(fields: &[Field], mut data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    for field in fields {
        let (value, rest) = data.split_at_checked(rdata::field_len(*field, data)?)?;

        words.push(match field {
            Field::Name | Field::PlainName => text_from_wire(value),
            Field::U16 => u16::from_be_bytes(*value.first_chunk()?).to_string(),
            Field::U32 => u32::from_be_bytes(*value.first_chunk()?).to_string(),
            Field::Ipv4 => Ipv4Addr::from(*value.first_chunk::<4>()?).to_string(),
            Field::Ipv6 => Ipv6Addr::from(*value.first_chunk::<16>()?).to_string(),
            Field::Text | Field::Texts => quoted(value)?,
            Field::Rest => return None,
        });
        data = rest;
    }

    data.is_empty().then(|| words.join(" "))
}

/// Character strings, each preceded by its length (RFC 1035, section 3.3).
fn quoted(mut strings: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let Some((len, rest)) = strings.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*len))?;

        let mut word = String::from('"');
        for &octet in string {
            match octet {
                b'"' | b'\\' => word.extend(['\\', octet as char]),
                b' '..=b'~' => word.push(octet as char),
                _ => word.push_str(&format!("\\{octet:03}")),
            }
        }
        word.push('"');
        words.push(word);
        strings = rest;
    }
    Some(words.join(" "))
}

/// The text that hickory-proto writes; `None` if parsing it does not give the same octets again.
fn text_by_hickory(kind: u16, data: &[u8]) -> Option<String> {
    let record_type = RecordType::from(kind);
    if matches!(record_type, RecordType::Unknown(_)) || data.is_empty() {
        return None;
    }

    let len = u16::try_from(data.len()).ok()?;
    let decoded = RData::read(&mut BinDecoder::new(data), record_type, Restrict::new(len)).ok()?;
    let text = decoded.to_string();
    // hickory-proto puts commas between service parameters, which other servers do not accept.
    let without_commas = text.replace(", ", " ").trim_end_matches(',').to_owned();

    let mnemonic = kind_text(kind);
    [without_commas, text]
        .into_iter()
        .find(|text| read_data(&mnemonic, text, &Name::ROOT) == Ok((kind, data.to_vec())))
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
            l LOC \\# 16 001613138b3cf018810cbce0009895b8\n\
            s SSHFP 1 1 123456789abcdef67890123456789abcdef67890\n";
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
            "l.org1.example. 5 IN LOC \\# 16 001613138b3cf018810cbce0009895b8",
        ] {
            assert!(
                written.lines().any(|written| written == line),
                "{line}\nis not in\n{written}"
            );
        }
    }
}
