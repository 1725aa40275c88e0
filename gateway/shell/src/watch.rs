//! [`KernelWatch`]: when what the daemon has set in the kernel is compared, and what follows from
//! what was found. Rules and routes have their own comparison ([`RouteKeeper`]), and the same pace.
//!
//! ```text
//!   Idle ── an event, or a second has passed ──► Checking ── answer ──► Idle
//!                                                  └─ an event meanwhile: once more ─┘
//! ```
//! A program that changes a thing again and again is not fought at full speed: after ten
//! restorations in a minute, a thing is restored once a second at most, until a minute has passed
//! without one. So a site is never cut off for longer than that, and a fight costs little. While
//! the packet filter is missing, the forwarding that the daemon has switched on is off.
//!
//! [`RouteKeeper`]: crate::routes::RouteKeeper

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ringway_intent::{Checked, Missing, Restoration, Thing};

/// What the kernel has is compared at least this often, whatever it reports.
const LOOK: Duration = Duration::from_secs(1);

/// So many restorations of one thing...
const FIGHT: usize = 10;
/// ... in this time are a fight. As long without one ends it.
const MINUTE: Duration = Duration::from_secs(60);
/// Time between two restorations of a thing that is fought over.
pub(crate) const TRUCE: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct KernelWatch {
    is_checking: bool,
    /// Something changed while it was compared.
    again: bool,
    /// When to look although nothing was reported.
    look: Instant,
    paces: BTreeMap<Thing, Pace>,
    /// What is not as needed.
    missing: BTreeMap<Thing, Missing>,
    /// Of those, what was told.
    told: BTreeMap<Thing, Missing>,
    /// Restorations since the start, by kind.
    counts: BTreeMap<&'static str, u64>,
}

/// The restorations of one thing.
#[derive(Debug, Default)]
struct Pace {
    /// The latest, at most [`FIGHT`].
    recent: VecDeque<Instant>,
    is_fought: bool,
}

/// What follows from a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// To be told: another program changed something, and it was restored.
    Restored(Restoration),
    /// From now on this is restored once a second at most.
    Fought(Restoration),
    /// The fight is over.
    Quiet(Thing),
    /// This cannot be restored.
    Missing(Missing),
    /// It is as needed again.
    Back(Thing),
}

impl KernelWatch {
    /// A watch that looks at once.
    pub(crate) fn new(now: Instant) -> KernelWatch {
        KernelWatch {
            is_checking: false,
            again: false,
            look: now,
            paces: BTreeMap::new(),
            missing: BTreeMap::new(),
            told: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The kernel reported a change of something.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.look = now;
        // The comparison under way may have passed this thing already.
        self.again = self.is_checking;
    }

    /// If something is to be compared now: what must be left as it is found. The answer goes to
    /// [`KernelWatch::checked`].
    pub(crate) fn poll(&mut self, now: Instant) -> Option<BTreeSet<Thing>> {
        if self.is_checking || now < self.look {
            return None;
        }

        self.is_checking = true;
        Some(self.resting(now))
    }

    /// The comparison has ended.
    pub(crate) fn checked(&mut self, checked: Checked, now: Instant) -> Vec<Outcome> {
        self.is_checking = false;
        let was_again = std::mem::take(&mut self.again);

        // First what was restored just now: a fight that goes on must not count as over.
        let mut outcomes = self.restored(checked.restored, now);
        self.look = if was_again {
            now
        } else {
            self.end_of_rest(now).min(now + LOOK)
        };
        outcomes.extend(self.calm(now));
        outcomes.extend(self.note_missing(checked.missing));
        outcomes
    }

    /// These were restored.
    pub(crate) fn restored(&mut self, restored: Vec<Restoration>, now: Instant) -> Vec<Outcome> {
        let mut outcomes = Vec::new();

        for restoration in restored {
            *self.counts.entry(restoration.thing.kind()).or_default() += 1;
            let pace = self.paces.entry(restoration.thing.clone()).or_default();

            // Told once for each change of pace, however often the thing is restored.
            let was_fought = pace.is_fought;
            pace.note(now);
            match (was_fought, pace.is_fought) {
                (false, true) => outcomes.push(Outcome::Fought(restoration)),
                (false, false) => outcomes.push(Outcome::Restored(restoration)),
                // The alarm says it all.
                (true, _) => {}
            }
        }
        outcomes
    }

    /// The operator wants everything repaired now, fought over or not.
    pub(crate) fn insist(&mut self) {
        // Everything is compared without a wait. Whether a fight is over, that comparison shows.
        for pace in self.paces.values_mut() {
            *pace = Pace {
                is_fought: pace.is_fought,
                ..Pace::default()
            };
        }
    }

    /// True while `thing` is left as it is found.
    pub(crate) fn rests(&self, thing: &Thing, now: Instant) -> bool {
        self.paces.get(thing).is_some_and(|pace| pace.rests(now))
    }

    /// The first time at which something that rests may be restored.
    fn end_of_rest(&self, now: Instant) -> Instant {
        let resting = self.paces.values().filter(|pace| pace.rests(now));
        let ends = resting.filter_map(|pace| pace.last().map(|last| last + TRUCE));

        ends.min().unwrap_or(now + TRUCE)
    }

    /// True if something of another program's was undone in the last [`TRUCE`] before `since`, or
    /// after it.
    pub(crate) fn has_restored(&self, since: Instant) -> bool {
        let latest = self.paces.values().filter_map(Pace::last);

        latest.max().is_some_and(|last| last + TRUCE >= since)
    }

    /// True while `thing` is changed again and again.
    pub(crate) fn is_fought(&self, thing: &Thing) -> bool {
        self.paces.get(thing).is_some_and(|pace| pace.is_fought)
    }

    /// When to poll again, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_checking).then_some(self.look)
    }

    /// True while a comparison is under way.
    pub(crate) fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// Restorations since the start, by kind of thing.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// True if `thing` was not as needed when it was compared last.
    pub(crate) fn lacks(&self, thing: &Thing) -> bool {
        self.missing.contains_key(thing)
    }

    fn resting(&self, now: Instant) -> BTreeSet<Thing> {
        self.paces
            .iter()
            .filter(|(_, pace)| pace.rests(now))
            .map(|(thing, _)| thing.clone())
            .collect()
    }

    /// Ends the fights that are over, and forgets what was restored long ago.
    fn calm(&mut self, now: Instant) -> Vec<Outcome> {
        let mut outcomes = Vec::new();

        self.paces.retain(|thing, pace| {
            let is_over = pace.is_over(now);
            if is_over && pace.is_fought {
                outcomes.push(Outcome::Quiet(thing.clone()));
            }
            !is_over
        });
        outcomes
    }

    /// Takes what is missing now. Each is reported once; of what is fought over, the
    /// alarm says enough.
    fn note_missing(&mut self, missing: Vec<Missing>) -> Vec<Outcome> {
        self.missing = missing
            .into_iter()
            .map(|missing| (missing.thing.clone(), missing))
            .collect();

        let mut told = self.missing.clone();
        told.retain(|thing, _| !self.is_fought(thing));
        let before = std::mem::replace(&mut self.told, told);

        let back = before
            .keys()
            .filter(|thing| !self.told.contains_key(thing))
            .map(|thing| Outcome::Back(thing.clone()));
        let lost = self
            .told
            .values()
            .filter(|missing| before.get(&missing.thing) != Some(missing))
            .map(|missing| Outcome::Missing(missing.clone()));
        back.chain(lost).collect()
    }
}

impl Pace {
    fn note(&mut self, now: Instant) {
        self.recent.push_back(now);
        if self.recent.len() > FIGHT {
            self.recent.pop_front();
        }

        let is_full = self.recent.len() == FIGHT;
        let first = self.recent.front();
        self.is_fought |= is_full && first.is_some_and(|first| now.duration_since(*first) < MINUTE);
    }

    fn rests(&self, now: Instant) -> bool {
        self.is_fought
            && self
                .last()
                .is_some_and(|last| now.duration_since(last) < TRUCE)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.last()
            .is_none_or(|last| now.duration_since(last) >= MINUTE)
    }

    fn last(&self) -> Option<Instant> {
        self.recent.back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Restoration {
        Restoration {
            thing: Thing::Table,
            name: "nftables table inet ringway0".into(),
            found: "gone".into(),
            by: Some("nft".into()),
        }
    }

    fn restored() -> Checked {
        Checked {
            restored: vec![table()],
            ..Checked::default()
        }
    }

    fn missing(reason: &str) -> Checked {
        Checked {
            missing: vec![Missing {
                thing: Thing::Table,
                name: "nftables table inet ringway0".into(),
                reason: reason.into(),
            }],
            ..Checked::default()
        }
    }

    #[test]
    fn a_look_follows_each_second_and_each_event_at_once() {
        let start = Instant::now();
        let mut watch = KernelWatch::new(start);
        assert!(watch.poll(start).is_some());
        assert_eq!(watch.poll(start), None, "one at a time");

        assert!(watch.checked(Checked::default(), start).is_empty());
        assert_eq!(watch.poll(start + LOOK / 2), None);
        assert_eq!(watch.poll_timeout(), Some(start + LOOK));
        watch.changed(start + LOOK / 2);
        assert!(watch.poll(start + LOOK / 2).is_some());

        // What was changed during a comparison may have been missed by it.
        watch.changed(start + LOOK / 2);
        watch.checked(Checked::default(), start + LOOK / 2);
        assert!(watch.poll(start + LOOK / 2).is_some());
    }

    #[test]
    fn ten_restorations_in_a_minute_are_a_fight_until_a_minute_of_quiet() {
        let start = Instant::now();
        let mut watch = KernelWatch::new(start);
        for second in 1..10 {
            let now = start + LOOK * second;
            watch.poll(now);
            let outcomes = watch.checked(restored(), now);
            assert_eq!(outcomes, [Outcome::Restored(table())]);
        }
        let tenth = start + LOOK * 10;
        watch.poll(tenth);
        assert_eq!(watch.checked(restored(), tenth), [Outcome::Fought(table())]);

        // It is removed in between, and restored when a second has passed since the last time.
        let early = tenth + TRUCE * 9 / 10;
        watch.changed(early);
        let leave = watch.poll(early).unwrap();
        assert!(leave.contains(&Thing::Table));
        assert!(watch.checked(missing("left"), early).is_empty());
        assert!(watch.lacks(&Thing::Table));
        assert_eq!(watch.poll_timeout(), Some(tenth + TRUCE));
        let leave = watch.poll(tenth + TRUCE).unwrap();
        assert!(leave.is_empty(), "once a second");
        assert!(watch.checked(restored(), tenth + TRUCE).is_empty());
        assert!(!watch.lacks(&Thing::Table));

        let quiet = tenth + TRUCE + MINUTE;
        watch.poll(quiet);
        assert_eq!(
            watch.checked(Checked::default(), quiet),
            [Outcome::Quiet(Thing::Table)]
        );
        assert_eq!(watch.counts()["table"], 11);
    }

    #[test]
    fn an_operators_reload_restores_what_is_fought_over() {
        let start = Instant::now();
        let mut watch = KernelWatch::new(start);
        for _ in 0..10 {
            watch.changed(start);
            watch.poll(start);
            watch.checked(restored(), start);
        }
        assert!(watch.rests(&Thing::Table, start));

        watch.insist();
        assert!(!watch.rests(&Thing::Table, start));
        watch.changed(start);
        watch.poll(start);
        assert!(
            watch.checked(restored(), start).is_empty(),
            "it is still fought over"
        );
        assert!(watch.rests(&Thing::Table, start));
    }

    #[test]
    fn nine_restorations_a_minute_are_no_fight() {
        let start = Instant::now();
        let mut watch = KernelWatch::new(start);
        for turn in 0..30 {
            let now = start + Duration::from_secs(7) * turn;
            watch.poll(now);
            let outcomes = watch.checked(restored(), now);
            assert_eq!(outcomes, [Outcome::Restored(table())]);
        }
    }

    #[test]
    fn a_missing_object_is_reported_once_and_when_it_is_back() {
        let start = Instant::now();
        let mut watch = KernelWatch::new(start);
        let mut check = |checked| {
            watch.changed(start);
            watch.poll(start);
            watch.checked(checked, start)
        };

        assert!(matches!(
            check(missing("no nft"))[..],
            [Outcome::Missing(_)]
        ));
        assert!(check(missing("no nft")).is_empty());
        assert!(matches!(check(missing("busy"))[..], [Outcome::Missing(_)]));
        assert_eq!(check(Checked::default()), [Outcome::Back(Thing::Table)]);
        assert!(check(Checked::default()).is_empty());
    }
}
