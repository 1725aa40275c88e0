//! [`Choice`]: which place a new flow gets, and which flow is given up for it.

use std::cmp::Reverse;

use super::shares::Shares;
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

/// Whose flows may be given up for a new one.
#[derive(Clone, Copy)]
pub(super) enum Victims<'t> {
    /// Anybody's.
    All,
    /// This owner's: it has as many places as it may have.
    Of(u32),
    /// Those of owners who have as many as this one, or more: nobody grows at the cost of one who
    /// has less.
    NotPoorerThan(u32, &'t Shares),
}

/// Looks at places, and remembers the best.
pub(super) struct Search<'t> {
    victims: Victims<'t>,
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
    /// Places of its owner, where that counts.
    wealth: u32,
}

impl Candidate {
    /// The lowest is given up.
    fn rank(&self) -> (Worth, Reverse<u32>, Tick) {
        (self.worth, Reverse(self.wealth), self.entry.last)
    }
}

impl<'t> Search<'t> {
    pub(super) fn new(victims: Victims<'t>, now: Tick) -> Search<'t> {
        Search {
            victims,
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
            // A flow stands in one of its own buckets; elsewhere only a place is given up.
            if !self.is_far && self.free.is_none() {
                self.free = Some(position);
            }
            return;
        };

        let worth = entry.state.worth(entry.key.protocol, entry.last, self.now);
        let Some(wealth) = self.wealth_of_victim(&entry, worth) else {
            return;
        };

        let candidate = Candidate {
            position,
            entry,
            worth,
            wealth,
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

    /// Places of the entry's owner, or 0 where they do not count; `None` if it must keep its own.
    fn wealth_of_victim(&self, entry: &Entry, worth: Worth) -> Option<u32> {
        match self.victims {
            Victims::All => Some(0),
            Victims::Of(owner) => (entry.owner == owner).then_some(0),
            Victims::NotPoorerThan(owner, shares) => {
                let wealth = shares.count(entry.owner);
                // What has expired is nobody's loss.
                let is_victim = worth == Worth::Expired || wealth >= shares.count(owner);
                is_victim.then_some(wealth)
            }
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
            // A far place is none of the new flow's own: the far flow goes, and the free place is
            // used.
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
