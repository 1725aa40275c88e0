//! Writes a [`Reply`] as a message, with name compression (RFC 1035, section 4.1.4) and truncation
//! (RFC 2181, section 9).

use super::opt::Opt;
use super::query::{HEADER, Query};
use super::rcode;
use super::reply::{Data, Reply, Rr};
use crate::name::POINTER;
use crate::rdata::{self, CLASS_IN, Field};
use crate::reach::Reach;
use crate::rrset::data_of;

/// Names that later ones can point to; enough for every answer that fits a datagram.
const MAX_NAMES: usize = 48;
/// The highest offset of a compression pointer.
const MAX_OFFSET: usize = 0x3fff;

/// What a response depends on besides the query and the records.
pub(super) struct ResponseContext<'a> {
    pub(super) reach: &'a Reach,
    pub(super) opt: Opt<'a>,
    /// Recursion available: names outside the consortium are forwarded for this client.
    pub(super) ra: bool,
    /// Checking disabled, as the query had it: the response comes from a resolver.
    pub(super) cd: bool,
}

/// The header's fields that depend on the answer.
pub(super) struct Flags {
    pub(super) rcode: u16,
    pub(super) aa: bool,
    pub(super) truncated: bool,
    pub(super) ra: bool,
    pub(super) cd: bool,
}

/// Writes the response to `query`, at most `limit` octets, into the empty `out`.
pub(super) fn write(
    query: &Query<'_>,
    reply: &Reply<'_>,
    context: &ResponseContext<'_>,
    limit: usize,
    out: &mut Vec<u8>,
) {
    // A signed query that is malformed elsewhere gets no signature.
    let signature = query.signature.filter(|_| reply.rcode == rcode::NOTAUTH);
    let signature_len = signature.map_or(0, |signature| signature.len());
    let mut writer = Writer {
        out,
        // The OPT record and the signature come last and must fit in any case.
        limit: limit.saturating_sub(context.opt.len(query, reply.ede) + signature_len),
        reach: context.reach,
        turn: query.header.id,
        names: [0; MAX_NAMES],
        known: 0,
    };

    writer.out.resize(HEADER, 0);
    let questions = writer.put_question(query);
    let after_question = writer.mark();

    let sections = writer.put_sections(reply);
    // RFC 2181, section 9: clients ignore the records of a truncated response, and ask over TCP.
    // Those that know no TCP (musl before 1.2.4) take what fits.
    let [answer, authority, additional] = sections.unwrap_or_else(|| {
        writer.rewind(after_question);
        [writer.put_what_fits(&reply.answer), 0, 0]
    });
    let opt = context.opt.put(query, reply.rcode, reply.ede, out);
    if let Some(signature) = signature {
        signature.put(out);
    }

    let flags = Flags {
        rcode: reply.rcode,
        aa: reply.aa,
        truncated: sections.is_none(),
        ra: context.ra,
        cd: context.cd,
    };
    put_header(
        query,
        flags,
        [
            questions,
            answer,
            authority,
            additional + opt + u16::from(signature.is_some()),
        ],
        out,
    );
}

/// Writes a truncated response without records into the empty `out`: the client retries over TCP.
pub(super) fn write_truncated(query: &Query<'_>, context: &ResponseContext<'_>, out: &mut Vec<u8>) {
    out.resize(HEADER, 0);
    let mut questions = 0;
    if let Some(question) = &query.question {
        out.extend_from_slice(question.raw);
        questions = 1;
    }
    let opt = context.opt.put(query, rcode::NOERROR, None, out);

    let flags = Flags {
        rcode: rcode::NOERROR,
        aa: false,
        truncated: true,
        ra: context.ra,
        cd: context.cd,
    };
    put_header(query, flags, [questions, 0, 0, opt], out);
}

/// Writes the header over the first octets of `out`. `counts` are the numbers of records in the
/// question, answer, authority and additional sections.
pub(super) fn put_header(query: &Query<'_>, flags: Flags, counts: [u16; 4], out: &mut [u8]) {
    let header = &query.header;
    // RFC 1035, section 4.1.1; RFC 4035, section 3.1.6, for CD.
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
    /// See [`Reach::records`].
    turn: u16,
    /// Offsets of the names written so far, and of their suffixes.
    names: [u16; MAX_NAMES],
    /// How many of `names` are in use.
    known: usize,
}

/// A state of the writer to return to.
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

    fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        self.known = mark.known;
    }

    fn put_question(&mut self, query: &Query<'_>) -> u16 {
        let Some(question) = &query.question else {
            return 0;
        };
        // The received octets and not the name, which is lowercase.
        self.out.extend_from_slice(question.raw);
        let name = question.name.as_wire();
        self.remember(HEADER, name, name.len() - 1);
        1
    }

    /// The sections' record counts; `None` if an RRset that must be in the response does not fit.
    fn put_sections(&mut self, reply: &Reply<'_>) -> Option<[u16; 3]> {
        let answer = self.put_all(&reply.answer)?;
        let authority = self.put_all(&reply.authority)?;

        let mut additional = 0;
        for rr in &reply.additional {
            match self.put_rr(rr) {
                Some(count) => additional += count,
                // RFC 9471: a referral without its glue is truncated.
                None if rr.needed => return None,
                // RFC 2181, section 9: other additional records may be left out silently.
                None => break,
            }
        }

        Some([answer, authority, additional])
    }

    fn put_all(&mut self, section: &[Rr<'_>]) -> Option<u16> {
        let mut count = 0;
        for rr in section {
            count += self.put_rr(rr)?;
        }
        Some(count)
    }

    /// Writes as many records of the answer as fit, and returns their number.
    fn put_what_fits(&mut self, answer: &[Rr<'_>]) -> u16 {
        let mut count = 0;
        for rr in answer {
            let is_whole = match &rr.data {
                Data::Set(set) => self.reach.records(set, self.turn).all(|record| {
                    let fits = self.put_whole(rr, data_of(record));
                    count += u16::from(fits);
                    fits
                }),
                Data::Cname(target) => {
                    let fits = self.put_whole(rr, target.as_wire());
                    count += u16::from(fits);
                    fits
                }
            };
            if !is_whole {
                break;
            }
        }
        count
    }

    /// Writes one record, or nothing if it does not fit.
    fn put_whole(&mut self, rr: &Rr<'_>, data: &[u8]) -> bool {
        let mark = self.mark();
        let fits = self.put_record(rr, data).is_some();
        if !fits {
            self.rewind(mark);
        }
        fits
    }

    /// Writes all records of the RRset and returns their number; if they do not fit, writes none.
    fn put_rr(&mut self, rr: &Rr<'_>) -> Option<u16> {
        let mark = self.mark();
        let count = match &rr.data {
            Data::Set(set) => self
                .reach
                .records(set, self.turn)
                .try_fold(0, |count, record| {
                    self.put_record(rr, data_of(record))?;
                    Some(count + 1)
                }),
            Data::Cname(target) => self.put_record(rr, target.as_wire()).map(|()| 1),
        };

        // RFC 2181, section 9: a set that does not fit is left out as a whole.
        if count.is_none() {
            self.rewind(mark);
        }
        count
    }

    fn put_record(&mut self, rr: &Rr<'_>, data: &[u8]) -> Option<()> {
        self.put_name(rr.owner.as_wire());
        self.put_u16(rr.kind());
        self.put_u16(CLASS_IN);
        self.out.extend_from_slice(&rr.ttl.to_be_bytes());

        // The length is known only after compression.
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
            let len = rdata::field_len(*field, data).unwrap_or(data.len());
            let (head, rest) = data.split_at(len);
            match field {
                Field::Name => self.put_name(head),
                _ => self.out.extend_from_slice(head),
            }
            data = rest;
        }

        self.out.extend_from_slice(data);
    }

    /// Writes the labels of `name` up to a suffix that was written before, then a pointer to it.
    fn put_name(&mut self, name: &[u8]) {
        let start = self.out.len();
        let mut at = 0;
        while name[at] != 0 {
            if let Some(offset) = self.find(&name[at..]) {
                self.remember(start, name, at);
                self.put_u16(POINTER | offset);
                return;
            }

            let next = at + 1 + usize::from(name[at]);
            self.out.extend_from_slice(&name[at..next]);
            at = next;
        }

        self.out.push(0);
        self.remember(start, name, at);
    }

    /// Makes the suffixes of `name`, which was written at `start`, available for compression, as
    /// far as they begin before `end`.
    fn remember(&mut self, start: usize, name: &[u8], end: usize) {
        let mut at = 0;
        while at < end && self.known < MAX_NAMES && start + at <= MAX_OFFSET {
            self.names[self.known] = (start + at) as u16;
            self.known += 1;
            at += 1 + usize::from(name[at]);
        }
    }

    /// The offset at which `name` was written before.
    fn find(&self, name: &[u8]) -> Option<u16> {
        self.names[..self.known]
            .iter()
            .copied()
            .find(|&at| self.is_at(at.into(), name))
    }

    /// True if the name written at `at` is `name`, in any case.
    fn is_at(&self, mut at: usize, mut name: &[u8]) -> bool {
        loop {
            let label = usize::from(self.out[at]);
            // Pointers lead to names that were written earlier, so that this ends.
            if label >= 0xc0 {
                let pointer = u16::from_be_bytes([self.out[at], self.out[at + 1]]);
                at = usize::from(pointer) & MAX_OFFSET;
                continue;
            }

            let written = &self.out[at..=at + label];
            let wanted = &name[..=usize::from(name[0])];
            if !written.eq_ignore_ascii_case(wanted) {
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
