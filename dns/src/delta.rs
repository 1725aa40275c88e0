//! Differences between versions of a zone, so that a change of one record in a large zone is a
//! small message. The encoding of whole zones is in [`crate::replica`]; [`crate::transfer`] decides
//! which of the two is requested.
//!
//! ```text
//! delta: "RWD1" | step...             one step for each version since, oldest first
//! step:  octets: u32 | edit...        from the start of the older encoding to its end
//! edit:  0 | length: u32              copy so many octets of the older encoding
//!        1 | length: u32              skip so many
//!        2 | length: u32 | octets     insert these
//! ```
//! Edits are about octets, not records, and are not trusted: the result is bounded in size, must
//! have the digest that its owner offered, and passes the same checks as a whole zone.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use ringway_config::Digest;

use crate::replica::{self, MAX_SIZE};

/// Versions from which a [`Journal`] has a delta at most, and steps of a delta at most.
pub const MAX_STEPS: usize = 16;

const MAGIC: &[u8; 4] = b"RWD1";

/// A version of a zone: its serial, and the digest of its encoding.
pub type Version = (u32, Digest);

/// Why octets are no delta of a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The octets have another format, are truncated, or have too many steps.
    #[error("the bytes are not a difference of this format")]
    Format,
    /// The edits need more octets than the older zone has, or fewer.
    #[error("the difference does not apply to the zone that we have")]
    Fit,
    /// The result is larger than [`MAX_SIZE`].
    #[error("the difference results in more than {MAX_SIZE} octets")]
    Size,
}

/// The last changes of one zone, kept by its owner: at most [`MAX_STEPS`], and together no larger
/// than the zone: otherwise the whole zone is the smaller message.
#[derive(Debug, Default)]
pub struct Journal(VecDeque<Step>);

/// The difference between two consecutive versions of a zone.
#[derive(Debug)]
pub struct Step {
    from: Version,
    edits: Vec<u8>,
    /// Octets of the newer version.
    size: usize,
}

impl Step {
    /// From version `from`, encoded as `old`, to the one encoded as `new`. Takes time linear in
    /// their sizes.
    pub fn new(from: Version, old: &[u8], new: &[u8]) -> Step {
        Step {
            from,
            edits: edits(old, new),
            size: new.len(),
        }
    }
}

impl Journal {
    /// Adds `step`, which starts at the version with which the last one ends.
    pub fn note(&mut self, step: Step) {
        let size = step.size;
        self.0.push_back(step);

        // A longer delta would be a larger message than the whole zone.
        while self.0.len() > MAX_STEPS || self.octets() > size {
            self.0.pop_front();
        }
    }

    /// The delta from version `have` to the newest; `None` if the journal does not reach back to
    /// it.
    pub fn since(&self, have: Version) -> Option<Vec<u8>> {
        let first = self.0.iter().position(|step| step.from == have)?;

        let mut delta = MAGIC.to_vec();
        for step in self.0.iter().skip(first) {
            delta.extend_from_slice(&(step.edits.len() as u32).to_be_bytes());
            delta.extend_from_slice(&step.edits);
        }
        Some(delta)
    }

    fn octets(&self) -> usize {
        MAGIC.len()
            + self
                .0
                .iter()
                .map(|step| 4 + step.edits.len())
                .sum::<usize>()
    }
}

/// The encoded zone that results from `delta` applied to the encoded zone `old`.
pub fn apply(old: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut rest = delta.strip_prefix(MAGIC).ok_or(DeltaError::Format)?;
    let mut zone = Cow::Borrowed(old);
    for _ in 0..MAX_STEPS {
        if rest.is_empty() {
            break;
        }
        let len = take_length(&mut rest)?;
        zone = Cow::Owned(apply_step(
            &zone,
            take(&mut rest, len).ok_or(DeltaError::Format)?,
        )?);
    }

    // More steps than a journal has: each could be as large as a zone.
    if rest.is_empty() {
        Ok(zone.into_owned())
    } else {
        Err(DeltaError::Format)
    }
}

fn apply_step(mut old: &[u8], mut edits: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut new = Vec::new();
    while let Some((&edit, rest)) = edits.split_first() {
        edits = rest;
        let len = take_length(&mut edits)?;
        let put = match edit {
            0 => take(&mut old, len).ok_or(DeltaError::Fit)?,
            1 => take(&mut old, len)
                .ok_or(DeltaError::Fit)
                .map(|_| &[][..])?,
            2 => take(&mut edits, len).ok_or(DeltaError::Format)?,
            _ => return Err(DeltaError::Format),
        };

        // Copied and inserted octets can be more together than any zone may have.
        if new.len() + put.len() > MAX_SIZE {
            return Err(DeltaError::Size);
        }
        new.extend_from_slice(put);
    }

    // The edits state what becomes of every octet, so that a delta for another version fails.
    if old.is_empty() {
        Ok(new)
    } else {
        Err(DeltaError::Fit)
    }
}

fn take<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_length(bytes: &mut &[u8]) -> Result<usize, DeltaError> {
    let len = take(bytes, 4)
        .and_then(|len| len.try_into().ok())
        .ok_or(DeltaError::Format)?;
    Ok(u32::from_be_bytes(len) as usize)
}

/// The edits from `old` to `new`. Records have a canonical order, so those in both encodings have
/// the same order: where the next two differ, one of them was removed or added.
fn edits(old: &[u8], new: &[u8]) -> Vec<u8> {
    let kept: HashSet<&[u8]> = replica::pieces(new).map(|at| &new[at]).collect();
    let mut left = replica::pieces(old).peekable();
    let mut right = replica::pieces(new).peekable();
    let mut out = Edits {
        new,
        out: Vec::new(),
        pending: None,
    };

    loop {
        match (left.peek().cloned(), right.peek().cloned()) {
            (Some(a), Some(b)) if old[a.clone()] == new[b.clone()] => {
                out.push(0, b);
                left.next();
                right.next();
            }
            (Some(a), _) if !kept.contains(&old[a.clone()]) => {
                out.push(1, a);
                left.next();
            }
            // The older record is kept, so that it comes later: this one was added before it.
            (_, Some(b)) => {
                out.push(2, b);
                right.next();
            }
            (Some(a), None) => {
                out.push(1, a);
                left.next();
            }
            (None, None) => return out.finish(),
        }
    }
}

/// Writes edits; consecutive ones of one kind become one.
struct Edits<'b> {
    new: &'b [u8],
    out: Vec<u8>,
    pending: Option<(u8, Range<usize>)>,
}

impl Edits<'_> {
    /// `at` is a range of the new zone, except for skipped octets.
    fn push(&mut self, edit: u8, at: Range<usize>) {
        match &mut self.pending {
            Some((last, range)) if *last == edit => range.end += at.len(),
            _ => {
                self.flush();
                self.pending = Some((edit, at));
            }
        }
    }

    fn flush(&mut self) {
        let Some((edit, range)) = self.pending.take() else {
            return;
        };

        self.out.push(edit);
        self.out
            .extend_from_slice(&(range.len() as u32).to_be_bytes());
        if edit == 2 {
            self.out.extend_from_slice(&self.new[range]);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replica::tests::any_zone;
    use crate::zone::tests::zone;

    fn version(bytes: &[u8]) -> Version {
        (0, Digest::of(bytes))
    }

    fn encoded(hosts: impl IntoIterator<Item = u32>) -> Vec<u8> {
        let hosts: String = hosts
            .into_iter()
            .map(|i| format!("h{i} A 10.0.0.1\n"))
            .collect();
        zone("org1.example", &format!("@ SOA gw h 1 1 1 1 5\n{hosts}")).encode()
    }

    /// A journal of these versions, oldest first.
    fn journal(versions: &[Vec<u8>]) -> Journal {
        let mut journal = Journal::default();
        for pair in versions.windows(2) {
            journal.note(Step::new(version(&pair[0]), &pair[0], &pair[1]));
        }
        journal
    }

    #[test]
    fn one_record_more_in_a_large_zone_is_a_small_delta() {
        let versions = [encoded(0..5000), encoded(0..5001)];
        let delta = journal(&versions).since(version(&versions[0])).unwrap();
        assert!(delta.len() < 200, "{}", delta.len());
        assert_eq!(apply(&versions[0], &delta).unwrap(), versions[1]);
    }

    #[test]
    fn a_journal_leads_on_from_its_last_versions_and_from_no_other() {
        let versions: Vec<_> = (0..30)
            .map(|i| encoded((0..500).filter(|host| *host != i)))
            .collect();
        let journal = journal(&versions);
        let known: Vec<usize> = (0..30)
            .filter(|i| journal.since(version(&versions[*i])).is_some())
            .collect();
        assert_eq!(known, (29 - MAX_STEPS..29).collect::<Vec<_>>());
        for i in known {
            let delta = journal.since(version(&versions[i])).unwrap();
            assert_eq!(
                apply(&versions[i], &delta).as_ref(),
                Ok(&versions[29]),
                "{i}"
            );
        }
        assert!(
            journal.since((1, version(&versions[28]).1)).is_none(),
            "the same content by another serial"
        );
    }

    #[test]
    fn a_journal_that_would_exceed_the_zone_forgets() {
        let versions = [encoded(0..500), encoded(500..1000), encoded(500..502)];
        let journal = journal(&versions);
        assert!(journal.since(version(&versions[0])).is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let old = encoded(0..3);
        let step = |edits: &[u8]| [&MAGIC[..], &(edits.len() as u32).to_be_bytes(), edits].concat();
        let keep = |len: usize| [&[0][..], &(len as u32).to_be_bytes()].concat();
        assert_eq!(apply(&old, &step(&keep(old.len()))).as_ref(), Ok(&old));
        assert_eq!(
            apply(&old, &step(&keep(old.len() + 1))),
            Err(DeltaError::Fit)
        );
        assert_eq!(
            apply(&old, &step(&keep(old.len() - 1))),
            Err(DeltaError::Fit)
        );
        assert_eq!(
            apply(&old, &step(&[3, 0, 0, 0, 0])),
            Err(DeltaError::Format)
        );
        assert_eq!(apply(&old, b"RWD2"), Err(DeltaError::Format));
        let many = [
            &MAGIC[..],
            &step(&keep(old.len()))[4..].repeat(MAX_STEPS + 1),
        ]
        .concat();
        assert_eq!(apply(&old, &many), Err(DeltaError::Format));
    }

    proptest! {
        #[test]
        fn a_delta_results_in_the_newer_zone(old in any_zone(), new in any_zone()) {
            let (old, new) = (old.encode(), new.encode());
            let step = edits(&old, &new);
            prop_assert_eq!(apply_step(&old, &step), Ok(new));
        }

        #[test]
        fn a_zone_changed_here_and_there_follows(
            zone in any_zone(),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let old = zone.encode();
            let mut pieces: Vec<_> = replica::pieces(&old).collect();
            for index in gone {
                if pieces.len() > 1 {
                    pieces.remove(1 + index.index(pieces.len() - 1));
                }
            }
            let new: Vec<u8> = pieces.iter().flat_map(|at| old[at.clone()].to_vec()).collect();
            prop_assert_eq!(apply_step(&old, &edits(&old, &new)), Ok(new));
        }

        #[test]
        fn arbitrary_edits_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = apply(&encoded(0..3), &[&MAGIC[..], &bytes].concat());
            let _ = apply_step(&encoded(0..3), &bytes);
        }
    }
}
