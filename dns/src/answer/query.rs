//! [`Query`]: a DNS query, parsed without allocation, and whether it can be answered.

use super::signature::Signature;
use super::{CLASS_ANY, rcode};
use crate::cookie::CLIENT;
use crate::name::Name;
use crate::rdata::kind;

/// Octets of the header (RFC 1035, section 4.1.1).
pub(super) const HEADER: usize = 12;
/// Flags of the header's second word.
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

/// The header fields that a response repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) opcode: u16,
    pub(super) recursion_desired: bool,
    pub(super) checking_disabled: bool,
}

/// A query, or as much of a faulty one as could be parsed.
#[derive(Debug)]
pub(super) struct Query<'m> {
    pub(super) header: Header,
    /// `None` if the query consists of a cookie alone, or is malformed before its end.
    pub(super) question: Option<Question<'m>>,
    pub(super) edns: Option<Edns<'m>>,
    pub(super) signature: Option<Signature<'m>>,
    /// The response code of a query that gets no other answer.
    pub(super) fault: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question<'m> {
    /// The question as received, to be repeated bit by bit: clients check that the case of the name
    /// comes back (draft-vixie-dnsext-dns0x20).
    pub(super) raw: &'m [u8],
    pub(super) name: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// The OPT record (RFC 6891, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns<'m> {
    /// Octets of the largest response over UDP that the client accepts.
    pub(super) size: u16,
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
    pub(super) options: EdnsOptions<'m>,
}

/// The options that this server supports (RFC 6891, section 6.1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EdnsOptions<'m> {
    /// The client wants the server's identifier (RFC 5001).
    pub(super) nsid: bool,
    /// The client cookie, and the server cookie if the client has one (RFC 7873): 8, or 16 to 40
    /// octets.
    pub(super) cookie: Option<&'m [u8]>,
}

impl<'m> Query<'m> {
    /// Parses a message; `None` if it must not be answered.
    pub(super) fn parse(message: &'m [u8]) -> Option<Query<'m>> {
        let mut reader = Reader { message, at: 0 };
        if message.len() < HEADER {
            return None;
        }

        let id = reader.u16()?;
        let flags = reader.u16()?;
        // Two servers could answer each other's responses for ever.
        if flags & QR != 0 {
            return None;
        }

        let mut query = Query {
            header: Header {
                id,
                opcode: flags >> OPCODE_SHIFT & 0xf,
                recursion_desired: flags & RD != 0,
                checking_disabled: flags & CD != 0,
            },
            question: None,
            edns: None,
            signature: None,
            fault: None,
        };

        // The sections of other opcodes differ; what could be parsed of them (the question, the OPT
        // record) is repeated in the response (RFC 6891, section 6.1.1).
        let well_formed = reader.sections(&mut query).is_some();
        if query.header.opcode != OPCODE_QUERY {
            query.fault = Some(rcode::NOTIMP);
        } else if !well_formed {
            query.fault = Some(rcode::FORMERR);
        } else if query.signature.is_some() {
            query.fault = Some(rcode::NOTAUTH);
        }
        Some(query)
    }

    /// The client cookie, followed by the server cookie if there is one.
    pub(super) fn cookie(&self) -> Option<&'m [u8]> {
        self.edns.as_ref()?.options.cookie
    }

    /// A copy that does not borrow from the message; `None` if the query has no question.
    pub(super) fn to_owned(&self) -> Option<OwnedQuery> {
        let question = self.question.as_ref()?;
        let client_cookie = self.cookie().and_then(|cookie| cookie.first_chunk());

        Some(OwnedQuery {
            header: self.header,
            raw_question: question.raw.into(),
            name: question.name,
            kind: question.kind,
            class: question.class,
            edns: self.edns.map(|edns| edns.with_cookie(None)),
            client_cookie: client_cookie.copied(),
        })
    }
}

/// A well-formed [`Query`] that is kept while the resolvers are queried for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnedQuery {
    header: Header,
    raw_question: Box<[u8]>,
    name: Name,
    kind: u16,
    class: u16,
    /// Without the cookie.
    edns: Option<Edns<'static>>,
    /// The server cookie was checked when the query arrived, and is not needed again.
    client_cookie: Option<[u8; CLIENT]>,
}

impl OwnedQuery {
    /// The query as it was parsed, without the server cookie.
    pub(super) fn as_query(&self) -> Query<'_> {
        let client_cookie = self.client_cookie.as_ref().map(<[u8; CLIENT]>::as_slice);

        Query {
            header: self.header,
            question: Some(Question {
                raw: &self.raw_question,
                name: self.name,
                kind: self.kind,
                class: self.class,
            }),
            edns: self.edns.map(|edns| edns.with_cookie(client_cookie)),
            signature: None,
            fault: None,
        }
    }
}

/// The type in the question of `message`; `None` if the message is too short for one.
pub(crate) fn qtype_of(message: &[u8]) -> Option<u16> {
    let mut reader = Reader {
        message,
        at: HEADER,
    };
    reader.skip_name()?;
    reader.u16()
}

/// The name and type in the question of `message`; `None` if it is malformed.
pub(crate) fn question_of(message: &[u8]) -> Option<(Name, u16)> {
    let mut reader = Reader {
        message,
        at: HEADER,
    };
    let question = reader.question()?;
    Some((question.name, question.kind))
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

/// A resource record (RFC 1035, section 4.1.3).
struct Record<'m> {
    /// As in the message, perhaps compressed.
    owner: &'m [u8],
    kind: u16,
    class: u16,
    /// The upper and the lower half; an OPT record has other fields there.
    ttl: [u16; 2],
    data: &'m [u8],
}

impl<'m> Reader<'m> {
    /// Reads the rest of the message into `query`; `None` if it is malformed, and then `query` has
    /// what precedes the fault.
    ///
    /// A query has one question, empty answer and authority sections, and at most one OPT record.
    /// It may lack the question if it has a cookie (RFC 7873, section 5.4). With an IXFR question
    /// comes the client's SOA record (RFC 1995, section 3).
    fn sections(&mut self, query: &mut Query<'m>) -> Option<()> {
        let counts = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        // RFC 9619, section 4: a query has one question at most.
        let [questions @ 0..=1, 0, authority @ 0..=1, additional] = counts else {
            return None;
        };

        if questions == 1 {
            query.question = Some(self.question()?);
        }
        if authority == 1 {
            let kind = query.question.as_ref()?.kind;
            (kind == kind::IXFR && self.record()?.kind == kind::SOA).then_some(())?;
        }
        for _ in 0..additional {
            self.additional(query)?;
        }

        let asks = query.question.is_some() || query.cookie().is_some();
        (self.at == self.message.len() && asks).then_some(())
    }

    fn question(&mut self) -> Option<Question<'m>> {
        let start = self.at;
        let (name, len) = Name::from_wire(self.message.get(start..)?).ok()?;
        self.at += len;
        let kind = self.u16()?;
        let class = self.u16()?;

        Some(Question {
            raw: &self.message[start..self.at],
            name,
            kind,
            class,
        })
    }

    /// Reads one record of the additional section into `query`; `None` if it is malformed, a second
    /// OPT record, or after a signature.
    fn additional(&mut self, query: &mut Query<'m>) -> Option<()> {
        // RFC 8945, section 5.1: a signature is the last record.
        if query.signature.is_some() {
            return None;
        }
        let Record {
            owner,
            kind,
            class,
            ttl: [ttl_high, ttl_low],
            data,
        } = self.record()?;

        if kind == kind::TSIG {
            let is_sound = class == CLASS_ANY && ttl_high == 0 && ttl_low == 0;
            query.signature = Some(Signature::parse(owner, data).filter(|_| is_sound)?);
            return Some(());
        }
        // Other records mean nothing here.
        if kind != kind::OPT {
            return Some(());
        }
        // RFC 6891, section 6.1.1: one OPT record; section 6.1.2: its owner is the root.
        if owner != [0] || query.edns.is_some() {
            return None;
        }

        let options = EdnsOptions::parse(data);
        let [_extended_rcode, version] = ttl_high.to_be_bytes();
        // RFC 6891, section 7: the response to a query with an OPT record has one, even if the
        // options are malformed.
        query.edns = Some(Edns {
            size: class,
            version,
            dnssec_ok: ttl_low & DNSSEC_OK != 0,
            options: options.unwrap_or_default(),
        });
        // RFC 6891, section 6.1.3: the options of another version may have any form.
        (options.is_some() || version != 0).then_some(())
    }

    fn record(&mut self) -> Option<Record<'m>> {
        let start = self.at;
        self.skip_name()?;
        let owner = &self.message[start..self.at];
        let kind = self.u16()?;
        let class = self.u16()?;
        let ttl = [self.u16()?, self.u16()?];
        let len = self.u16()?;

        Some(Record {
            owner,
            kind,
            class,
            ttl,
            data: self.take(len.into())?,
        })
    }

    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                label @ 1..=63 => self.take(label.into())?,
                // RFC 1035, section 4.1.4: a pointer ends the name.
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

impl Edns<'_> {
    /// The record with another cookie option.
    fn with_cookie<'c>(&self, cookie: Option<&'c [u8]>) -> Edns<'c> {
        Edns {
            size: self.size,
            version: self.version,
            dnssec_ok: self.dnssec_ok,
            options: EdnsOptions {
                nsid: self.options.nsid,
                cookie,
            },
        }
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
                // RFC 7873, section 5.2.2: any other length is a format error.
                option::COOKIE if !matches!(len, 8 | 16..=40) => return None,
                // RFC 7873, section 5.2: only the first counts.
                option::COOKIE => options.cookie = options.cookie.or(Some(value)),
                _ => {}
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
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";
    const OPT_WITH_CUT_OPTION: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x03\x00\x0a\x00";

    /// The response code by which [`PLAIN`] is refused after `change`; `None` if it is not
    /// answered.
    fn refusal(change: impl Fn(&mut Vec<u8>)) -> Option<u16> {
        let mut message = PLAIN.to_vec();
        change(&mut message);
        let query = Query::parse(&message)?;
        Some(query.fault.expect("the message is faulty"))
    }

    fn with_additional(records: &[&[u8]]) -> Vec<u8> {
        let mut message = [PLAIN, &records.concat()].concat();
        message[11] = records.len() as u8;
        message
    }

    #[test]
    fn parses_a_query_and_keeps_the_octets_of_its_question() {
        let query = Query::parse(PLAIN).unwrap();
        assert_eq!(query.fault, None);
        assert_eq!(query.edns, None);
        assert_eq!(
            query.header,
            Header {
                id: 0x1234,
                opcode: 0,
                recursion_desired: true,
                checking_disabled: false,
            }
        );
        assert_eq!(
            query.question,
            Some(Question {
                raw: &PLAIN[12..],
                name: Name::from_text("a").unwrap(),
                kind: 1,
                class: 1,
            })
        );
    }

    #[test]
    fn an_owned_query_is_the_query_without_its_server_cookie() {
        let cookie = [&[0, 10, 0, 24][..], &[7; 8], &[9; 16]].concat();
        let mut opt = [OPT, &cookie].concat();
        opt[10] = cookie.len() as u8;
        let message = with_additional(&[&opt]);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.cookie().unwrap().len(), 24);

        let owned = query.to_owned().unwrap();
        let back = owned.as_query();
        assert_eq!(back.header, query.header);
        assert_eq!(back.question, query.question);
        assert_eq!(
            back.edns,
            Some(query.edns.unwrap().with_cookie(Some(&[7; 8])))
        );
    }

    #[test]
    fn never_answers_responses_and_truncated_headers() {
        assert_eq!(refusal(|m| m[2] |= 0x80), None);
        assert_eq!(refusal(|m| m.truncate(11)), None);
        assert_eq!(refusal(|m| m.clear()), None);
    }

    #[test]
    fn other_opcodes_get_notimp_and_malformed_messages_get_formerr() {
        assert_eq!(refusal(|m| m[2] |= 5 << 3), Some(rcode::NOTIMP));

        let mut notify = with_additional(&[OPT]);
        notify[2] |= 4 << 3;
        let query = Query::parse(&notify).unwrap();
        assert_eq!(query.fault, Some(rcode::NOTIMP));
        assert!(query.edns.is_some(), "RFC 6891, section 6.1.1");

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
    fn takes_the_record_in_the_authority_section_of_an_ixfr_question() {
        let soa = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00";
        let address = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        let fault = |qtype: u16, records: &[&[u8]]| {
            let mut message = [PLAIN, &records.concat()].concat();
            message[9] = records.len() as u8;
            let qtype_at = PLAIN.len() - 4;
            message[qtype_at..qtype_at + 2].copy_from_slice(&qtype.to_be_bytes());
            Query::parse(&message).unwrap().fault
        };

        assert_eq!(fault(kind::IXFR, &[soa]), None);
        assert_eq!(fault(kind::IXFR, &[]), None);
        assert_eq!(fault(kind::IXFR, &[address]), Some(rcode::FORMERR));
        assert_eq!(fault(kind::IXFR, &[soa, soa]), Some(rcode::FORMERR));
        assert_eq!(fault(kind::AXFR, &[soa]), Some(rcode::FORMERR));
    }

    #[test]
    fn finds_the_supported_options_among_others_and_checks_the_length_of_cookies() {
        let option = |code: u8, data: &[u8]| [&[0, code, 0, data.len() as u8], data].concat();

        let data = [option(8, b"x"), option(3, b"")].concat();
        let options = EdnsOptions::parse(&data).unwrap();
        assert!(options.nsid && options.cookie.is_none());

        let data = [option(10, &[7; 8]), option(10, &[8; 8])].concat();
        let options = EdnsOptions::parse(&data).unwrap();
        assert_eq!(options.cookie, Some(&[7; 8][..]), "the first counts");
        assert!(!options.nsid);

        for len in 0..60 {
            let data = option(10, &vec![7; len]);
            let valid = len == 8 || (16..=40).contains(&len);
            assert_eq!(EdnsOptions::parse(&data).is_some(), valid, "{len}");
        }
    }

    #[test]
    fn accepts_one_opt_record_at_the_root_with_whole_options() {
        let message = with_additional(&[OPT]);
        let edns = Edns {
            size: 1232,
            version: 0,
            dnssec_ok: true,
            options: EdnsOptions::default(),
        };
        assert_eq!(Query::parse(&message).unwrap().edns, Some(edns));

        let not_at_the_root = b"\x01a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
        for (records, has_edns) in [
            (&[OPT, OPT][..], true),
            (&[not_at_the_root], false),
            (&[OPT_WITH_CUT_OPTION], true),
        ] {
            let message = with_additional(records);
            let query = Query::parse(&message).unwrap();
            assert_eq!(query.fault, Some(rcode::FORMERR), "{records:?}");
            assert_eq!(query.edns.is_some(), has_edns, "{records:?}");
            assert!(query.question.is_some(), "{records:?}");
        }

        let other_record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        let message = with_additional(&[other_record]);
        assert_eq!(Query::parse(&message).unwrap().edns, None);
    }

    #[test]
    fn ignores_the_options_of_other_edns_versions() {
        let mut opt = OPT_WITH_CUT_OPTION.to_vec();
        opt[6] = 1;
        let message = with_additional(&[&opt]);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.fault, None);
        assert_eq!(query.edns.unwrap().version, 1);
    }

    #[test]
    fn a_query_without_a_question_needs_a_cookie() {
        let mut message = [&PLAIN[..12], OPT].concat();
        message[5] = 0;
        message[11] = 1;
        assert_eq!(Query::parse(&message).unwrap().fault, Some(rcode::FORMERR));

        message[22] = 12;
        message.extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.fault, None);
        assert_eq!(query.question, None);
        assert_eq!(query.cookie().map(<[u8]>::len), Some(8));
    }
}
