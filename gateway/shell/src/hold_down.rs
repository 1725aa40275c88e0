//! [`HoldDown`]: a prefix that was lost and came back counts as reachable for names once it has
//! stayed for a while, so that a tunnel that flaps does not change answers each time. Routes do not
//! wait: a client that knows the address can use it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::Prefix;

/// How long a prefix must have been back.
const STAY: Duration = Duration::from_secs(3);

/// What is known of prefixes that were reachable once.
#[derive(Debug, Default)]
pub(crate) struct HoldDown {
    /// Reachable now.
    reached: BTreeSet<Prefix>,
    /// Was reachable, and is not.
    lost: BTreeSet<Prefix>,
    /// Came back at this time.
    back: BTreeMap<Prefix, Instant>,
}

impl HoldDown {
    /// Takes what is reachable at `now` and gives what counts as reachable for names. A prefix that
    /// is reachable for the first time counts at once.
    pub(crate) fn update(&mut self, reached: BTreeSet<Prefix>, now: Instant) -> BTreeSet<Prefix> {
        self.lost.extend(&self.reached - &reached);

        // A prefix that is reachable for the first time was never lost: it does not wait.
        for prefix in &reached {
            if self.lost.remove(prefix) {
                self.back.insert(*prefix, now);
            }
        }

        // One that was lost again is in `lost` by now, and waits from its next return.
        self.back
            .retain(|prefix, since| reached.contains(prefix) && now.duration_since(*since) < STAY);

        let counted = reached
            .iter()
            .filter(|prefix| !self.back.contains_key(prefix))
            .copied()
            .collect();
        self.reached = reached;
        counted
    }

    /// True if a prefix has stayed long enough since the last [`HoldDown::update`].
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.back
            .values()
            .any(|since| now.duration_since(*since) >= STAY)
    }

    /// Forgets lost prefixes that are no member's any more.
    pub(crate) fn retain(&mut self, is_member: impl Fn(&Prefix) -> bool) {
        self.lost.retain(is_member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prefixes: &[&str]) -> BTreeSet<Prefix> {
        prefixes
            .iter()
            .map(|prefix| prefix.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_prefix_that_is_reached_for_the_first_time_counts_at_once() {
        let mut hold_down = HoldDown::default();
        let now = Instant::now();

        assert_eq!(hold_down.update(set(&[]), now), set(&[]));
        assert_eq!(
            hold_down.update(set(&["10.1.0.0/16"]), now),
            set(&["10.1.0.0/16"])
        );
    }

    #[test]
    fn a_prefix_that_comes_back_must_stay_and_others_do_not_wait() {
        let mut hold_down = HoldDown::default();
        let start = Instant::now();
        let both = set(&["10.1.0.0/16", "10.2.0.0/16"]);
        let one = set(&["10.2.0.0/16"]);

        hold_down.update(both.clone(), start);
        assert_eq!(
            hold_down.update(one.clone(), start),
            one,
            "a loss counts at once"
        );
        assert_eq!(hold_down.update(both.clone(), start), one);
        assert!(!hold_down.is_due(start + STAY / 2));
        assert_eq!(hold_down.update(both.clone(), start + STAY / 2), one);

        assert!(hold_down.is_due(start + STAY));
        assert_eq!(hold_down.update(both.clone(), start + STAY), both);
        assert!(!hold_down.is_due(start + STAY * 2));
    }

    #[test]
    fn each_loss_begins_the_wait_again() {
        let mut hold_down = HoldDown::default();
        let start = Instant::now();
        let one = set(&["10.1.0.0/16"]);

        for turn in 0..10 {
            let at = start + STAY * turn / 2;
            let counted = hold_down.update(one.clone(), at);
            assert_eq!(counted.is_empty(), turn > 0, "turn {turn}");
            assert!(hold_down.update(set(&[]), at).is_empty());
        }
    }
}
