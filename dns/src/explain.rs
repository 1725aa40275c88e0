//! [`Explained`]: a response taken apart again, for people who want to know what a question gets and why.

use std::fmt;

use crate::answer::rcode;
use crate::name::Name;
use crate::rdata::{self, Field, kind};
use crate::text::{kind_text, record_text};

/// A response, record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Response code.
    pub rcode: u16,
    /// The answer is the zone's own word.
    pub authoritative: bool,
    /// It was too large for its transport.
    pub truncated: bool,
    /// Answer, authority and additional section; the EDNS pseudo record is left out.
    pub sections: [Vec<ExplainedRecord>; 3],
}

/// One record of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRecord {
    /// Its name.
    pub owner: Name,
    /// Seconds.
    pub ttl: u32,
    /// Number of the type.
    pub kind: u16,
    /// Data in wire form, uncompressed.
    pub data: Vec<u8>,
}

impl Explained {
    /// Takes `response` apart; `None` if it is no response of ours.
    pub fn read(response: &[u8]) -> Option<Explained> {
        let mut reader = Reader {
            message: response,
            at: 0,
        };
        let [_, flags, questions, counts @ ..] = reader.numbers::<6>()?;
        for _ in 0..questions {
            reader.name()?;
            reader.numbers::<2>()?;
        }
        let mut extended = 0;
        let mut sections = [const { Vec::new() }; 3];
        for (section, count) in sections.iter_mut().zip(counts) {
            for _ in 0..count {
                match reader.record()? {
                    // RFC 6891, section 6.1.3: the upper eight bits of the code.
                    opt if opt.kind == kind::OPT => extended = (opt.ttl >> 24) as u16,
                    record => section.push(record),
                }
            }
        }
        Some(Explained {
            rcode: extended << 4 | flags & 0xf,
            authoritative: flags & 0x400 != 0,
            truncated: flags & 0x200 != 0,
            sections,
        })
    }

    /// The response code's name.
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

impl fmt::Display for ExplainedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&record_text(&self.owner, self.ttl, self.kind, &self.data))
    }
}

/// The message of a question for `name` and `kind`, without recursion and EDNS.
pub fn question(name: &Name, kind: u16) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(name.as_wire());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&1u16.to_be_bytes());
    message
}

/// The name of a question's type, for people.
pub fn question_text(name: &Name, kind: u16) -> String {
    let kind = if kind == kind::ANY {
        "ANY".into()
    } else {
        kind_text(kind)
    };
    format!("{name} IN {kind}")
}

struct Reader<'m> {
    message: &'m [u8],
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

    fn record(&mut self) -> Option<ExplainedRecord> {
        let (owner, _) = Name::from_wire(&self.name()?).ok()?;
        let [kind, _, high, low, len] = self.numbers()?;
        let end = self.at + usize::from(len);
        let data = self.data(kind, end)?;
        Some(ExplainedRecord {
            owner,
            ttl: u32::from(high) << 16 | u32::from(low),
            kind,
            data,
        })
    }

    /// The data up to `end`, its names uncompressed.
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
        (self.at == end).then_some(data)
    }

    /// An uncompressed copy of the name here (RFC 1035, section 4.1.4); case is kept.
    fn name(&mut self) -> Option<Vec<u8>> {
        let (mut name, mut at, mut jumped) = (Vec::new(), self.at, false);
        loop {
            let len = *self.message.get(at)?;
            if len & 0xc0 == 0xc0 {
                let target = usize::from(len & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                if !jumped {
                    self.at = at + 2;
                }
                // Pointers lead back only, so that they end.
                (at, jumped) = ((target < at).then_some(target)?, true);
                continue;
            }
            let end = at + 1 + usize::from(len);
            name.extend_from_slice(self.message.get(at..end)?);
            at = end;
            if len == 0 || name.len() > crate::name::MAX_LEN {
                break;
            }
        }
        if !jumped {
            self.at = at;
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Transport, answer};
    use crate::zone::tests::zone;
    use crate::zones::ZoneSet;

    #[test]
    fn a_response_is_told_as_the_zone_has_it() {
        let zones = ZoneSet::of([zone(
            "org1.example",
            "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n_x._tcp SRV 0 0 7051 ns\n*.w MX 10 ns\n",
        )]);
        let ask = |name: &str, kind| {
            let mut response = Vec::new();
            let message = question(&Name::from_text(name).unwrap(), kind);
            answer(&zones, &message, Transport::Tcp, &mut response);
            let explained = Explained::read(&response).unwrap();
            let lines = explained
                .sections
                .iter()
                .flatten()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            (explained.status(), explained.authoritative, lines)
        };
        let (status, authoritative, lines) = ask("_x._tcp.org1.example", kind::SRV);
        assert_eq!((&*status, authoritative), ("NOERROR", true));
        assert_eq!(
            lines[0],
            "_x._tcp.org1.example. 5 IN SRV 0 0 7051 ns.org1.example."
        );
        assert_eq!(lines[1..], ["ns.org1.example. 5 IN A 10.0.0.1"]);
        assert_eq!(
            ask("a.w.org1.example", kind::MX).2[0],
            "a.w.org1.example. 5 IN MX 10 ns.org1.example."
        );
        let (status, _, lines) = ask("a.org1.example", kind::A);
        assert_eq!(status, "NXDOMAIN");
        assert_eq!(
            lines,
            ["org1.example. 5 IN SOA ns.org1.example. h.org1.example. 1 2 3 4 5"]
        );
        assert_eq!(
            ask("elsewhere.example", kind::A),
            ("REFUSED".into(), false, vec![])
        );
    }

    #[test]
    fn cut_and_looping_messages_are_no_response() {
        let message = question(&Name::from_text("a.example").unwrap(), kind::A);
        assert!((0..message.len()).all(|len| Explained::read(&message[..len]).is_none()));
        let mut looping = message.clone();
        looping[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(Explained::read(&looping), None);
    }
}
