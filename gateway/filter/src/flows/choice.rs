//! [`Choice`]: which place a new flow gets, and which flow is given up for it.

use super::slot::Entry;
use super::state::Worth;
use super::table::Position;
use crate::clock::Tick;

/// Where a new flow goes.
pub(super) enum Choice {
    /// An empty place.
    Free(Position),
    /// The place of a flow that is given up.
    Replace(Position, (Entry, Worth)),
    /// An empty place, and another flow is given up.
    Swap {
        free: Position,
        given_up: (Position, Entry, Worth),
    },
    /// Nowhere.
    NoRoom,
}

/// Looks at places, and remembers the best.
pub(super) struct Search {
    /// Only flows of this owner may be given up.
    only: Option<u32>,
    now: Tick,
    is_far: bool,
    free: Option<Position>,
    near: Option<Candidate>,
    far: Option<Candidate>,
}

struct Candidate {
    position: Position,
    entry: Entry,
    worth: Worth,
}

impl Candidate {
    fn rank(&self) -> (Worth, Tick) {
        (self.worth, self.entry.last)
    }
}

impl Search {
    pub(super) fn new(only: Option<u32>, now: Tick) -> Search {
        Search {
            only,
            now,
            is_far: false,
            free: None,
            near: None,
            far: None,
        }
    }

    /// From now on places are not those of the flow's own buckets.
    pub(super) fn goes_far(&mut self) {
        self.is_far = true;
    }

    pub(super) fn look_at(&mut self, position: Position, entry: Option<Entry>) {
        let Some(entry) = entry else {
            if !self.is_far && self.free.is_none() {
                self.free = Some(position);
            }
            return;
        };

        let worth = entry.state.worth(entry.key.protocol, entry.last, self.now);
        if self.only.is_some_and(|owner| owner != entry.owner) {
            return;
        }

        let candidate = Candidate {
            position,
            entry,
            worth,
        };
        let best = if self.is_far {
            &mut self.far
        } else {
            &mut self.near
        };
        if best
            .as_ref()
            .is_none_or(|best| candidate.rank() < best.rank())
        {
            *best = Some(candidate);
        }
    }

    /// What would be given up now.
    pub(super) fn best(&self) -> Option<Worth> {
        let candidates = [&self.near, &self.far];
        candidates
            .into_iter()
            .flatten()
            .map(|best| best.worth)
            .min()
    }

    /// The choice while there is room in the table.
    pub(super) fn finish_near(self) -> Choice {
        match (self.free, self.near) {
            (Some(free), _) => Choice::Free(free),
            (None, Some(near)) => Choice::Replace(near.position, (near.entry, near.worth)),
            (None, None) => Choice::NoRoom,
        }
    }

    /// The choice when a flow must be given up.
    pub(super) fn finish(self) -> Choice {
        let Some(free) = self.free else {
            return match self.near {
                Some(near) => Choice::Replace(near.position, (near.entry, near.worth)),
                None => Choice::NoRoom,
            };
        };

        match (self.near, self.far) {
            (Some(near), Some(far)) if far.rank() < near.rank() => swap(free, far),
            (Some(near), _) => Choice::Replace(near.position, (near.entry, near.worth)),
            (None, Some(far)) => swap(free, far),
            (None, None) => Choice::NoRoom,
        }
    }
}

fn swap(free: Position, far: Candidate) -> Choice {
    Choice::Swap {
        free,
        given_up: (far.position, far.entry, far.worth),
    }
}
