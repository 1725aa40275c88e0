//! [`Response`]: a response in parts, for people who want to see what a query gets.
//!
//! Reads messages that [`answer`](crate::answer()) wrote, for `ringway dns query`. Responses of
//! other servers are read by `hickory-proto` (see `forward`).

use std::fmt;

use crate::answer::rcode;
use crate::name::{MAX_LEN, Name};
use crate::rdata::{self, Field, kind};
use crate::text::{kind_text, record_text};

/// A response, record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The response code, with the upper bits from EDNS.
    pub rcode: u16,
    /// The AA bit: the response comes from a zone that this server is authoritative for.
    pub authoritative: bool,
    /// The TC bit: the response was too large for its transport.
    pub truncated: bool,
    /// Answer, authority and additional section, without the OPT pseudo-record.
    pub sections: [Vec<ResponseRecord>; 3],
}

/// One record of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRecord {
    /// The name.
    pub owner: Name,
    /// In seconds.
    pub ttl: u32,
    /// Number of the type.
    pub kind: u16,
    /// Data in wire form, with uncompressed names.
    pub data: Vec<u8>,
}

impl Response {
    /// Parses `message`; `None` if it is malformed.
    pub fn parse(message: &[u8]) -> Option<Response> {
        let mut reader = Reader { message, at: 0 };
        let [_, flags, questions, counts @ ..] = reader.numbers::<6>()?;
        for _ in 0..questions {
            // Name, type and class (RFC 1035, section 4.1.2).
            reader.name()?;
            reader.numbers::<2>()?;
        }

        let mut extended_rcode = 0;
        let mut sections = [const { Vec::new() }; 3];
        for (section, count) in sections.iter_mut().zip(counts) {
            for _ in 0..count {
                match reader.record()? {
                    // RFC 6891, section 6.1.3: the first octet of the TTL field.
                    opt if opt.kind == kind::OPT => extended_rcode = (opt.ttl >> 24) as u16,
                    record => section.push(record),
                }
            }
        }

        Some(Response {
            rcode: extended_rcode << 4 | flags & 0xf,
            authoritative: flags & 0x400 != 0,
            truncated: flags & 0x200 != 0,
            sections,
        })
    }

    /// The mnemonic of the response code.
    pub fn status(&self) -> String {
        match self.rcode {
            rcode::NOERROR => "NOERROR".into(),
            rcode::FORMERR => "FORMERR".into(),
            rcode::SERVFAIL => "SERVFAIL".into(),
            rcode::NXDOMAIN => "NXDOMAIN".into(),
            rcode::NOTIMP => "NOTIMP".into(),
            rcode::REFUSED => "REFUSED".into(),
            rcode::YXDOMAIN => "YXDOMAIN".into(),
            other => format!("RCODE{other}"),
        }
    }
}

impl fmt::Display for ResponseRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&record_text(&self.owner, self.ttl, self.kind, &self.data))
    }
}

/// A query message for `name` and type `kind`, with neither the RD bit nor EDNS.
pub fn query_message(name: &Name, kind: u16) -> Vec<u8> {
    // Identifier 0, no flags, one question.
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(name.as_wire());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message
}

const CLASS_IN: u16 = 1;

/// A question as text: name, class and type.
pub fn question_text(name: &Name, kind: u16) -> String {
    let kind = if kind == kind::ANY {
        "ANY".into()
    } else {
        kind_text(kind)
    };
    format!("{name} IN {kind}")
}

/// The rest of a message. Its methods return `None` where the message ends too early.
struct Reader<'m> {
    message: &'m [u8],
    /// Offset of the next octet.
    at: usize,
}

impl Reader<'_> {
    fn numbers<const N: usize>(&mut self) -> Option<[u16; N]> {
        let bytes = self.message.get(self.at..self.at + 2 * N)?;
        self.at += 2 * N;
        Some(std::array::from_fn(|i| {
            u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]])
        }))
    }

    fn record(&mut self) -> Option<ResponseRecord> {
        let (owner, _) = Name::from_wire(&self.name()?).ok()?;
        // Type, class, TTL in two halves, length (RFC 1035, section 4.1.3).
        let [kind, _, ttl_high, ttl_low, len] = self.numbers()?;
        let end = self.at + usize::from(len);

        Some(ResponseRecord {
            owner,
            ttl: u32::from(ttl_high) << 16 | u32::from(ttl_low),
            kind,
            data: self.data(kind, end)?,
        })
    }

    /// The data up to `end`, with its names uncompressed.
    fn data(&mut self, kind: u16, end: usize) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        for field in rdata::fields(kind).unwrap_or(&[Field::Rest]) {
            if matches!(field, Field::Name | Field::PlainName) {
                data.extend(self.name()?);
                continue;
            }

            let len = rdata::field_len(*field, self.message.get(self.at..end)?)?;
            data.extend_from_slice(self.message.get(self.at..self.at + len)?);
            self.at += len;
        }

        // A compressed name may have led beyond the end that the record states.
        (self.at == end).then_some(data)
    }

    /// An uncompressed copy of the name here (RFC 1035, section 4.1.4), its case unchanged.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut at = self.at;
        // Where to go on, once a pointer has led away from here.
        let mut after_pointer = None;

        loop {
            let len = *self.message.get(at)?;
            if len & 0xc0 == 0xc0 {
                let low = *self.message.get(at + 1)?;
                after_pointer.get_or_insert(at + 2);
                let target = usize::from(len & 0x3f) << 8 | usize::from(low);
                // Backwards only, so that a chain of pointers ends.
                if target >= at {
                    return None;
                }
                at = target;
                continue;
            }

            let end = at + 1 + usize::from(len);
            name.extend_from_slice(self.message.get(at..end)?);
            at = end;
            if len == 0 || name.len() > MAX_LEN {
                break;
            }
        }

        self.at = after_pointer.unwrap_or(at);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Transport, answer};
    use crate::zone::tests::zone;
    use crate::zones::ZoneSet;

    /// The response to a query, and its records as text.
    fn response(zones: &ZoneSet, name: &str, kind: u16) -> (Response, Vec<String>) {
        let query = query_message(&Name::from_text(name).unwrap(), kind);
        let mut message = Vec::new();
        answer(zones, &query, Transport::Tcp, &mut message);
        let response = Response::parse(&message).unwrap();
        let records = response.sections.iter().flatten();
        let lines = records.map(ToString::to_string).collect();
        (response, lines)
    }

    #[test]
    fn a_response_has_the_records_of_the_zone() {
        let zones = ZoneSet::of([zone(
            "org1.example",
            "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n_x._tcp SRV 0 0 7051 ns\n*.w MX 10 ns\n",
        )]);

        let (srv, lines) = response(&zones, "_x._tcp.org1.example", kind::SRV);
        assert_eq!(srv.status(), "NOERROR");
        assert!(srv.authoritative);
        assert_eq!(
            lines,
            [
                "_x._tcp.org1.example. 5 IN SRV 0 0 7051 ns.org1.example.",
                "ns.org1.example. 5 IN A 10.0.0.1",
            ]
        );

        let (_, lines) = response(&zones, "a.w.org1.example", kind::MX);
        assert_eq!(lines[0], "a.w.org1.example. 5 IN MX 10 ns.org1.example.");

        let (missing, lines) = response(&zones, "a.org1.example", kind::A);
        assert_eq!(missing.status(), "NXDOMAIN");
        assert_eq!(
            lines,
            ["org1.example. 5 IN SOA ns.org1.example. h.org1.example. 1 2 3 4 5"]
        );

        let (refused, lines) = response(&zones, "elsewhere.example", kind::A);
        assert_eq!(refused.status(), "REFUSED");
        assert!(!refused.authoritative);
        assert!(lines.is_empty());
    }

    #[test]
    fn refuses_truncated_messages_and_pointer_loops() {
        let message = query_message(&Name::from_text("a.example").unwrap(), kind::A);
        for len in 0..message.len() {
            assert_eq!(Response::parse(&message[..len]), None, "{len} octets");
        }

        // A pointer to itself, where the question's name starts.
        let mut looping = message;
        looping[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(Response::parse(&looping), None);
    }
}
