//! From a [`PolicySpec`] to the table that enforces it. Pure.
//!
//! ```text
//!   prerouting ── arriving outer packets ──► the tunnel's mark
//!   input ────── from the TUN ──► from-tun          forward ── from the TUN ──► from-tun
//!   output ───── into the TUN ──► to-tun                    ── into the TUN ──► to-tun
//!                                                           ── neither ───────► dropped, if guarded
//! ```
//!
//! Sets: `own-v4`, `members-v4`, `from-<org>-v4`, and the same for `v6`.

use std::borrow::Cow;
use std::collections::HashSet;

use nftables::batch::Batch;
use nftables::schema::{
    Chain, Counter, NfListObject, Nftables, Rule, Set, SetFlag, SetType, SetTypeValue, Table,
};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use ringway_config::{Allow, PortRange, Prefix, Proto};

use super::terms::{self, Family, Step};
use super::{DropReason, PolicySpec};

const FROM_TUN: &str = "from-tun";
const TO_TUN: &str = "to-tun";
const OWN: &str = "own";
const MEMBERS: &str = "members";
/// Before routing decides, with the mark in sight.
const PRIORITY_MANGLE: i32 = -150;
const PRIORITY_FILTER: i32 = 0;
/// The kernel keeps no longer comment with a rule.
const COMMENT: usize = 127;

/// Commands that put the table for `spec` in the place of whatever table has the name.
pub(super) fn replace(table: &str, spec: &PolicySpec) -> Nftables<'static> {
    let mut draft = Draft::over(table);
    draft.batch.add(draft.table());
    for reason in DropReason::ALL {
        draft.counter(reason);
    }
    draft.sets(spec);
    draft.chain(FROM_TUN);
    draft.chain(TO_TUN);
    draft.base("prerouting", NfHook::Prerouting, PRIORITY_MANGLE);
    for (chain, hook) in [("input", NfHook::Input), ("forward", NfHook::Forward), ("output", NfHook::Output)]
    {
        draft.base(chain, hook, PRIORITY_FILTER);
    }
    draft.hooks(spec);
    draft.from_tun(spec);
    draft.to_tun(spec);
    draft.batch.to_nftables()
}

/// Commands that leave no table of the name, whether there was one or not.
pub(super) fn remove(table: &str) -> Nftables<'static> {
    Draft::over(table).batch.to_nftables()
}

/// A transaction in the making.
struct Draft {
    table: Cow<'static, str>,
    batch: Batch<'static>,
}

impl Draft {
    /// Starts with the table gone. Adding first makes deleting work when there is none.
    fn over(table: &str) -> Draft {
        let mut draft = Draft { table: Cow::Owned(table.to_owned()), batch: Batch::new() };
        draft.batch.add(draft.table());
        draft.batch.delete(draft.table());
        draft
    }

    /// Base chains: which packets are ours to judge.
    fn hooks(&mut self, spec: &PolicySpec) {
        self.rule(
            "prerouting",
            [
                terms::entered_elsewhere_than(&spec.tun),
                terms::is_local(),
                terms::is_tcp_or_udp(),
                terms::is(terms::port("th"), terms::number(spec.tunnel_port)),
                terms::set_mark(spec.mark),
            ],
        );
        self.rule("input", [terms::entered_by(&spec.tun), terms::goto(FROM_TUN)]);
        self.rule("forward", [terms::entered_by(&spec.tun), terms::goto(FROM_TUN)]);
        self.rule("forward", [terms::leaves_by(&spec.tun), terms::goto(TO_TUN)]);
        self.rule("output", [terms::leaves_by(&spec.tun), terms::goto(TO_TUN)]);
        let guarded = [(Family::V4, spec.guard_forwarding.v4), (Family::V6, spec.guard_forwarding.v6)];
        for (family, _) in guarded.into_iter().filter(|(_, guarded)| *guarded) {
            self.rule("forward", then_drop([terms::is_family(family)], DropReason::Transit));
        }
    }

    /// What comes out of the tunnel: see the order in [`super`].
    fn from_tun(&mut self, spec: &PolicySpec) {
        self.rule(FROM_TUN, then_drop(to_tunnel_port(spec), DropReason::TunnelPort));
        for family in Family::BOTH {
            let stranger = terms::is_not_in_set(terms::source(family), &set_name(MEMBERS, family));
            self.rule(FROM_TUN, then_drop([stranger], DropReason::Stranger));
        }
        self.rule(FROM_TUN, then_drop([terms::in_state(["invalid"])], DropReason::Invalid));
        self.rule(FROM_TUN, [terms::in_state(["established", "related"]), terms::accept()]);
        match spec.allow.as_deref() {
            Some([]) => {}
            Some(allow) => {
                self.dns(spec);
                allow.iter().for_each(|allow| self.allow(spec, allow));
            }
            None => {
                self.dns(spec);
                self.echo();
            }
        }
        self.rule(FROM_TUN, terms::drop(DropReason::Denied));
    }

    /// What goes into the tunnel, from this host or from the site.
    fn to_tun(&mut self, spec: &PolicySpec) {
        self.rule(TO_TUN, then_drop(to_tunnel_port(spec), DropReason::TunnelPort));
        for family in Family::BOTH {
            let foreign = terms::is_not_in_set(terms::source(family), &set_name(OWN, family));
            self.rule(TO_TUN, then_drop([foreign], DropReason::WrongSource));
        }
    }

    fn dns(&mut self, spec: &PolicySpec) {
        for listen in &spec.dns {
            let family = if listen.is_ipv4() { Family::V4 } else { Family::V6 };
            let address = match listen.ip().is_unspecified() {
                true => terms::is_in_set(terms::destination(family), &set_name(OWN, family)),
                false => terms::is(terms::destination(family), terms::word(listen.ip().to_string())),
            };
            let port = terms::is(terms::port("th"), terms::number(listen.port()));
            self.rule(FROM_TUN, [address, terms::is_tcp_or_udp(), port, terms::count(), terms::accept()]);
        }
    }

    fn echo(&mut self) {
        for family in Family::BOTH {
            let own = terms::is_in_set(terms::destination(family), &set_name(OWN, family));
            self.rule(FROM_TUN, [own, terms::is_echo(family), terms::count(), terms::accept()]);
        }
    }

    /// One rule of the policy: per family, since addresses are matched per family.
    fn allow(&mut self, spec: &PolicySpec, allow: &Allow) {
        // An organization that is no member now has no set, and nothing to match.
        if allow.from.as_ref().is_some_and(|org| !spec.orgs.contains_key(org)) {
            return;
        }
        for family in Family::BOTH {
            let to = outermost(allow.to.iter().filter(|prefix| Family::of(prefix) == family));
            if to.is_empty() {
                continue;
            }
            let mut steps = Vec::new();
            if let Some(org) = &allow.from {
                steps
                    .push(terms::is_in_set(terms::source(family), &set_name(&format!("from-{org}"), family)));
            }
            steps.push(terms::is(terms::destination(family), terms::one_of(to.iter().map(terms::prefix))));
            steps.push(match allow.proto {
                Proto::Tcp => service("tcp", &allow.ports),
                Proto::Udp => service("udp", &allow.ports),
                Proto::Icmp => terms::is_echo(family),
            });
            steps.extend([terms::count(), terms::accept()]);
            self.commented(FROM_TUN, steps, &allow.place.to_string());
        }
    }

    /// Every set, empty ones too: rules name them.
    fn sets(&mut self, spec: &PolicySpec) {
        let members: Vec<_> = spec.orgs.values().flatten().copied().collect();
        self.set(OWN, &spec.own);
        self.set(MEMBERS, &members);
        for (org, prefixes) in &spec.orgs {
            self.set(&format!("from-{org}"), prefixes);
        }
    }

    fn set(&mut self, name: &str, prefixes: &[Prefix]) {
        for (family, kind) in [(Family::V4, SetType::Ipv4Addr), (Family::V6, SetType::Ipv6Addr)] {
            let inside = outermost(prefixes.iter().filter(|prefix| Family::of(prefix) == family));
            let elements: Vec<_> = inside.iter().map(terms::prefix).collect();
            self.batch.add(NfListObject::Set(Box::new(Set {
                family: NfFamily::INet,
                table: self.table.clone(),
                name: set_name(name, family).into(),
                set_type: SetTypeValue::Single(kind),
                flags: Some(HashSet::from([SetFlag::Interval])),
                elem: (!elements.is_empty()).then_some(elements.into()),
                ..Set::default()
            })));
        }
    }

    fn counter(&mut self, reason: DropReason) {
        self.batch.add(NfListObject::Counter(Counter {
            family: NfFamily::INet,
            table: self.table.clone(),
            name: reason.as_str().into(),
            handle: None,
            packets: Some(0),
            bytes: Some(0),
        }));
    }

    fn base(&mut self, name: &'static str, hook: NfHook, priority: i32) {
        self.batch.add(NfListObject::Chain(Chain {
            _type: Some(NfChainType::Filter),
            hook: Some(hook),
            prio: Some(priority),
            policy: Some(NfChainPolicy::Accept),
            ..self.plain(name)
        }));
    }

    fn chain(&mut self, name: &'static str) {
        self.batch.add(NfListObject::Chain(self.plain(name)));
    }

    fn plain(&self, name: &'static str) -> Chain<'static> {
        Chain { family: NfFamily::INet, table: self.table.clone(), name: name.into(), ..Chain::default() }
    }

    fn rule(&mut self, chain: &'static str, steps: impl IntoIterator<Item = Step>) {
        self.commented(chain, steps, "");
    }

    fn commented(&mut self, chain: &'static str, steps: impl IntoIterator<Item = Step>, comment: &str) {
        let steps: Vec<_> = steps.into_iter().collect();
        let comment: String = comment.chars().filter(char::is_ascii).take(COMMENT).collect();
        self.batch.add(NfListObject::Rule(Rule {
            family: NfFamily::INet,
            table: self.table.clone(),
            chain: chain.into(),
            expr: steps.into(),
            comment: (!comment.is_empty()).then(|| comment.into()),
            ..Rule::default()
        }));
    }

    fn table(&self) -> NfListObject<'static> {
        NfListObject::Table(Table { family: NfFamily::INet, name: self.table.clone(), handle: None })
    }
}

fn to_tunnel_port(spec: &PolicySpec) -> [Step; 2] {
    [terms::is_tcp_or_udp(), terms::is(terms::port("th"), terms::number(spec.tunnel_port))]
}

fn then_drop(steps: impl IntoIterator<Item = Step>, reason: DropReason) -> impl Iterator<Item = Step> {
    steps.into_iter().chain(terms::drop(reason))
}

/// `protocol` to one of `ports`; to any port if there are none.
fn service(protocol: &'static str, ports: &[PortRange]) -> Step {
    let any = [PortRange { first: 0, last: u16::MAX }];
    let ports = if ports.is_empty() { &any } else { ports };
    terms::is(terms::port(protocol), terms::one_of(disjoint(ports).iter().map(terms::ports)))
}

fn set_name(name: &str, family: Family) -> String {
    format!("{name}-{}", family.suffix())
}

/// The same addresses without prefixes that lie inside others: nftables refuses intervals that overlap.
fn outermost<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> Vec<Prefix> {
    let mut sorted: Vec<_> = prefixes.into_iter().copied().collect();
    sorted.sort();
    sorted.dedup_by(|inner, outer| outer.covers(inner));
    sorted
}

/// The same ports as ranges that do not overlap.
fn disjoint(ports: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ports.to_vec();
    sorted.sort_by_key(|range| (range.first, range.last));
    sorted.dedup_by(|next, range| {
        let overlaps = next.first <= range.last;
        if overlaps {
            range.last = range.last.max(next.last);
        }
        overlaps
    });
    sorted
}
