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

/// A message that can be answered.
#[derive(Debug)]
pub(super) struct Query<'m> {
    pub(super) header: Header,
    /// `None` only where an error is answered without repeating the question.
    pub(super) question: Option<Question<'m>>,
    pub(super) edns: Option<Edns<'m>>,
}

#[derive(Debug)]
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

/// A message that is no query of ours to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Never answered.
    Silent,
    /// Answered by this code, without a question.
    Error { header: Header, rcode: u16 },
}

impl<'m> Query<'m> {
    pub(super) fn without_question(header: Header) -> Query<'m> {
        Query { header, question: None, edns: None }
    }

    pub(super) fn parse(message: &'m [u8]) -> Result<Query<'m>, Unfit> {
        let mut reader = Reader { message, at: 0 };
        let (Some(id), Some(flags), true) = (reader.u16(), reader.u16(), message.len() >= HEADER) else {
            return Err(Unfit::Silent);
        };
        // A response to a response could go to and fro for ever.
        if flags & QR != 0 {
            return Err(Unfit::Silent);
        }
        let header = Header {
            id,
            opcode: flags >> OPCODE_SHIFT & 0xf,
            recursion_desired: flags & RD != 0,
            checking_disabled: flags & CD != 0,
        };
        if header.opcode != OPCODE_QUERY {
            return Err(Unfit::Error { header, rcode: rcode::NOTIMP });
        }
        let (question, edns) = reader.sections().ok_or(Unfit::Error { header, rcode: rcode::FORMERR })?;
        Ok(Query { header, question: Some(question), edns })
    }
}

/// The type that `message` asks for, as far as one can tell without reading it whole.
pub(crate) fn qtype_of(message: &[u8]) -> Option<u16> {
    let mut reader = Reader { message, at: HEADER };
    reader.skip_name()?;
    reader.u16()
}

/// The name and type that `message` asks for.
pub(crate) fn question_of(message: &[u8]) -> Option<(Name, u16)> {
    let question = Reader { message, at: HEADER }.question()?;
    Some((question.name, question.kind))
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    /// One question, nothing in the answer and authority sections, at most one OPT, and no more.
    fn sections(&mut self) -> Option<(Question<'m>, Option<Edns<'m>>)> {
        let counts = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let [1, 0, 0, additional] = counts else { return None };
        let question = self.question()?;
        let mut edns = None;
        for _ in 0..additional {
            if let Some(opt) = self.additional()?
                && edns.replace(opt).is_some()
            {
                return None;
            }
        }
        (self.at == self.message.len()).then_some((question, edns))
    }

    fn question(&mut self) -> Option<Question<'m>> {
        let start = self.at;
        let (name, len) = Name::from_wire(&self.message[start..]).ok()?;
        self.at += len;
        let (kind, class) = (self.u16()?, self.u16()?);
        Some(Question { raw: &self.message[start..self.at], name, kind, class })
    }

    /// One record of the additional section: outer `None` if it is malformed, inner if it is no OPT.
    fn additional(&mut self) -> Option<Option<Edns<'m>>> {
        let root = self.message.get(self.at) == Some(&0);
        self.skip_name()?;
        let (kind, class, high, low) = (self.u16()?, self.u16()?, self.u16()?, self.u16()?);
        let len = self.u16()?;
        let data = self.take(len.into())?;
        if kind != kind::OPT {
            return Some(None);
        }
        if !root {
            return None;
        }
        let options = EdnsOptions::parse(data)?;
        let [_extended_rcode, version] = high.to_be_bytes();
        Some(Some(Edns { size: class, version, dnssec_ok: low & DNSSEC_OK != 0, options }))
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

    const PLAIN: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01A\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    fn with(change: impl Fn(&mut Vec<u8>)) -> Result<(), Unfit> {
        let mut message = PLAIN.to_vec();
        change(&mut message);
        Query::parse(&message).map(drop)
    }

    fn with_additional(records: &[&[u8]]) -> Vec<u8> {
        let mut message = [PLAIN, &records.concat()].concat();
        message[11] = records.len() as u8;
        message
    }

    #[test]
    fn a_question_is_read_and_its_bytes_kept() {
        let query = Query::parse(PLAIN).unwrap();
        let question = query.question.unwrap();
        assert_eq!(question.raw, &PLAIN[12..]);
        assert_eq!((question.name, question.kind, question.class), (Name::from_text("a").unwrap(), 1, 1));
        let header = Header { id: 0x1234, opcode: 0, recursion_desired: true, checking_disabled: false };
        assert_eq!(query.header, header);
        assert_eq!(query.edns, None);
    }

    #[test]
    fn responses_and_fragments_of_a_header_are_never_answered() {
        assert_eq!(with(|m| m[2] |= 0x80), Err(Unfit::Silent));
        assert_eq!(with(|m| m.truncate(11)), Err(Unfit::Silent));
        assert_eq!(with(|m| m.clear()), Err(Unfit::Silent));
    }

    #[test]
    fn other_opcodes_are_not_implemented_and_broken_messages_are_format_errors() {
        let rcode = |result| match result {
            Err(Unfit::Error { rcode, .. }) => Some(rcode),
            _ => None,
        };
        assert_eq!(rcode(with(|m| m[2] |= 5 << 3)), Some(rcode::NOTIMP));
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
            assert_eq!(rcode(with(change)), Some(rcode::FORMERR));
        }
    }

    #[test]
    fn options_that_are_answered_are_found_among_others_and_a_cookie_has_its_length() {
        let option = |code: u8, data: &[u8]| [&[0, code, 0, data.len() as u8], data].concat();
        let parse = |options: &[Vec<u8>]| {
            let data = options.concat();
            EdnsOptions::parse(&data).map(|found| (found.nsid, found.cookie.map(<[u8]>::to_vec)))
        };
        assert_eq!(parse(&[option(8, b"x"), option(3, b"")]), Some((true, None)));
        assert_eq!(parse(&[option(10, &[7; 8]), option(10, &[8; 8])]), Some((false, Some(vec![7; 8]))));
        for len in 0..60 {
            let lawful = len == 8 || (16..=40).contains(&len);
            assert_eq!(parse(&[option(10, &vec![7; len])]).is_some(), lawful, "{len}");
        }
    }

    #[test]
    fn edns_is_read_once_at_the_root_with_whole_options() {
        let message = with_additional(&[OPT]);
        let edns = Query::parse(&message).unwrap().edns;
        assert_eq!(
            edns,
            Some(Edns { size: 1232, version: 0, dnssec_ok: true, options: EdnsOptions::default() })
        );
        let half_an_option = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x03\x00\x0a\x00";
        for bad in
            [&[OPT, OPT][..], &[b"\x01a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"], &[half_an_option]]
        {
            assert!(Query::parse(&with_additional(bad)).is_err(), "{bad:?}");
        }
        let a_pointer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        assert_eq!(Query::parse(&with_additional(&[a_pointer])).unwrap().edns, None);
    }
}
