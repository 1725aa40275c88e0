//! [`Untracking`]: caches whether the tunnel's packets may pass untracked. The answer is renewed
//! after a change of the ruleset: a new filter may depend on connection tracking.

use std::time::{Duration, Instant};

/// Listing many rules takes long. The pause before the next listing is this many times its
/// duration.
const REST: u32 = 20;

/// What an answer is valid for: the generation of the ruleset, and whether iptables-legacy has a
/// filter.
pub(super) type Ruleset = (Option<u32>, bool);

/// The last answer.
#[derive(Debug, Default)]
pub(super) struct Untracking(Option<Answer>);

#[derive(Debug)]
struct Answer {
    is_allowed: bool,
    ruleset: Ruleset,
    /// Earliest time of the next listing.
    rest: Instant,
}

impl Untracking {
    /// The cached answer for `ruleset`, if it is still usable.
    pub(super) fn known(&self, ruleset: Ruleset, now: Instant) -> Option<bool> {
        let answer = self.0.as_ref()?;

        (answer.ruleset == ruleset || now < answer.rest).then_some(answer.is_allowed)
    }

    /// Stores an answer that was found at `now`.
    pub(super) fn note(
        &mut self,
        is_allowed: bool,
        ruleset: Ruleset,
        took: Duration,
        now: Instant,
    ) {
        self.0 = Some(Answer {
            is_allowed,
            ruleset,
            // The longer a listing takes, the less often it is done.
            rest: now + took * REST,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untracking_is_checked_again_after_a_change_but_not_all_the_time() {
        let start = Instant::now();
        let mut untracking = Untracking::default();
        assert_eq!(untracking.known((Some(1), false), start), None);

        let second = Duration::from_secs(1);
        untracking.note(true, (Some(1), false), second, start);
        let later = start + second * REST;
        assert_eq!(untracking.known((Some(1), false), later), Some(true));
        assert_eq!(untracking.known((Some(2), false), start), Some(true));
        assert_eq!(untracking.known((Some(2), false), later), None);
        assert_eq!(untracking.known((Some(1), true), later), None);
    }
}
