//! [`Query`]: what a message asks, read without allocation, and whether it may be answered.

use super::rcode;
use crate::name::Name;
use crate::rdata::kind;

const HEADER: usize = 12;
/// Flags of the header's second word (RFC 1035, section 4.1.1).
const QR: u16 = 0x8000;
const RD: u16 = 0x0100;
const CD: u16 = 0x0010;
const OPCODE_SHIFT: u16 = 11;
const OPCODE_QUERY: u16 = 0;
/// The only flag of EDNS (RFC 3225).
const DNSSEC_OK: u16 = 0x8000;

/// Codes of EDNS options (IANA, DNS EDNS0 Option Codes).
pub(super) mod option {
    pub(in crate::answer) const NSID: u16 = 3;
    pub(in crate::answer) const COOKIE: u16 = 10;
    pub(in crate::answer) const EXTENDED_ERROR: u16 = 15;
}

/// The header's fields that a response repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) opcode: u16,
    pub(super) recursion_desired: bool,
    pub(super) checking_disabled: bool,
}

/// A message that is answered, or as much of it as was understood.
#[derive(Debug)]
pub(super) struct Query<'m> {
    pub(super) header: Header,
    /// `None` where there is none that could be repeated: an error is answered, or a cookie.
    pub(super) question: Option<Question<'m>>,
    pub(super) edns: Option<Edns<'m>>,
    /// The code that is all of its answer.
    pub(super) fault: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question<'m> {
    /// As it came, to be repeated bit by bit: clients check the case (draft-vixie-dnsext-dns0x20).
    pub(super) raw: &'m [u8],
    pub(super) name: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// The OPT record (RFC 6891, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns<'m> {
    /// The largest UDP message that the asker takes.
    pub(super) size: u16,
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
    pub(super) options: EdnsOptions<'m>,
}

/// The options that are answered (RFC 6891, section 6.1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EdnsOptions<'m> {
    /// The server's identifier is asked for (RFC 5001).
    pub(super) nsid: bool,
    /// The client's cookie, and perhaps the server's (RFC 7873): 8, or 16 to 40 octets.
    pub(super) cookie: Option<&'m [u8]>,
}

impl<'m> Query<'m> {
    /// `None`: it is never answered.
    pub(super) fn parse(message: &'m [u8]) -> Option<Query<'m>> {
        let mut reader = Reader { message, at: 0 };
        let (Some(id), Some(flags), true) = (reader.u16(), reader.u16(), message.len() >= HEADER)
        else {
            return None;
        };
        // A response to a response could go to and fro for ever.
        if flags & QR != 0 {
            return None;
        }
        let header = Header {
            id,
            opcode: flags >> OPCODE_SHIFT & 0xf,
            recursion_desired: flags & RD != 0,
            checking_disabled: flags & CD != 0,
        };
        let mut query = Query {
            header,
            question: None,
            edns: None,
            fault: None,
        };
        // Other opcodes have sections of their own; what they have in common goes back with the refusal.
        let sound = reader.sections(&mut query).is_some();
        query.fault = match (header.opcode, sound) {
            (OPCODE_QUERY, true) => None,
            (OPCODE_QUERY, false) => Some(rcode::FORMERR),
            _ => Some(rcode::NOTIMP),
        };
        Some(query)
    }

    /// The client's cookie, and perhaps the server's.
    pub(super) fn cookie(&self) -> Option<&'m [u8]> {
        self.edns.as_ref()?.options.cookie
    }
}

/// The type that `message` asks for, as far as one can tell without reading it whole.
pub(crate) fn qtype_of(message: &[u8]) -> Option<u16> {
    let mut reader = Reader {
        message,
        at: HEADER,
    };
    reader.skip_name()?;
    reader.u16()
}

/// The name and type that `message` asks for.
pub(crate) fn question_of(message: &[u8]) -> Option<(Name, u16)> {
    let question = Reader {
        message,
        at: HEADER,
    }
    .question()?;
    Some((question.name, question.kind))
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    /// One question, nothing in the answer and authority sections, at most one OPT, and no more; or no question
    /// but a cookie (RFC 7873, section 5.4). `None`: it is something else. What was understood is in `query`.
    fn sections(&mut self, query: &mut Query<'m>) -> Option<()> {
        let counts = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let [questions @ 0..=1, 0, 0, additional] = counts else {
            return None;
        };
        if questions == 1 {
            query.question = Some(self.question()?);
        }
        for _ in 0..additional {
            self.additional(&mut query.edns)?;
        }
        let asks = query.question.is_some() || query.cookie().is_some();
        (self.at == self.message.len() && asks).then_some(())
    }

    fn question(&mut self) -> Option<Question<'m>> {
        let start = self.at;
        let (name, len) = Name::from_wire(&self.message[start..]).ok()?;
        self.at += len;
        let (kind, class) = (self.u16()?, self.u16()?);
        Some(Question {
            raw: &self.message[start..self.at],
            name,
            kind,
            class,
        })
    }

    /// One record of the additional section, into `edns` if it is the OPT; `None` if it is malformed, or a second
    /// OPT. An OPT with options that make no sense is known all the same: the answer must have one, too
    /// (RFC 6891, section 7).
    fn additional(&mut self, edns: &mut Option<Edns<'m>>) -> Option<()> {
        let root = self.message.get(self.at) == Some(&0);
        self.skip_name()?;
        let (kind, class, high, low) = (self.u16()?, self.u16()?, self.u16()?, self.u16()?);
        let len = self.u16()?;
        let data = self.take(len.into())?;
        if kind != kind::OPT {
            return Some(());
        }
        if !root || edns.is_some() {
            return None;
        }
        let options = EdnsOptions::parse(data);
        let [_extended_rcode, version] = high.to_be_bytes();
        let dnssec_ok = low & DNSSEC_OK != 0;
        *edns = Some(Edns {
            size: class,
            version,
            dnssec_ok,
            options: options.unwrap_or_default(),
        });
        // What options another version has, we don't know (section 6.1.3).
        (options.is_some() || version != 0).then_some(())
    }

    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                label @ 1..=63 => self.take(label.into())?,
                0xc0.. => return self.take(1).map(drop),
                _ => return None,
            };
        }
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn take(&mut self, len: usize) -> Option<&'m [u8]> {
        let taken = self.message.get(self.at..self.at + len)?;
        self.at += len;
        Some(taken)
    }
}

impl<'m> EdnsOptions<'m> {
    /// Options are (code, length, data) triples that fill the record (RFC 6891, section 6.1.2).
    fn parse(mut data: &'m [u8]) -> Option<EdnsOptions<'m>> {
        let mut options = EdnsOptions::default();
        while let [a, b, high, low, rest @ ..] = data {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let (value, rest) = rest.split_at_checked(len)?;
            match u16::from_be_bytes([*a, *b]) {
                option::NSID => options.nsid = true,
                // RFC 7873, section 5.2.2: other lengths are format errors; section 5.2: the first counts.
                option::COOKIE if !matches!(len, 8 | 16..=40) => return None,
                option::COOKIE => options.cookie = options.cookie.or(Some(value)),
                _ => (),
            }
            data = rest;
        }
        data.is_empty().then_some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01A\x00\x00\x01\x00\x01";
    const HALF_AN_OPTION: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x03\x00\x0a\x00";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    /// The code by which the message is refused, changed so; `None`: it is never answered.
    fn refusal(change: impl Fn(&mut Vec<u8>)) -> Option<u16> {
        let mut message = PLAIN.to_vec();
        change(&mut message);
        Query::parse(&message).map(|query| query.fault.expect("it is refused"))
    }

    fn with_additional(records: &[&[u8]]) -> Vec<u8> {
        let mut message = [PLAIN, &records.concat()].concat();
        message[11] = records.len() as u8;
        message
    }

    #[test]
    fn a_question_is_read_and_its_bytes_kept() {
        let query = Query::parse(PLAIN).unwrap();
        assert_eq!(query.fault, None);
        let question = query.question.unwrap();
        assert_eq!(question.raw, &PLAIN[12..]);
        assert_eq!(
            (question.name, question.kind, question.class),
            (Name::from_text("a").unwrap(), 1, 1)
        );
        let header = Header {
            id: 0x1234,
            opcode: 0,
            recursion_desired: true,
            checking_disabled: false,
        };
        assert_eq!(query.header, header);
        assert_eq!(query.edns, None);
    }

    #[test]
    fn responses_and_fragments_of_a_header_are_never_answered() {
        assert_eq!(refusal(|m| m[2] |= 0x80), None);
        assert_eq!(refusal(|m| m.truncate(11)), None);
        assert_eq!(refusal(|m| m.clear()), None);
    }

    #[test]
    fn other_opcodes_are_not_implemented_and_broken_messages_are_format_errors() {
        assert_eq!(refusal(|m| m[2] |= 5 << 3), Some(rcode::NOTIMP));
        let mut notify = with_additional(&[OPT]);
        notify[2] |= 4 << 3;
        let query = Query::parse(&notify).unwrap();
        assert_eq!(
            (query.fault, query.edns.is_some()),
            (Some(rcode::NOTIMP), true),
            "RFC 6891, section 6.1.1"
        );
        for change in [
            |m: &mut Vec<u8>| m[5] = 2,
            |m: &mut Vec<u8>| m[5] = 0,
            |m: &mut Vec<u8>| m[7] = 1,
            |m: &mut Vec<u8>| m[9] = 1,
            |m: &mut Vec<u8>| m[11] = 1,
            |m: &mut Vec<u8>| m[12] = 0xc0,
            |m: &mut Vec<u8>| m.push(0),
            |m: &mut Vec<u8>| m.truncate(m.len() - 1),
        ] {
            assert_eq!(refusal(change), Some(rcode::FORMERR));
        }
    }

    #[test]
    fn options_that_are_answered_are_found_among_others_and_a_cookie_has_its_length() {
        let option = |code: u8, data: &[u8]| [&[0, code, 0, data.len() as u8], data].concat();
        let parse = |options: &[Vec<u8>]| {
            let data = options.concat();
            EdnsOptions::parse(&data).map(|found| (found.nsid, found.cookie.map(<[u8]>::to_vec)))
        };
        assert_eq!(
            parse(&[option(8, b"x"), option(3, b"")]),
            Some((true, None))
        );
        assert_eq!(
            parse(&[option(10, &[7; 8]), option(10, &[8; 8])]),
            Some((false, Some(vec![7; 8])))
        );
        for len in 0..60 {
            let lawful = len == 8 || (16..=40).contains(&len);
            assert_eq!(
                parse(&[option(10, &vec![7; len])]).is_some(),
                lawful,
                "{len}"
            );
        }
    }

    #[test]
    fn edns_is_read_once_at_the_root_with_whole_options() {
        let message = with_additional(&[OPT]);
        let edns = Query::parse(&message).unwrap().edns;
        assert_eq!(
            edns,
            Some(Edns {
                size: 1232,
                version: 0,
                dnssec_ok: true,
                options: EdnsOptions::default()
            })
        );
        let named = b"\x01a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
        for (bad, understood) in [
            (&[OPT, OPT][..], true),
            (&[named], false),
            (&[HALF_AN_OPTION], true),
        ] {
            let message = with_additional(bad);
            let query = Query::parse(&message).unwrap();
            assert_eq!(
                (query.fault, query.edns.is_some()),
                (Some(rcode::FORMERR), understood),
                "{bad:?}"
            );
            assert!(query.question.is_some(), "{bad:?}");
        }
        let a_pointer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        assert_eq!(
            Query::parse(&with_additional(&[a_pointer])).unwrap().edns,
            None
        );
    }

    #[test]
    fn the_options_of_another_version_are_not_read() {
        let mut later = HALF_AN_OPTION.to_vec();
        later[6] = 1;
        let message = with_additional(&[&later]);
        let query = Query::parse(&message).unwrap();
        assert_eq!(
            (query.fault, query.edns.map(|edns| edns.version)),
            (None, Some(1))
        );
    }

    #[test]
    fn without_a_question_only_a_cookie_is_answered() {
        let mut message = [&PLAIN[..12], OPT].concat();
        (message[5], message[11]) = (0, 1);
        assert_eq!(Query::parse(&message).unwrap().fault, Some(rcode::FORMERR));
        message[22] = 12;
        message.extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.fault, None);
        assert_eq!(
            (
                query.question,
                query.edns.unwrap().options.cookie.unwrap().len()
            ),
            (None, 8)
        );
    }
}
