//! [`TableDigest`]: a digest of an nftables table's content, without counters and without the
//! handles that the kernel assigns. Reads the table directly over netlink: starting `nft` would
//! take ten milliseconds each second.
//!
//! Every transaction increments the generation of the whole ruleset, so the generation shows first
//! whether anything has changed.

use std::io;

use rtnetlink::packet_core::{NLM_F_DUMP, NlasIterator};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;

use crate::netlink::raw::{Answer, RawSocket, digest_of};

/// linux/netfilter/nfnetlink.h: the subsystem, in the upper byte of each message type.
const NFTABLES: u16 = 10 << 8;

// linux/netfilter/nf_tables.h: message types.
const GET_TABLE: u16 = NFTABLES | 1;
const GET_CHAIN: u16 = NFTABLES | 4;
const GET_RULE: u16 = NFTABLES | 7;
const GET_SET: u16 = NFTABLES | 10;
const GET_ELEMENTS: u16 = NFTABLES | 13;
const GET_GENERATION: u16 = NFTABLES | 16;

/// linux/netfilter.h: `NFPROTO_INET`, the family of our table.
const INET: u8 = 1;

/// The attribute with the table's name, in all messages.
const TABLE: u16 = 1;

/// Length of `struct nfgenmsg`, before the attributes.
const HEADER: usize = 4;

/// Maximum number of attempts to read a table that is changing.
const ATTEMPTS: u32 = 5;

/// A kind of object, with the attributes of its content (linux/netfilter/nf_tables.h).
struct Kind {
    request: u16,
    content: &'static [u16],
}

/// Name and flags, because a table may be set dormant.
const TABLES: Kind = Kind {
    request: GET_TABLE,
    content: &[1, 2],
};
/// Table, name, hook, policy, type and flags.
const CHAINS: Kind = Kind {
    request: GET_CHAIN,
    content: &[1, 3, 4, 5, 7, 10],
};
/// Table and chain; expressions are added separately.
const RULES: Kind = Kind {
    request: GET_RULE,
    content: &[1, 2],
};
/// Everything except the transaction's id and the handle.
const SETS: Kind = Kind {
    request: GET_SET,
    content: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15],
};

const RULE_EXPRESSIONS: u16 = 4;
const SET_NAME: u16 = 2;
const ELEMENTS: u16 = 3;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const GENERATION_ID: u16 = 1;

/// Expressions with a counter, which is not content.
const COUNTING: [&[u8]; 4] = [b"counter\0", b"quota\0", b"last\0", b"limit\0"];

/// Reads tables of the family `inet` in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct TableDigest {
    socket: RawSocket,
}

impl TableDigest {
    pub(crate) fn open() -> io::Result<TableDigest> {
        Ok(TableDigest {
            socket: RawSocket::open(NETLINK_NETFILTER)?,
        })
    }

    /// The generation of the ruleset.
    pub(crate) fn generation(&mut self) -> io::Result<u32> {
        let mut generation = None;

        self.socket
            .ask(GET_GENERATION, 0, &request(&[]), |_, message| {
                generation = attribute(message, GENERATION_ID).and_then(|id| number(&id));
            })?;
        generation.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The digest of the table `name`; `None` if it does not exist.
    pub(crate) fn read(&mut self, name: &str) -> io::Result<Option<u64>> {
        for _ in 0..ATTEMPTS {
            let (answer, digest) = self.read_once(name)?;

            if answer == Answer::Whole {
                return Ok(digest);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the ruleset changes all the time",
        ))
    }

    fn read_once(&mut self, name: &str) -> io::Result<(Answer, Option<u64>)> {
        let mut is_whole = true;
        let mut exists = false;
        let mut digest: u64 = 0;
        let mut sets = Vec::new();

        for kind in [TABLES, CHAINS, SETS] {
            let mut sum: u64 = 0;
            let answer = self.list(&kind, name, |message| {
                exists = true;
                // Added up, because these have no defined order.
                sum = sum.wrapping_add(content(message, kind.content));
                if kind.request == GET_SET {
                    sets.extend(attribute(message, SET_NAME));
                }
            })?;
            is_whole &= answer == Answer::Whole;
            // Rotated, so that the kind of an object matters.
            digest = digest.rotate_left(7).wrapping_add(sum);
        }

        is_whole &= self.list(&RULES, name, |message| {
            let sum = content(message, RULES.content).wrapping_add(expressions(message));
            // The order of rules is part of the content.
            digest = digest.rotate_left(7).wrapping_add(sum);
        })? == Answer::Whole;

        for set in sets {
            let (answer, sum) = self.elements(name, &set)?;
            is_whole &= answer == Answer::Whole;
            digest = digest.rotate_left(7).wrapping_add(sum);
        }

        let answer = if is_whole {
            Answer::Whole
        } else {
            Answer::Interrupted
        };
        Ok((answer, exists.then_some(digest)))
    }

    /// Every object of a kind in the table `name`.
    fn list(&mut self, kind: &Kind, name: &str, mut each: impl FnMut(&[u8])) -> io::Result<Answer> {
        let table = zero_terminated(name);
        let request = request(&[(TABLE, &table)]);

        let answer = self
            .socket
            .ask(kind.request, NLM_F_DUMP, &request, |_, message| {
                // Kernels filter only some kinds, and a table of another family may have the same
                // name.
                let is_ours = message.first() == Some(&INET)
                    && attribute(message, TABLE).is_some_and(|found| found == table);
                if is_ours {
                    each(message);
                }
            });
        or_missing(answer)
    }

    fn elements(&mut self, table: &str, set: &[u8]) -> io::Result<(Answer, u64)> {
        let request = request(&[(TABLE, &zero_terminated(table)), (SET_NAME, set)]);
        let mut sum: u64 = 0;

        let answer = self
            .socket
            .ask(GET_ELEMENTS, NLM_F_DUMP, &request, |_, message| {
                let elements = attribute(message, ELEMENTS).unwrap_or_default();
                for element in NlasIterator::new(elements.as_slice()).flatten() {
                    // Added up, because elements have no defined order.
                    sum = sum.wrapping_add(digest_of(element.value()));
                }
            });
        Ok((or_missing(answer)?, sum))
    }
}

/// A missing object has no content.
fn or_missing(answer: io::Result<Answer>) -> io::Result<Answer> {
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Answer::Whole),
        other => other,
    }
}

/// A request: `struct nfgenmsg`, and the attributes.
fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![INET, 0, 0, 0];

    for (kind, value) in attributes {
        // Fits: nftables allows names of 256 bytes.
        let length = (4 + value.len()) as u16;
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn zero_terminated(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();

    bytes.push(0);
    bytes
}

fn attribute(message: &[u8], kind: u16) -> Option<Vec<u8>> {
    NlasIterator::new(message.get(HEADER..)?)
        .flatten()
        .find(|found| found.kind() == kind)
        .map(|found| found.value().to_vec())
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The digest of the attributes in `kinds`.
fn content(message: &[u8], kinds: &[u16]) -> u64 {
    let attributes = message.get(HEADER..).unwrap_or_default();
    let mut sum: u64 = 0;

    for found in NlasIterator::new(attributes).flatten() {
        if kinds.contains(&found.kind()) {
            let value = digest_of(found.value()).wrapping_add(found.kind().into());
            sum = sum.rotate_left(7).wrapping_add(value);
        }
    }
    sum
}

/// The digest of a rule's expressions without their counters.
fn expressions(message: &[u8]) -> u64 {
    let list = attribute(message, RULE_EXPRESSIONS).unwrap_or_default();
    let mut sum: u64 = 0;

    for expression in NlasIterator::new(list.as_slice()).flatten() {
        let parts = expression.value();
        let mut counts = false;

        for part in NlasIterator::new(parts).flatten() {
            // An expression's name precedes its data.
            counts |= part.kind() == EXPRESSION_NAME && COUNTING.contains(&part.value());
            if part.kind() == EXPRESSION_NAME || (part.kind() == EXPRESSION_DATA && !counts) {
                sum = sum.rotate_left(7).wrapping_add(digest_of(part.value()));
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule with these expressions: names and data.
    fn rule(expressions: &[(&[u8], &[u8])]) -> Vec<u8> {
        let each: Vec<Vec<u8>> = expressions
            .iter()
            .map(|(name, data)| request(&[(1, name), (2, data)])[HEADER..].to_vec())
            .collect();
        let list: Vec<(u16, &[u8])> = each.iter().map(|parts| (1, parts.as_slice())).collect();
        let list = request(&list)[HEADER..].to_vec();

        request(&[(TABLE, b"t\0"), (2, b"c\0"), (3, b"handle"), (4, &list)])
    }

    #[test]
    fn the_digest_of_a_rule_ignores_its_counters_and_includes_everything_else() {
        let before = rule(&[(b"meta\0", b"iif"), (b"counter\0", b"0001")]);
        let counted = rule(&[(b"meta\0", b"iif"), (b"counter\0", b"0002")]);
        let other = rule(&[(b"meta\0", b"oif"), (b"counter\0", b"0001")]);

        assert_eq!(expressions(&before), expressions(&counted));
        assert_ne!(expressions(&before), expressions(&other));
    }

    #[test]
    fn truncated_messages_cause_no_panic() {
        let message = rule(&[(b"meta\0", b"iif")]);
        for length in 0..message.len() {
            let _ = content(&message[..length], RULES.content);
            let _ = expressions(&message[..length]);
        }
        assert_eq!(content(&[], RULES.content), 0);
    }
}
