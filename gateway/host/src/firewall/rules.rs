//! Makes the table that enforces a [`GuardSpec`]. Pure; the order of the rules is that of
//! [`super`]. `guard` has the rules for what is outside the TUN.
//!
//! ```text
//!   input ────── from the TUN ──► from-tun          forward ── from the TUN ──► from-tun
//!   output ───── into the TUN ──► to-tun                    ── into the TUN ──► to-tun
//!   postrouting ─ into the TUN: the source, after what others translate
//! ```
//!
//! Sets: `own-v4`, `inside-v4` (those of our organization), `members-v4`, the same for `v6`, and
//! `site`, the site's interfaces.

use nftables::schema::Nftables;
use nftables::types::NfHook;
use ringway_intent::GuardSpec;

use super::DropReason;
use super::draft::{Draft, outermost};
use super::guard::{self, Surroundings};
use super::terms::{self, Family, Step};

const FROM_TUN: &str = "from-tun";
const TO_TUN: &str = "to-tun";
pub(super) const OWN: &str = "own";
pub(super) const INSIDE: &str = "inside";
pub(super) const MEMBERS: &str = "members";
const LEAVING: &str = "leaving";
const PRIORITY_FILTER: i32 = 0;
/// After source translation, which is at 100.
const PRIORITY_TRANSLATED: i32 = 200;

/// Commands that replace whatever table has this name by the one for `spec`.
pub(super) fn replace(
    table: &str,
    guard: &GuardSpec,
    surroundings: &Surroundings,
) -> Nftables<'static> {
    let mut draft = Draft::over(table);
    draft.begin();

    // Commands are carried out in order: counters and sets come before the rules that name them.
    for reason in DropReason::ALL {
        draft.counter(reason.as_str());
    }
    add_sets(&mut draft, guard);

    draft.chain(FROM_TUN);
    draft.chain(TO_TUN);
    draft.base_chain("input", NfHook::Input, PRIORITY_FILTER);
    draft.base_chain("forward", NfHook::Forward, PRIORITY_FILTER);
    draft.base_chain("output", NfHook::Output, PRIORITY_FILTER);
    draft.base_chain(LEAVING, NfHook::Postrouting, PRIORITY_TRANSLATED);

    add_hooks(&mut draft, guard, surroundings);
    add_arrivals(&mut draft, guard);
    add_departures(&mut draft, guard);

    draft.finish()
}

/// Commands that remove the table, if it exists.
pub(super) fn remove(table: &str) -> Nftables<'static> {
    Draft::over(table).finish()
}

/// Base chains: select the packets that the guard judges.
fn add_hooks(draft: &mut Draft, guard: &GuardSpec, surroundings: &Surroundings) {
    guard::add_ways_into_site(draft, guard);
    for chain in ["input", "forward"] {
        draft.rule(
            chain,
            [terms::entered_by(&guard.tun), terms::goto(FROM_TUN)],
        );
    }
    // A `goto` does not return: the rules below see packets from other interfaces only.
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

/// Packets out of the TUN: the data plane has judged them.
fn add_arrivals(draft: &mut Draft, spec: &GuardSpec) {
    // Outer packets that arrived in a tunnel would otherwise be sent into a tunnel again.
    draft.rule(
        FROM_TUN,
        then_drop(to_tunnel_port(spec), DropReason::TunnelPort),
    );
}

/// Packets into the TUN, from this host or from the site.
fn add_departures(draft: &mut Draft, spec: &GuardSpec) {
    // The kernel sends announcements on every link. On the TUN they are useless and not worth
    // counting.
    for family in Family::BOTH {
        draft.rule(
            TO_TUN,
            [
                terms::is(terms::destination(family), terms::multicast(family)),
                terms::discard(),
            ],
        );
    }

    // Packets between attached nodes and members leave by the device they arrived on, so the kernel
    // tells their senders to use a shorter path, which does not exist.
    draft.rule(TO_TUN, [terms::is_redirect(), terms::discard()]);

    draft.rule(
        TO_TUN,
        then_drop(to_tunnel_port(spec), DropReason::TunnelPort),
    );

    // The data plane would drop these too, but here a sender on this host gets an error.
    // Containers' packets have the host's address at this point. Packets from a member to an
    // attached node were judged on arrival.
    //
    // A rule for each prefix instead of a set: while the table is replaced, its rules are in force
    // for a moment before the elements of its sets are, and then no address would be ours.
    for prefix in outermost(&spec.own) {
        let source = terms::source(Family::of(&prefix));
        draft.rule(
            LEAVING,
            [
                terms::leaves_by(&spec.tun),
                terms::is(source, terms::prefix(&prefix)),
                terms::accept(),
            ],
        );
    }
    for family in Family::BOTH {
        let leaving = [
            terms::leaves_by(&spec.tun),
            terms::entered_elsewhere_than(&spec.tun),
            terms::is_family(family),
        ];
        draft.rule(LEAVING, then_drop(leaving, DropReason::WrongSource));
    }
}

/// Adds every set, even empty ones, because rules name them.
fn add_sets(draft: &mut Draft, guard: &GuardSpec) {
    draft.sets(OWN, &guard.own);
    draft.sets(INSIDE, &guard.inside);
    draft.sets(MEMBERS, &guard.members);
    draft.interfaces(guard::SITE, &guard.site);
}

fn to_tunnel_port(spec: &GuardSpec) -> [Step; 2] {
    [
        terms::is_tcp_or_udp(),
        terms::is(terms::port("th"), terms::number(spec.tunnel_port)),
    ]
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
    fn no_rule_looks_at_connections() {
        let surroundings = Surroundings {
            restriction: Restriction {
                v4: ["eth1".to_owned()].into(),
                v6: ["eth1".to_owned()].into(),
                everywhere_v6: true,
            },
            untracks: true,
        };
        let commands = commands(&spec(), &surroundings);
        assert!(
            commands
                .iter()
                .all(|command| !command.to_string().contains("\"ct\""))
        );
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
    fn loopback_other_tuns_marked_and_ipsec_packets_are_exempt_before_any_drop() {
        let rules = rules(&spec(), "elsewhere");
        let exempt = rules.iter().take_while(|rule| rule.contains("return"));
        let exempt: Vec<_> = exempt.collect();
        for (rule, exemption) in exempt.iter().zip(["\"lo\"", "iifgroup", "mark", "secpath"]) {
            assert!(rule.contains(exemption), "{rule}");
        }
        assert_eq!(exempt.len(), 4);
        assert!(rules[4..].iter().all(|rule| rule.contains("drop")));
    }

    #[test]
    fn what_comes_out_of_the_tun_is_forwarded_to_the_site_by_its_interfaces_only() {
        let forward = rules(&spec(), "forward");
        let mut leaks = forward.clone();
        leaks.retain(|rule| rule.contains("iifname") && rule.contains("leak"));
        assert_eq!(leaks.len(), 2, "{forward:?}");
        for (rule, own) in leaks.iter().zip(["@own-v4", "@own-v6"]) {
            let has_all = ["@site", "oifgroup", own].map(|word| rule.contains(word));
            assert_eq!(has_all, [true; 3], "{rule}");
        }
        assert_eq!(leaks, forward[..2], "before any goto");
    }

    #[test]
    fn members_reach_this_host_through_the_sites_network_only_if_there_is_a_sibling() {
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

    #[test]
    fn our_own_packets_to_a_members_prefix_are_exempt_wherever_a_leak_is_looked_for() {
        let mut forward = rules(&spec(), "forward");
        forward.retain(|rule| rule.contains("leak") && rule.contains("@members"));
        assert_eq!(forward.len(), 2, "{forward:?}");
        for rule in &forward {
            let mark = r#"{"left":{"meta":{"key":"mark"}},"op":"!=","right":1}"#;
            assert!(rule.contains(mark), "{rule}");
            assert!(rule.contains("oifgroup"), "{rule}");
        }

        let after = rules(&spec(), "postrouting");
        let first_leak = after.iter().position(|rule| rule.contains("leak")).unwrap();
        let exempt = |word: &str| after[..first_leak].iter().any(|rule| rule.contains(word));
        assert!(exempt(r#""mark""#) && exempt("oifgroup"), "{after:?}");
    }
}
