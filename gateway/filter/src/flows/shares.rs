//! [`Shares`]: how many places each owner has, without a map: a sketch that never counts too few.
//!
//! Two rows of counters; an owner's count is the smaller of its two. Owners that meet in both rows
//! are counted together: with a secret hash, nobody can choose whom to meet.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const ROW: usize = 4096;

pub(super) struct Shares {
    rows: [Box<[AtomicU32]>; 2],
}

impl Shares {
    pub(super) fn new() -> Shares {
        Shares {
            rows: std::array::from_fn(|_| (0..ROW).map(|_| AtomicU32::new(0)).collect()),
        }
    }

    fn counters(&self, owner: u32) -> [&AtomicU32; 2] {
        let owner = owner as usize;
        [&self.rows[0][owner % ROW], &self.rows[1][owner / ROW % ROW]]
    }

    pub(super) fn count(&self, owner: u32) -> u32 {
        let [first, second] = self.counters(owner);
        first.load(Relaxed).min(second.load(Relaxed))
    }

    pub(super) fn add(&self, owner: u32) {
        for counter in self.counters(owner) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn remove(&self, owner: u32) {
        for counter in self.counters(owner) {
            counter.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_counted_apart_unless_they_meet_in_both_rows() {
        let shares = Shares::new();
        for _ in 0..5 {
            shares.add(7);
        }
        shares.add(7 + 4096);
        shares.remove(7);
        assert_eq!(shares.count(7), 4);
        assert_eq!(shares.count(7 + 4096), 1);
        assert_eq!(shares.count(8), 0);
    }
}
