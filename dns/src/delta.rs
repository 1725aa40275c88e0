//! What changed between versions of a zone, as bytes: so that a change of one record in a large zone is a
//! small message. How a zone is encoded is [`crate::replica`]'s; who asks for what, [`crate::transfer`]'s.
//!
//! ```text
//! delta: "RWD1" | step...             one step for each version since, oldest first
//! step:  octets: u32 | edit...        from the start of the older encoding to its end
//! edit:  0 | length: u32              keep so many octets
//!        1 | length: u32              leave so many out
//!        2 | length: u32 | octets     put these in
//! ```
//! Edits know nothing of records, and are believed nothing: what they make is bounded in size, and is a zone
//! only if its digest is the one that its owner offered and it passes every check of a whole one.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use ringway_config::Digest;

use crate::replica::{self, MAX_SIZE};

/// Versions that a [`Journal`] leads on from, and steps that a delta may have.
pub const MAX_STEPS: usize = 16;

const MAGIC: &[u8; 4] = b"RWD1";

/// A version of a zone: its serial, and the digest of its encoding.
pub type Version = (u32, Digest);

/// Why bytes are no delta of a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// Not this format, cut off, or with too many steps.
    #[error("the bytes are not a difference of this format")]
    Format,
    /// An edit beyond the end of the old zone, or an old zone that goes on behind the last.
    #[error("the difference does not fit the zone that it is to change")]
    Fit,
    /// What it makes is larger than [`MAX_SIZE`].
    #[error("the difference makes more than {MAX_SIZE} octets")]
    Size,
}

/// The last changes of one zone, kept by its owner: at most [`MAX_STEPS`], and together no larger than the
/// zone, for then the zone itself is the shorter answer.
#[derive(Debug, Default)]
pub struct Journal(VecDeque<Step>);

/// What leads from one version of a zone to the next.
#[derive(Debug)]
pub struct Step {
    from: Version,
    edits: Vec<u8>,
    /// Octets of the newer version.
    size: usize,
}

impl Step {
    /// From version `from`, encoded as `old`, to `new`. Takes as long as it takes to read both.
    pub fn new(from: Version, old: &[u8], new: &[u8]) -> Step {
        Step {
            from,
            edits: edits(old, new),
            size: new.len(),
        }
    }
}

impl Journal {
    /// The zone has taken `step` from the version that the last one led to.
    pub fn note(&mut self, step: Step) {
        let size = step.size;
        self.0.push_back(step);
        while self.0.len() > MAX_STEPS || self.octets() > size {
            self.0.pop_front();
        }
    }

    /// What leads from version `have` to the newest; `None` if that is not known (any more).
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

/// What `delta` makes of the encoded zone `old`.
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
        if new.len() + put.len() > MAX_SIZE {
            return Err(DeltaError::Size);
        }
        new.extend_from_slice(put);
    }
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

/// The edits that make `new` of `old`. Records stand in one order only, so those that both have come in the
/// same order: where the next two differ, one of them is the other's no more, or not yet.
fn edits(old: &[u8], new: &[u8]) -> Vec<u8> {
    let kept: HashSet<&[u8]> = replica::pieces(new).map(|at| &new[at]).collect();
    let (mut left, mut right) = (
        replica::pieces(old).peekable(),
        replica::pieces(new).peekable(),
    );
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

/// Edits being written; neighbours of one kind become one.
struct Edits<'b> {
    new: &'b [u8],
    out: Vec<u8>,
    pending: Option<(u8, Range<usize>)>,
}

impl Edits<'_> {
    /// `at` is a place in the new zone, but for what is left out.
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
        fn what_leads_from_one_zone_to_another_makes_the_other(old in any_zone(), new in any_zone()) {
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
