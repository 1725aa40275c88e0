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
/// The kernel is asked at least this often: it does not tell of every change (iptables-legacy).
const PERIOD: Duration = Duration::from_secs(10);
/// Least time between two inquiries. What a change was found to do is looked at again after it.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after an inquiry is so many times as long as that took: a host with very many rules
/// takes a while to list them.
const SHARE: u32 = 10;
/// The kernel is asked again so long after it has not answered.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Inquirer {
    /// Since when an inquiry is under way.
    asking: Option<Instant>,
    /// Something was changed meanwhile, so that its answer may be old.
    is_old: bool,
    next: Instant,
    /// No inquiry before.
    quiet: Instant,
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
            asking: None,
            is_old: false,
            next: now + FIRST,
            quiet: now + FIRST,
            suspected: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Something was changed on the host.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.is_old = self.asking.is_some();
        self.next = self.next.min(now.max(self.quiet));
    }

    /// True if the kernel must be asked now. The answer goes to [`Inquirer::answered`].
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        if self.asking.is_some() || now < self.next {
            return false;
        }

        self.asking = Some(now);
        self.is_old = false;
        true
    }

    /// The kernel has answered.
    pub(crate) fn answered(&mut self, findings: Vec<Finding>, now: Instant) -> Vec<Advice> {
        self.rest(now);

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
        self.next = if is_open || self.is_old {
            self.quiet
        } else {
            self.quiet.max(now + PERIOD)
        };
        told
    }

    /// An inquiry is over.
    fn rest(&mut self, now: Instant) {
        let began = self.asking.take().unwrap_or(now);
        let took = now.saturating_duration_since(began);

        self.quiet = now + PAUSE.max(took * SHARE);
    }

    /// The kernel has not answered: what is known of it stays.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        self.rest(now);

        self.next = self.quiet.max(now + RETRY);
    }

    /// When to poll again, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.asking.is_none().then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use ringway_intent::Remedy;

    use super::*;

    fn docker() -> Finding {
        Finding {
            name: "foreign filter ip filter FORWARD".into(),
            what: "drops".into(),
            remedy: Remedy::command("iptables -I DOCKER-USER"),
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
        now += PAUSE;
        assert!(inquirer.poll(now));
        assert_eq!(
            inquirer.answered(vec![docker()], now),
            [Advice::Raise(docker())]
        );
        assert!(!inquirer.poll(now + PAUSE));
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
        assert_eq!(inquirer.poll_timeout(), Some(start + RETRY));
        assert!(inquirer.poll(start + RETRY));
        assert!(inquirer.answered(vec![docker()], start).is_empty());
        assert_eq!(
            inquirer.answered(Vec::new(), start),
            [Advice::Clear(docker().name)]
        );
    }

    #[test]
    fn what_a_change_does_is_told_a_second_later_at_one_look_a_second() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        let first = start + FIRST;
        inquirer.changed(start);
        assert!(!inquirer.poll(start), "tunnels come up first");
        assert!(inquirer.poll(first));
        inquirer.answered(Vec::new(), first);

        let mut now = first + PAUSE;
        inquirer.changed(now);
        assert!(inquirer.poll(now), "at once");
        assert!(inquirer.answered(vec![docker()], now).is_empty());
        for millis in 0..1000 {
            let later = now + Duration::from_millis(millis);
            inquirer.changed(later);
            assert!(!inquirer.poll(later));
        }
        now += PAUSE;
        assert!(inquirer.poll(now));
        let told = inquirer.answered(vec![docker()], now);
        assert_eq!(told, [Advice::Raise(docker())]);

        // What opens it again counts at once.
        now += PAUSE;
        inquirer.changed(now);
        assert!(inquirer.poll(now));
        let told = inquirer.answered(Vec::new(), now);
        assert_eq!(told, [Advice::Clear(docker().name)]);
    }

    #[test]
    fn a_change_during_an_inquiry_is_not_missed() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        let now = start + FIRST;
        assert!(inquirer.poll(now));
        inquirer.changed(now);
        inquirer.answered(Vec::new(), now);
        assert_eq!(inquirer.poll_timeout(), Some(now + PAUSE));
    }

    #[test]
    fn a_host_whose_rules_take_long_is_asked_less_often() {
        let start = Instant::now();
        let mut inquirer = Inquirer::new(start);
        let now = start + FIRST;
        assert!(inquirer.poll(now));
        let end = now + Duration::from_secs(2);
        inquirer.answered(Vec::new(), end);
        inquirer.changed(end);
        assert_eq!(inquirer.poll_timeout(), Some(end + Duration::from_secs(20)));
    }
}
