//! A course of events: the filter and the model see the same packets, policies and times, and are
//! compared at each packet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::{OnDenied, Policy};
use ringway_filter::{Filter, FlowRecord, Rules, Settings, Verdict};

use crate::model::{Decision, Model};
use crate::packet::{Content, Packet, RST};
use crate::rng::Rng;
use crate::world::{named_policy, spec};

pub(crate) struct Course {
    filter: Filter,
    rules: Rules,
    model: Model,
    policy: Policy,
    former: Vec<Policy>,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
    /// What is going on, for the tally.
    pub(crate) class: &'static str,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) passed: u64,
    /// Per class: packets, and how many of them passed.
    pub(crate) classes: BTreeMap<&'static str, (u64, u64)>,
    /// Passed, though the model says otherwise.
    pub(crate) wrong_deliveries: Differences,
    /// Dropped, though the model says otherwise.
    pub(crate) false_drops: Differences,
    /// The right verdict in the wrong form: a rejection that must not be, or waiting.
    pub(crate) wrong_forms: Differences,
}

/// By class: how often, and the first one.
pub(crate) type Differences = BTreeMap<&'static str, (u64, String)>;

impl Course {
    /// Begins long after a start: grace is over.
    pub(crate) fn new(seed: u64, policy: &str) -> Course {
        Course::with(seed, named_policy(policy))
    }

    pub(crate) fn with(seed: u64, policy: Policy) -> Course {
        let mut course = Course::just_started(Rng::new(seed), policy);
        course.pass(Duration::from_secs(3600));
        course
    }

    fn just_started(mut rng: Rng, policy: Policy) -> Course {
        let now = Instant::now();
        let spec = spec(policy.clone());
        let secret = std::array::from_fn(|_| rng.below(256) as u8);

        Course {
            filter: Filter::new(&Settings::of(&policy), secret, now),
            rules: Rules::compile(&spec),
            model: Model::new(spec, now),
            policy,
            former: Vec::new(),
            now,
            rng,
            tally: Tally::default(),
            class: "",
        }
    }

    /// The gateway is restarted: every flow is forgotten, and grace begins.
    pub(crate) fn restart(&mut self) {
        let secret = std::array::from_fn(|_| self.rng.below(256) as u8);
        self.filter = Filter::new(&Settings::of(&self.policy), secret, self.now);
        let mut spec = spec(self.policy.clone());
        spec.former = self.former.clone();
        self.model = Model::new(spec, self.now);
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A reload with another policy. The one before is kept as a former one.
    pub(crate) fn reload(&mut self, policy: Policy) {
        let before = std::mem::replace(&mut self.policy, policy);
        self.former.push(before);
        // As many as matter here: the tests change among a handful.
        if self.former.len() > 8 {
            self.former.remove(0);
        }
        self.adopt();
    }

    /// Forgets the former policies: they were in force longer ago than a flow may be idle.
    pub(crate) fn forget_former(&mut self) {
        self.former.clear();
        self.adopt();
    }

    pub(crate) fn policy(&mut self, name: &str) {
        self.reload(named_policy(name));
    }

    /// The same with this number of places for flows.
    pub(crate) fn policy_crowded(&mut self, name: &str, flows: u32) {
        let policy = Policy {
            flows,
            ..named_policy(name)
        };
        self.reload(policy);
    }

    fn adopt(&mut self) {
        let mut spec = spec(self.policy.clone());
        spec.former = self.former.clone();
        self.rules = Rules::replace(&self.rules, &spec);
        self.filter.configure(&Settings::of(&self.policy), self.now);
        self.model.reload(spec);
    }

    /// This gateway takes over from another one.
    pub(crate) fn begin_grace(&mut self) {
        self.filter.begin_grace(self.now);
        self.model.begin_grace(self.now);
    }

    /// This site has other gateways, and no session to them.
    pub(crate) fn set_endless_grace(&mut self, endless: bool) {
        self.filter.set_endless_grace(endless);
        self.model.endless_grace = endless;
    }

    /// A gateway of site `from` has sealed this.
    pub(crate) fn arrives(&mut self, from: u32, packet: &Packet) -> Decision {
        let found = self
            .filter
            .arrives(&self.rules, from, &packet.bytes, self.now);
        let expected = self.model.arrives(from, &packet.facts, self.now);
        self.note("in", found, expected, packet);
        decision(found)
    }

    /// A host of our site sends this.
    pub(crate) fn leaves(&mut self, packet: &Packet) -> Decision {
        let found = self.filter.leaves(&self.rules, &packet.bytes, self.now);
        let expected = self.model.leaves(&packet.facts, self.now);
        self.note("out", found, expected, packet);
        decision(found)
    }

    /// Another gateway of this site sends a record, of which the model knows nothing.
    pub(crate) fn import(&self, record: &FlowRecord) -> bool {
        self.filter.import(&self.rules, record, self.now)
    }

    /// Like [`Course::arrives`], without the model.
    pub(crate) fn filter_arrives(&self, from: u32, packet: &Packet) -> Decision {
        let found = self
            .filter
            .arrives(&self.rules, from, &packet.bytes, self.now);
        decision(found)
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    fn note(&mut self, way: &str, found: Verdict, expected: Decision, packet: &Packet) {
        let class = self.class;
        let passed = found == Verdict::Pass;
        self.tally.packets += 1;
        self.tally.passed += u64::from(passed);
        let counted = self.tally.classes.entry(class).or_default();
        counted.0 += 1;
        counted.1 += u64::from(passed);

        let differences = if passed && expected != Decision::Pass {
            &mut self.tally.wrong_deliveries
        } else if !passed && expected == Decision::Pass {
            &mut self.tally.false_drops
        } else if decision(found) != expected || self.is_wrong_answer(found, packet) {
            &mut self.tally.wrong_forms
        } else {
            return;
        };
        let policy = &self.policy;
        let example = || {
            let egress = policy.egress;
            let allow = policy.allow.as_ref().map(Vec::len);
            let facts = packet.facts;
            format!("{way} {found:?}, not {expected:?}: {facts:?} ({allow:?} rules, {egress:?})")
        };
        differences.entry(class).or_insert_with(|| (0, example())).0 += 1;
    }

    /// True for a rejection that the policy does not want, or of what must not be answered.
    fn is_wrong_answer(&self, found: Verdict, packet: &Packet) -> bool {
        let Verdict::Reject(_) = found else {
            return false;
        };
        self.policy.denied != OnDenied::Reject
            || match packet.facts.content {
                Content::Tcp(segment) => segment.flags & RST != 0,
                Content::Error(_) | Content::Later { .. } => true,
                _ => false,
            }
    }
}

fn decision(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Pass => Decision::Pass,
        Verdict::Drop(_) | Verdict::Reject(_) | Verdict::HandedOver => Decision::Drop,
        Verdict::WaitForFirstFragment => Decision::Wait,
    }
}

impl Tally {
    /// True if filter and model have said the same so far.
    pub(crate) fn agrees(&self) -> bool {
        self.wrong_deliveries.is_empty()
            && self.false_drops.is_empty()
            && self.wrong_forms.is_empty()
    }

    /// Adds what another course saw.
    pub(crate) fn add(&mut self, other: Tally) {
        self.packets += other.packets;
        self.passed += other.passed;
        for (class, (packets, passed)) in other.classes {
            let counted = self.classes.entry(class).or_default();
            counted.0 += packets;
            counted.1 += passed;
        }
        merge(&mut self.wrong_deliveries, other.wrong_deliveries);
        merge(&mut self.false_drops, other.false_drops);
        merge(&mut self.wrong_forms, other.wrong_forms);
    }
}

fn merge(into: &mut Differences, other: Differences) {
    for (class, (count, example)) in other {
        into.entry(class).or_insert((0, example)).0 += count;
    }
}
