//! From a [`Reply`] to the bytes of a message: name compression (RFC 1035, section 4.1.4), and
//! truncation by whole RRsets (RFC 2181, section 9).

use super::opt::Opt;
use super::query::Query;
use super::reply::{Data, Reply, Rr};
use super::{CLASS_IN, rcode};
use crate::name::wire_len;
use crate::rdata::{self, Field};
use crate::reach::Reach;
use crate::rrset::data_of;

pub(super) const HEADER: usize = 12;
/// Names to which later ones may point; enough for every answer that fits a datagram.
const MAX_NAMES: usize = 48;
/// Pointers have 14 bits.
const MAX_POINTER: usize = 0x3fff;

/// Writes the response to `query`, at most `limit` octets, to the end of the empty `out`.
pub(super) fn write(
    query: &Query<'_>,
    reply: &Reply<'_>,
    about: &ResponseContext<'_>,
    limit: usize,
    out: &mut Vec<u8>,
) {
    let limit = limit.saturating_sub(about.opt.len(query, reply.ede));
    let mut writer = Writer {
        out,
        limit,
        reach: about.reach,
        names: [0; MAX_NAMES],
        known: 0,
    };
    writer.out.resize(HEADER, 0);
    let questions = writer.put_question(query);
    let after_question = writer.mark();
    let counts = writer.put_sections(reply);
    let truncated = counts.is_none();
    let [answer, authority, additional] = counts.unwrap_or_else(|| {
        writer.back_to(after_question);
        [0; 3]
    });
    let additional = additional + about.opt.put(query, reply.rcode, reply.ede, out);
    let counts = [questions, answer, authority, additional];
    let flags = Flags {
        rcode: reply.rcode,
        aa: reply.aa,
        truncated,
        ra: about.ra,
        cd: about.cd,
    };
    put_header(query, flags, counts, out);
}

/// Writes a response that says nothing but that the answer is to be had over TCP.
pub(super) fn write_truncated(query: &Query<'_>, about: &ResponseContext<'_>, out: &mut Vec<u8>) {
    out.resize(HEADER, 0);
    let question = query
        .question
        .as_ref()
        .map_or(&[][..], |question| question.raw);
    out.extend_from_slice(question);
    let opt = about.opt.put(query, rcode::NOERROR, None, out);
    let counts = [u16::from(query.question.is_some()), 0, 0, opt];
    let flags = Flags {
        rcode: rcode::NOERROR,
        aa: false,
        truncated: true,
        ra: about.ra,
        cd: about.cd,
    };
    put_header(query, flags, counts, out);
}

/// What a response depends on besides the question and the zones.
pub(super) struct ResponseContext<'a> {
    pub(super) reach: &'a Reach,
    pub(super) opt: Opt<'a>,
    /// Other names are asked elsewhere on this asker's behalf.
    pub(super) ra: bool,
    /// The asker checks signatures itself, and this is an answer of others.
    pub(super) cd: bool,
}

/// What the header says about the answer.
pub(super) struct Flags {
    pub(super) rcode: u16,
    pub(super) aa: bool,
    pub(super) truncated: bool,
    pub(super) ra: bool,
    pub(super) cd: bool,
}

/// Writes the header over the first octets of `out`.
pub(super) fn put_header(query: &Query<'_>, flags: Flags, counts: [u16; 4], out: &mut [u8]) {
    let header = &query.header;
    let flags = 0x8000
        | header.opcode << 11
        | u16::from(flags.aa) << 10
        | u16::from(flags.truncated) << 9
        | u16::from(header.recursion_desired) << 8
        | u16::from(flags.ra) << 7
        | u16::from(flags.cd) << 4
        | flags.rcode & 0xf;
    let [questions, answer, authority, additional] = counts;
    let words = [header.id, flags, questions, answer, authority, additional];
    for (place, word) in out.chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
    reach: &'o Reach,
    /// Where names start that were written so far.
    names: [u16; MAX_NAMES],
    known: usize,
}

/// A state to return to.
#[derive(Clone, Copy)]
struct Mark {
    len: usize,
    known: usize,
}

impl Writer<'_> {
    fn mark(&self) -> Mark {
        Mark {
            len: self.out.len(),
            known: self.known,
        }
    }

    fn back_to(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        self.known = mark.known;
    }

    fn put_question(&mut self, query: &Query<'_>) -> u16 {
        let Some(question) = &query.question else {
            return 0;
        };
        // Its bytes, not its name: the case goes back as it came.
        self.out.extend_from_slice(question.raw);
        self.remember(HEADER, question.name.as_wire());
        1
    }

    /// The sections' record counts; `None` if something that must be there does not fit.
    fn put_sections(&mut self, reply: &Reply<'_>) -> Option<[u16; 3]> {
        let answer = self.put_all(&reply.answer)?;
        let authority = self.put_all(&reply.authority)?;
        let mut additional = 0;
        for rr in &reply.additional {
            match self.put_rr(rr) {
                Some(count) => additional += count,
                None if rr.needed => return None,
                None => break,
            }
        }
        Some([answer, authority, additional])
    }

    fn put_all(&mut self, section: &[Rr<'_>]) -> Option<u16> {
        section
            .iter()
            .try_fold(0, |count, rr| Some(count + self.put_rr(rr)?))
    }

    /// Writes all records of the set or, if they do not fit, none.
    fn put_rr(&mut self, rr: &Rr<'_>) -> Option<u16> {
        let mark = self.mark();
        let count = match &rr.data {
            Data::Set(set) => self.reach.records(set).try_fold(0, |count, record| {
                self.put_record(rr, data_of(record))?;
                Some(count + 1)
            }),
            Data::Cname(target) => self.put_record(rr, target.as_wire()).map(|()| 1),
        };
        if count.is_none() {
            self.back_to(mark);
        }
        count
    }

    fn put_record(&mut self, rr: &Rr<'_>, data: &[u8]) -> Option<()> {
        self.put_name(rr.owner.as_wire());
        self.put_u16(rr.kind());
        self.put_u16(CLASS_IN);
        self.out.extend_from_slice(&rr.ttl.to_be_bytes());
        self.put_u16(0);
        let start = self.out.len();
        self.put_data(rr.kind(), data);
        let len = (self.out.len() - start) as u16;
        self.out[start - 2..start].copy_from_slice(&len.to_be_bytes());
        (self.out.len() <= self.limit).then_some(())
    }

    /// RFC 3597, section 4: only names in the types of RFC 1035 are compressed.
    fn put_data(&mut self, kind: u16, mut data: &[u8]) {
        for field in rdata::fields(kind).unwrap_or(&[]) {
            let (head, rest) = data.split_at(rdata::field_len(*field, data).unwrap_or(data.len()));
            match field {
                Field::Name => self.put_name(head),
                _ => self.out.extend_from_slice(head),
            }
            data = rest;
        }
        self.out.extend_from_slice(data);
    }

    /// As many labels as no earlier name ends in, then a pointer to the one that ends in the rest.
    fn put_name(&mut self, name: &[u8]) {
        let start = self.out.len();
        let mut at = 0;
        while name[at] != 0 {
            if let Some(pointer) = self.find(&name[at..]) {
                self.remember_new(start, name, at);
                self.put_u16(0xc000 | pointer);
                return;
            }
            let next = at + 1 + usize::from(name[at]);
            self.out.extend_from_slice(&name[at..next]);
            at = next;
        }
        self.out.push(0);
        self.remember_new(start, name, at);
    }

    /// Remembers the suffixes of `name`, written at `start`, that begin before `end`.
    fn remember_new(&mut self, start: usize, name: &[u8], end: usize) {
        let mut at = 0;
        while at < end && self.known < MAX_NAMES && start + at <= MAX_POINTER {
            self.names[self.known] = (start + at) as u16;
            self.known += 1;
            at += 1 + usize::from(name[at]);
        }
    }

    fn remember(&mut self, start: usize, name: &[u8]) {
        self.remember_new(start, name, wire_len(name).map_or(0, |len| len - 1));
    }

    fn find(&self, name: &[u8]) -> Option<u16> {
        self.names[..self.known]
            .iter()
            .copied()
            .find(|&at| self.is_at(at.into(), name))
    }

    /// True if the name written at `at` is `name`, whatever the case.
    fn is_at(&self, mut at: usize, mut name: &[u8]) -> bool {
        loop {
            let label = usize::from(self.out[at]);
            if label >= 0xc0 {
                at =
                    usize::from(u16::from_be_bytes([self.out[at], self.out[at + 1]])) & MAX_POINTER;
                continue;
            }
            let (ours, theirs) = (&self.out[at..=at + label], &name[..=usize::from(name[0])]);
            if !ours.eq_ignore_ascii_case(theirs) {
                return false;
            }
            if label == 0 {
                return true;
            }
            at += 1 + label;
            name = &name[1 + label..];
        }
    }

    fn put_u16(&mut self, word: u16) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }
}
