//! From a [`GuardSpec`] to the table that enforces it. Pure; the order of rules is that of
//! [`super`]. What concerns packets that do not come out of the TUN is in `guard`.
//!
//! ```text
//!   input ────── from the TUN ──► from-tun          forward ── from the TUN ──► from-tun
//!   output ───── into the TUN ──► to-tun                    ── into the TUN ──► to-tun
//! ```
//!
//! Sets: `own-v4`, `members-v4`, `from-<org>-v4`, and the same for `v6`.

use nftables::schema::Nftables;
use nftables::types::NfHook;
use ringway_config::{Allow, Origin, PortRange, Service, Target};
use ringway_intent::{GuardSpec, PolicySpec};

use super::DropReason;
use super::draft::{Draft, disjoint, outermost, set_name};
use super::guard::{self, Surroundings};
use super::terms::{self, Family, Step};

const FROM_TUN: &str = "from-tun";
const TO_TUN: &str = "to-tun";
pub(super) const OWN: &str = "own";
pub(super) const MEMBERS: &str = "members";
/// Available prefixes of members: those of `members` but for the ones in conflict.
const SENDERS: &str = "senders";
const PRIORITY_FILTER: i32 = 0;

/// Commands that put the table for `spec` in the place of whatever table has the name.
pub(super) fn replace(
    table: &str,
    guard: &GuardSpec,
    surroundings: &Surroundings,
) -> Nftables<'static> {
    let spec = &guard.policy;
    let mut draft = Draft::over(table);
    draft.begin();

    // Commands are carried out in order: what rules name comes before the rules.
    for reason in DropReason::ALL {
        draft.counter(reason.as_str());
    }
    add_sets(&mut draft, guard);

    draft.chain(FROM_TUN);
    draft.chain(TO_TUN);
    draft.base_chain("input", NfHook::Input, PRIORITY_FILTER);
    draft.base_chain("forward", NfHook::Forward, PRIORITY_FILTER);
    draft.base_chain("output", NfHook::Output, PRIORITY_FILTER);

    add_hooks(&mut draft, guard, surroundings);
    add_arrivals(&mut draft, spec);
    add_departures(&mut draft, spec);

    draft.finish()
}

/// Commands that leave no table of the name, whether there was one or not.
pub(super) fn remove(table: &str) -> Nftables<'static> {
    Draft::over(table).finish()
}

/// Base chains: which packets are ours to judge.
fn add_hooks(draft: &mut Draft, guard: &GuardSpec, surroundings: &Surroundings) {
    for chain in ["input", "forward"] {
        draft.rule(
            chain,
            [terms::entered_by(&guard.tun), terms::goto(FROM_TUN)],
        );
    }
    guard::add_arrivals(draft, guard);

    for chain in ["forward", "output"] {
        draft.rule(chain, [terms::leaves_by(&guard.tun), terms::goto(TO_TUN)]);
    }
    guard::add_departures(draft, guard);
    guard::add_restriction(draft, &surroundings.restriction);

    if guard.marks_arrivals {
        guard::add_mark(draft, guard);
    }
    if surroundings.untracks {
        guard::add_untracking(draft, guard);
    }
}

/// What comes out of the tunnel.
fn add_arrivals(draft: &mut Draft, spec: &PolicySpec) {
    // Outer packets that left a tunnel here would be led into a tunnel again.
    draft.rule(
        FROM_TUN,
        then_drop(to_tunnel_port(spec), DropReason::TunnelPort),
    );

    // Before `established`, so that a member that is removed loses its running connections.
    for family in Family::BOTH {
        let stranger = terms::is_not_in_set(terms::source(family), &set_name(SENDERS, family));
        draft.rule(FROM_TUN, then_drop([stranger], DropReason::Stranger));
    }

    draft.rule(
        FROM_TUN,
        then_drop([terms::in_state(["invalid"])], DropReason::Invalid),
    );
    draft.rule(
        FROM_TUN,
        [terms::in_state(["established", "related"]), terms::accept()],
    );

    match spec.allow.as_deref() {
        // The operator wants no new connection at all, DNS included.
        Some([]) => {}
        Some(allow) => {
            add_dns(draft, spec);
            for rule in allow {
                add_allow(draft, spec, rule);
            }
        }
        None => {
            add_dns(draft, spec);
            add_echo(draft);
        }
    }

    draft.rule(FROM_TUN, terms::drop(DropReason::Denied));
}

/// What goes into the tunnel, from this host or from the site.
fn add_departures(draft: &mut Draft, spec: &PolicySpec) {
    // The kernel sends announcements on every link. They are useless here, and not worth counting.
    for family in Family::BOTH {
        draft.rule(
            TO_TUN,
            [
                terms::is(terms::destination(family), terms::multicast(family)),
                terms::discard(),
            ],
        );
    }

    draft.rule(
        TO_TUN,
        then_drop(to_tunnel_port(spec), DropReason::TunnelPort),
    );

    // The peer would drop these as a stranger's. Here their sender's operator sees the counter.
    for family in Family::BOTH {
        let foreign = terms::is_not_in_set(terms::source(family), &set_name(OWN, family));
        draft.rule(TO_TUN, then_drop([foreign], DropReason::WrongSource));
    }
}

fn add_dns(draft: &mut Draft, spec: &PolicySpec) {
    for listen in &spec.dns {
        let family = if listen.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };

        // A listener on every address also hears the host's public ones: those are not offered.
        let address = if listen.ip().is_unspecified() {
            terms::is_in_set(terms::destination(family), &set_name(OWN, family))
        } else {
            let address = terms::word(listen.ip().to_string());
            terms::is(terms::destination(family), address)
        };
        let port = terms::is(terms::port("th"), terms::number(listen.port()));

        draft.rule(
            FROM_TUN,
            [
                address,
                terms::is_tcp_or_udp(),
                port,
                terms::count(),
                terms::accept(),
            ],
        );
    }
}

fn add_echo(draft: &mut Draft) {
    for family in Family::BOTH {
        let own = terms::is_in_set(terms::destination(family), &set_name(OWN, family));
        draft.rule(
            FROM_TUN,
            [own, terms::is_echo(family), terms::count(), terms::accept()],
        );
    }
}

/// One rule of the policy: per origin, service and family, since addresses are matched per family.
fn add_allow(draft: &mut Draft, spec: &PolicySpec, allow: &Allow) {
    for origin in &allow.from {
        for service in &allow.services {
            for family in Family::BOTH {
                add_allow_of(draft, spec, allow, origin, service, family);
            }
        }
    }
}

fn add_allow_of(
    draft: &mut Draft,
    spec: &PolicySpec,
    allow: &Allow,
    origin: &Origin,
    service: &Service,
    family: Family,
) {
    let to = allow.to.iter().filter_map(|target| match target {
        Target::Prefix(prefix) if Family::of(prefix) == family => Some(prefix),
        // The filter of the data plane knows the addresses of names.
        Target::Prefix(_) | Target::Name(_) => None,
    });
    let to = outermost(to);
    if to.is_empty() {
        return;
    }

    let from = match origin {
        Origin::All => None,
        Origin::Org(org) if spec.orgs.contains_key(org) => Some(terms::is_in_set(
            terms::source(family),
            &set_name(&format!("from-{org}"), family),
        )),
        // An organization that is no member now has no set, and nothing to match.
        Origin::Org(_) | Origin::Site(..) | Origin::Prefix(_) => return,
    };
    let service = match service {
        Service::Tcp(ports) => to_ports("tcp", ports),
        Service::Udp(ports) => to_ports("udp", ports),
        Service::Icmp => terms::is_echo(family),
        Service::Protocol(_) => return,
    };
    let to = terms::is(
        terms::destination(family),
        terms::one_of(to.iter().map(terms::prefix)),
    );

    let steps = from
        .into_iter()
        .chain([to, service, terms::count(), terms::accept()]);
    draft.commented_rule(FROM_TUN, steps, &allow.place.to_string());
}

/// Every set, empty ones too: rules name them.
fn add_sets(draft: &mut Draft, guard: &GuardSpec) {
    draft.sets(OWN, &guard.own);
    draft.sets(MEMBERS, &guard.members);
    draft.interfaces(guard::SITE, &guard.site);

    let spec = &guard.policy;
    draft.sets(SENDERS, spec.orgs.values().flatten());
    for (org, prefixes) in &spec.orgs {
        draft.sets(&format!("from-{org}"), prefixes);
    }
}

fn to_tunnel_port(spec: &PolicySpec) -> [Step; 2] {
    [
        terms::is_tcp_or_udp(),
        terms::is(terms::port("th"), terms::number(spec.tunnel_port)),
    ]
}

/// `protocol` to one of `ports`; to any port if there are none.
fn to_ports(protocol: &'static str, ports: &[PortRange]) -> Step {
    // Every port rather than no match: a match on a port is one on the protocol too.
    let any = [PortRange {
        first: 0,
        last: u16::MAX,
    }];
    let ports = if ports.is_empty() { &any } else { ports };

    terms::is(
        terms::port(protocol),
        terms::one_of(disjoint(ports).iter().map(terms::ports)),
    )
}

pub(super) fn then_drop(
    steps: impl IntoIterator<Item = Step>,
    reason: DropReason,
) -> impl Iterator<Item = Step> {
    steps.into_iter().chain(terms::drop(reason))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Restriction;
    use super::super::testing::spec;
    use super::*;

    fn commands(spec: &GuardSpec, surroundings: &Surroundings) -> Vec<Value> {
        let json = serde_json::to_value(replace("ringway0", spec, surroundings)).unwrap();
        json["nftables"].as_array().unwrap().clone()
    }

    fn rules_around(spec: &GuardSpec, surroundings: &Surroundings, chain: &str) -> Vec<String> {
        let rules = commands(spec, surroundings)
            .into_iter()
            .map(|command| command["add"]["rule"].clone());
        rules
            .filter(|rule| rule["chain"] == chain)
            .map(|rule| rule["expr"].to_string())
            .collect()
    }

    fn rules(spec: &GuardSpec, chain: &str) -> Vec<String> {
        rules_around(spec, &Surroundings::default(), chain)
    }

    #[test]
    fn one_transaction_deletes_the_old_table_and_adds_the_new_one() {
        let commands = commands(&spec(), &Surroundings::default());
        let table = serde_json::json!({ "table": { "family": "inet", "name": "ringway0" } });
        assert_eq!(commands[0]["add"], table);
        assert_eq!(commands[1]["delete"], table);
        assert_eq!(commands[2]["add"], table);
        assert!(
            commands[3..]
                .iter()
                .all(|command| command["add"].is_object())
        );
    }

    #[test]
    fn an_empty_list_opens_nothing_and_a_missing_one_only_dns_and_echo() {
        let opened = |allow| {
            let mut spec = spec();
            spec.policy.allow = allow;
            let mut rules = rules(&spec, FROM_TUN);
            rules.retain(|rule| rule.contains("accept") && !rule.contains("established"));
            rules
        };
        assert!(opened(Some(Vec::new())).is_empty());
        let rules = opened(None);
        assert_eq!(rules.len(), 3, "{rules:?}");
        assert!(rules[0].contains("10.1.0.1"));
        assert!(rules[1].contains("echo-request") && rules[2].contains("echo-request"));
    }

    #[test]
    fn forwarding_that_is_ours_is_restricted_per_family_and_nothing_else_is() {
        let restricted = |restriction: Restriction| {
            let surroundings = Surroundings {
                restriction,
                untracks: false,
            };
            let mut rules = rules_around(&spec(), &surroundings, "forward");
            rules.retain(|rule| rule.contains("transit"));
            rules
        };
        let site = || ["eth1".to_owned()].into();

        assert!(restricted(Restriction::default()).is_empty());
        let v4 = restricted(Restriction {
            v4: site(),
            ..Restriction::default()
        });
        assert!(matches!(&v4[..], [rule] if rule.contains("ipv4")), "{v4:?}");
        let everywhere = restricted(Restriction {
            v6: site(),
            everywhere_v6: true,
            ..Restriction::default()
        });
        assert_eq!(everywhere.len(), 2, "{everywhere:?}");
        assert!(everywhere.iter().all(|rule| rule.contains("ipv6")));
    }

    #[test]
    fn the_mark_and_untracked_packets_are_exceptions_that_must_be_asked_for() {
        assert!(rules(&spec(), "prerouting").is_empty());
        assert!(rules(&spec(), "untrack-in").is_empty());

        let mut leased_line = spec();
        leased_line.marks_arrivals = true;
        assert_eq!(rules(&leased_line, "prerouting").len(), 1);
        let surroundings = Surroundings {
            untracks: true,
            ..Surroundings::default()
        };
        assert_eq!(rules_around(&spec(), &surroundings, "untrack-in").len(), 1);
        assert_eq!(rules_around(&spec(), &surroundings, "untrack-out").len(), 1);
    }

    #[test]
    fn members_reach_this_host_by_the_sites_network_only_where_another_gateway_is() {
        let accepted = |has_siblings| {
            let spec = GuardSpec {
                has_siblings,
                ..spec()
            };
            let mut rules = rules(&spec, "input");
            rules.retain(|rule| rule.contains("@members") && rule.contains("accept"));
            rules.len()
        };
        assert_eq!(accepted(false), 0);
        assert_eq!(accepted(true), 2);
    }
}
