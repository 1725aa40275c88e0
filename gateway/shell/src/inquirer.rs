//! [`Inquirer`]: when the kernel is asked what it would do with packets between site and members,
//! and which findings operators see.
//!
//! An answer may catch the kernel in the middle of a change. So a finding counts when two answers
//! in a row have it, and is over when one has not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_intent::Finding;

/// After the start, tunnels come up first.
const FIRST: Duration = Duration::from_secs(5);
/// The kernel is asked at least this often.
const PERIOD: Duration = Duration::from_secs(30);
/// A finding is looked at again after this time.
const CONFIRM: Duration = Duration::from_secs(2);
/// Least time between two inquiries: a host with many rules takes a while to list them.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Inquirer {
    is_asking: bool,
    next: Instant,
    last: Instant,
    /// Found once.
    suspected: BTreeMap<String, Finding>,
    /// Found at least twice, and told.
    told: BTreeMap<String, Finding>,
}

/// What changes on the list of what needs attention.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    Raise(Finding),
    Clear(String),
}

impl Inquirer {
    pub(crate) fn new(now: Instant) -> Inquirer {
        Inquirer {
            is_asking: false,
            next: now + FIRST,
            last: now,
            suspected: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Something was changed on the host.
    pub(crate) fn changed(&mut self, now: Instant) {
        let soon = (now + CONFIRM).max(self.last + PAUSE);

        self.next = self.next.min(soon);
    }

    /// True if the kernel must be asked now. The answer goes to [`Inquirer::answered`].
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        if self.is_asking || now < self.next {
            return false;
        }

        self.is_asking = true;
        true
    }

    /// The kernel has answered.
    pub(crate) fn answered(&mut self, findings: Vec<Finding>, now: Instant) -> Vec<Advice> {
        self.is_asking = false;
        self.last = now;

        let found: BTreeMap<String, Finding> = findings
            .into_iter()
            .map(|finding| (finding.name.clone(), finding))
            .collect();
        let before = std::mem::replace(&mut self.suspected, found);

        let mut told = Vec::new();
        for (name, finding) in &self.suspected {
            let is_confirmed = before.contains_key(name);
            if is_confirmed && self.told.get(name) != Some(finding) {
                self.told.insert(name.clone(), finding.clone());
                told.push(Advice::Raise(finding.clone()));
            }
        }
        self.told.retain(|name, _| {
            let lasts = self.suspected.contains_key(name);
            if !lasts {
                told.push(Advice::Clear(name.clone()));
            }
            lasts
        });

        // What was found once is looked at again soon.
        let is_open = self.suspected.len() > self.told.len();
        self.next = now + if is_open { CONFIRM } else { PERIOD };
        told
    }

    /// The kernel has not answered: what is known of it stays.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        self.is_asking = false;
        self.last = now;

        self.next = now + PAUSE;
    }

    /// When to poll again, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_asking).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker() -> Finding {
        Finding {
            name: "foreign filter ip filter FORWARD".into(),
            what: "drops".into(),
            remedy: "iptables -I DOCKER-USER".into(),
        }
    }

    #[test]
    fn a_finding_is_told_when_it_is_found_twice_and_ends_at_once() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        assert!(!inquirer.poll(start));
        let mut now = start + FIRST;
        assert!(inquirer.poll(now) && !inquirer.poll(now));

        assert!(inquirer.answered(vec![docker()], now).is_empty());
        now += CONFIRM;
        assert!(inquirer.poll(now));
        assert_eq!(
            inquirer.answered(vec![docker()], now),
            [Advice::Raise(docker())]
        );
        assert!(!inquirer.poll(now + CONFIRM));
        now += PERIOD;
        assert!(inquirer.poll(now));
        assert!(inquirer.answered(vec![docker()], now).is_empty());

        now += PERIOD;
        inquirer.poll(now);
        assert_eq!(
            inquirer.answered(Vec::new(), now),
            [Advice::Clear(docker().name)]
        );
    }

    #[test]
    fn a_finding_stays_while_the_kernel_does_not_answer() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        inquirer.answered(vec![docker()], start);
        inquirer.answered(vec![docker()], start);

        inquirer.unanswered(start);
        assert_eq!(inquirer.poll_timeout(), Some(start + PAUSE));
        assert!(inquirer.poll(start + PAUSE));
        assert!(inquirer.answered(vec![docker()], start).is_empty());
        assert_eq!(
            inquirer.answered(Vec::new(), start),
            [Advice::Clear(docker().name)]
        );
    }

    #[test]
    fn a_change_of_the_host_is_looked_at_soon_but_not_all_the_time() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        let now = start + FIRST;
        inquirer.poll(now);
        inquirer.answered(Vec::new(), now);

        for millis in 0..4000 {
            let later = now + Duration::from_millis(millis);
            inquirer.changed(later);
            assert!(!inquirer.poll(later));
        }
        assert!(inquirer.poll(now + PAUSE + CONFIRM));
    }
}
