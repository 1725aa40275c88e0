//! [`Inspector`]: schedules the inspections of what the kernel would do with packets between the
//! site and the members, and decides which of their findings operators see.
//!
//! An inspection may catch another program in the middle of a change. A finding is therefore
//! reported when two inspections in a row have it, and cleared when one does not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_intent::Finding;

/// No inspection before: after the start, tunnels come up first.
const FIRST: Duration = Duration::from_secs(5);
/// The longest time between two inspections. The kernel does not notify of every change
/// (iptables-legacy).
const PERIOD: Duration = Duration::from_secs(10);
/// The shortest time between two inspections.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after an inspection, as a multiple of its duration: listing very many rules takes a
/// while.
const PAUSE_FACTOR: u32 = 10;
/// The pause after an inspection that failed.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Inspector {
    /// When the inspection under way began.
    running_since: Option<Instant>,
    /// Something has changed during the inspection, so that its result may be out of date.
    is_outdated: bool,
    next: Instant,
    /// The earliest time of the next inspection.
    earliest: Instant,
    /// The findings of the last inspection.
    found: BTreeMap<String, Finding>,
    /// Those that were confirmed by a second inspection and reported.
    reported: BTreeMap<String, Finding>,
}

/// A change of the list of findings that operators see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    Raise(Finding),
    Clear(String),
}

impl Inspector {
    pub(crate) fn new(now: Instant) -> Inspector {
        Inspector {
            running_since: None,
            is_outdated: false,
            next: now + FIRST,
            earliest: now + FIRST,
            found: BTreeMap::new(),
            reported: BTreeMap::new(),
        }
    }

    /// Something has changed on the host.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.is_outdated = self.running_since.is_some();
        self.next = self.next.min(now.max(self.earliest));
    }

    /// True if an inspection must start now. Its result goes to [`Inspector::completed`].
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        if self.running_since.is_some() || now < self.next {
            return false;
        }

        self.running_since = Some(now);
        self.is_outdated = false;
        true
    }

    /// When the inspection under way began.
    pub(crate) fn began(&self, now: Instant) -> Instant {
        self.running_since.unwrap_or(now)
    }

    /// True if operators see this finding.
    pub(crate) fn has_reported(&self, finding: &Finding) -> bool {
        self.reported.contains_key(&finding.name)
    }

    /// Handles the findings of an inspection. Returns what to change for operators.
    pub(crate) fn completed(&mut self, findings: Vec<Finding>, now: Instant) -> Vec<Advice> {
        self.finish(now);

        let current: BTreeMap<String, Finding> = findings
            .into_iter()
            .map(|finding| (finding.name.clone(), finding))
            .collect();
        let before = std::mem::replace(&mut self.found, current);

        let mut advice = Vec::new();
        for (name, finding) in &self.found {
            let is_confirmed = before.contains_key(name);
            if is_confirmed && self.reported.get(name) != Some(finding) {
                self.reported.insert(name.clone(), finding.clone());
                advice.push(Advice::Raise(finding.clone()));
            }
        }
        self.reported.retain(|name, _| {
            let lasts = self.found.contains_key(name);
            if !lasts {
                advice.push(Advice::Clear(name.clone()));
            }
            lasts
        });

        // A finding that is not confirmed yet is inspected again soon.
        let is_open = self.found.len() > self.reported.len();
        self.next = if is_open || self.is_outdated {
            self.earliest
        } else {
            self.earliest.max(now + PERIOD)
        };
        advice
    }

    /// Ends the inspection under way.
    fn finish(&mut self, now: Instant) {
        let began = self.running_since.take().unwrap_or(now);
        let took = now.saturating_duration_since(began);

        self.earliest = now + PAUSE.max(took * PAUSE_FACTOR);
    }

    /// The inspection has failed: the findings stay.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.finish(now);

        self.next = self.earliest.max(now + RETRY);
    }

    /// When to poll again, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.running_since.is_none().then_some(self.next)
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
    fn a_finding_is_reported_when_found_twice_and_cleared_at_once() {
        let start = Instant::now();
        let mut inspector = Inspector::new(start);
        assert!(!inspector.poll(start));
        let mut now = start + FIRST;
        assert!(inspector.poll(now) && !inspector.poll(now));

        assert!(inspector.completed(vec![docker()], now).is_empty());
        now += PAUSE;
        assert!(inspector.poll(now));
        assert_eq!(
            inspector.completed(vec![docker()], now),
            [Advice::Raise(docker())]
        );
        assert!(!inspector.poll(now + PAUSE));
        now += PERIOD;
        assert!(inspector.poll(now));
        assert!(inspector.completed(vec![docker()], now).is_empty());

        now += PERIOD;
        inspector.poll(now);
        assert_eq!(
            inspector.completed(Vec::new(), now),
            [Advice::Clear(docker().name)]
        );
    }

    #[test]
    fn findings_stay_while_inspections_fail() {
        let start = Instant::now();
        let mut inspector = Inspector::new(start);
        inspector.completed(vec![docker()], start);
        inspector.completed(vec![docker()], start);

        inspector.failed(start);
        assert_eq!(inspector.poll_timeout(), Some(start + RETRY));
        assert!(inspector.poll(start + RETRY));
        assert!(inspector.completed(vec![docker()], start).is_empty());
        assert_eq!(
            inspector.completed(Vec::new(), start),
            [Advice::Clear(docker().name)]
        );
    }

    #[test]
    fn the_effect_of_a_change_is_reported_after_a_second_at_one_inspection_a_second() {
        let start = Instant::now();
        let mut inspector = Inspector::new(start);
        let first = start + FIRST;
        inspector.changed(start);
        assert!(!inspector.poll(start), "tunnels come up first");
        assert!(inspector.poll(first));
        inspector.completed(Vec::new(), first);

        let mut now = first + PAUSE;
        inspector.changed(now);
        assert!(inspector.poll(now), "at once");
        assert!(inspector.completed(vec![docker()], now).is_empty());
        for millis in 0..1000 {
            let later = now + Duration::from_millis(millis);
            inspector.changed(later);
            assert!(!inspector.poll(later));
        }
        now += PAUSE;
        assert!(inspector.poll(now));
        let reported = inspector.completed(vec![docker()], now);
        assert_eq!(reported, [Advice::Raise(docker())]);

        // What opens it again counts at once.
        now += PAUSE;
        inspector.changed(now);
        assert!(inspector.poll(now));
        let reported = inspector.completed(Vec::new(), now);
        assert_eq!(reported, [Advice::Clear(docker().name)]);
    }

    #[test]
    fn a_change_during_an_inspection_is_not_missed() {
        let start = Instant::now();
        let mut inspector = Inspector::new(start);
        let now = start + FIRST;
        assert!(inspector.poll(now));
        inspector.changed(now);
        inspector.completed(Vec::new(), now);
        assert_eq!(inspector.poll_timeout(), Some(now + PAUSE));
    }

    #[test]
    fn a_host_whose_rules_take_long_is_inspected_less_often() {
        let start = Instant::now();
        let mut inspector = Inspector::new(start);
        let now = start + FIRST;
        assert!(inspector.poll(now));
        let end = now + Duration::from_secs(2);
        inspector.completed(Vec::new(), end);
        inspector.changed(end);
        assert_eq!(
            inspector.poll_timeout(),
            Some(end + Duration::from_secs(20))
        );
    }
}
