//! The rules for what is outside the TUN: addresses of the mesh enter and leave by the TUN only,
//! what comes out of it goes into the site, and forwarding that this daemon has switched on is for
//! the mesh only. Pure.
//!
//! ```text
//!   prerouting (raw) ─ to the tunnel port ─► untracked, if no filter depends on tracking
//!   prerouting ─────── to the tunnel port ─► the tunnel's mark, for the reverse-path check
//!   input, forward ─── source is a member's, or ours but not from the site ─► dropped
//!   forward ────────── from the TUN to the site, by an interface of neither ─► dropped
//!   forward ────────── from an interface that we made forward, not for the mesh ─► dropped
//!   forward, postrouting ── to a member's prefix by another interface ─► dropped
//! ```
//!
//! No rule matches a source before the input and forward hooks: with bridge netfilter, bridged
//! frames pass prerouting, and the guard must leave these alone. A bridged frame enters and leaves
//! the forward hook by the same bridge.
//!
//! The TUN devices of all our daemons on a host share one interface group ([`TUN_GROUP`]). Another
//! daemon's device counts as part of the mesh, since that daemon has judged its packets.

use std::collections::BTreeSet;

use nftables::types::NfHook;
use ringway_intent::GuardSpec;

use super::DropReason;
use super::draft::{Draft, set_name};
use super::rules::{INSIDE, MEMBERS, OWN, then_drop};
use super::terms::{self, Family, Step};
use crate::tun::TUN_GROUP;

/// The set of the site's interfaces.
pub(super) const SITE: &str = "site";
const ELSEWHERE: &str = "elsewhere";
const POSTROUTING: &str = "postrouting";

/// Before connection tracking.
const PRIORITY_RAW: i32 = -300;
/// Before the routing decision, which sees the mark.
const PRIORITY_MANGLE: i32 = -150;
const PRIORITY_FILTER: i32 = 0;

/// What the rules depend on, apart from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Interfaces whose forwarding must be restricted to the mesh.
    pub restriction: Restriction,
    /// No filter of this host depends on connection tracking to accept the tunnel's packets.
    pub untracks: bool,
}

/// Interfaces that forward only because of this daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction {
    /// For IPv4.
    pub v4: BTreeSet<String>,
    /// For IPv6.
    pub v6: BTreeSet<String>,
    /// True if IPv6 forwarding had to be switched on for all interfaces.
    pub everywhere_v6: bool,
}

/// Rules for sources: where packets with addresses of the mesh may arrive, apart from the TUN.
pub(super) fn add_arrivals(draft: &mut Draft, spec: &GuardSpec) {
    draft.chain(ELSEWHERE);
    let exempt = [
        terms::entered_by("lo"),
        terms::entered_by_group(TUN_GROUP),
        terms::has_mark(spec.mark),
        terms::was_decrypted(),
    ];
    for exempt in exempt {
        draft.rule(ELSEWHERE, [exempt, terms::leave()]);
    }
    for family in Family::BOTH {
        let member = terms::is_in_set(terms::source(family), &set_name(MEMBERS, family));
        let own = terms::is_in_set(terms::source(family), &set_name(OWN, family));

        draft.rule(ELSEWHERE, then_drop([member], DropReason::Spoofed));
        let elsewhere = [own, terms::entered_by_none_of(SITE)];
        draft.rule(ELSEWHERE, then_drop(elsewhere, DropReason::Spoofed));
    }

    // A peer's endpoint may lie inside a member's prefix, for example on a leased line.
    draft.rule(
        "input",
        [terms::is_udp_to(spec.tunnel_port), terms::accept()],
    );
    // The same holds for a WireGuard client's address.
    if let Some((_, port)) = &spec.wireguard {
        draft.rule("input", [terms::is_udp_to(*port), terms::accept()]);
    }
    if spec.has_siblings {
        add_siblings(draft);
    }
    draft.rule("input", [terms::jump(ELSEWHERE)]);

    for bridge in &spec.site {
        let bridged = [
            terms::entered_by(bridge),
            terms::leaves_by(bridge),
            terms::entered_by_bridge(),
        ];
        draft.rule("forward", bridged.into_iter().chain([terms::accept()]));
    }
    // nftables cannot compare two interfaces. Between two bridges that are not the site's, a packet
    // can reach neither the site nor the mesh.
    draft.rule(
        "forward",
        [
            terms::entered_by_bridge(),
            terms::leaves_by_bridge(),
            terms::entered_by_none_of(SITE),
            terms::leaves_by_none_of(SITE),
            terms::accept(),
        ],
    );
    draft.rule("forward", [terms::jump(ELSEWHERE)]);
}

/// Packets out of the TUN to the site's hosts leave by an interface of the site, or by one of the
/// mesh. A rule or route of another program must not send them elsewhere. Packets to published
/// ports of containers have other destinations here.
pub(super) fn add_ways_into_site(draft: &mut Draft, spec: &GuardSpec) {
    for family in Family::BOTH {
        let elsewhere = [
            terms::entered_by(&spec.tun),
            terms::leaves_by_none_of(SITE),
            terms::leaves_outside_group(TUN_GROUP),
            // Last: only this set has ranges, whose lookup takes longest.
            terms::is_in_set(terms::destination(family), &set_name(OWN, family)),
        ];
        draft.rule("forward", then_drop(elsewhere, DropReason::Leak));
    }
}

/// Accepts packets that a sibling has taken out of its tunnel for this host.
fn add_siblings(draft: &mut Draft) {
    for family in Family::BOTH {
        draft.rule(
            "input",
            [
                terms::is_in_set(terms::source(family), &set_name(MEMBERS, family)),
                terms::entered_by_one_of(SITE),
                terms::accept(),
            ],
        );
    }
}

/// Packets to members leave by the TUN or not at all. These rules follow those that lead into the
/// TUN.
pub(super) fn add_departures(draft: &mut Draft, spec: &GuardSpec) {
    // Forwarded packets are judged here, because at postrouting they look like bridged frames.
    for family in Family::BOTH {
        let member = terms::is_in_set(terms::destination(family), &set_name(MEMBERS, family));
        let exempt = [
            terms::is_not_mark(spec.mark),
            terms::leaves_outside_group(TUN_GROUP),
        ];
        let steps = exempt.into_iter().chain([member]);
        draft.rule("forward", then_drop(steps, DropReason::Leak));
    }

    // At postrouting and not at output: a program that marks and reroutes packets at output does so
    // after the route that is visible there.
    draft.base_chain(POSTROUTING, NfHook::Postrouting, PRIORITY_FILTER);
    let exempt = [
        terms::leaves_by(&spec.tun),
        terms::leaves_by("lo"),
        terms::leaves_by_group(TUN_GROUP),
        terms::has_mark(spec.mark),
    ];
    for exempt in exempt {
        draft.rule(POSTROUTING, [exempt, terms::accept()]);
    }
    for family in Family::BOTH {
        // Frames that are only bridged are left alone.
        for whose in [terms::is_from_here(), terms::leaves_by_no_bridge()] {
            let member = terms::is_in_set(terms::destination(family), &set_name(MEMBERS, family));
            draft.rule(POSTROUTING, then_drop([member, whose], DropReason::Leak));
        }
    }
}

/// Packets from an interface that forwards because of us may go to the mesh (accepted before) or
/// between our organization's prefixes, nowhere else. Otherwise no rule would judge what a served
/// site of another organization sends to our hosts.
pub(super) fn add_restriction(draft: &mut Draft, restriction: &Restriction) {
    let restricted = [
        (Family::V4, "restricted-v4", &restriction.v4),
        (Family::V6, "restricted-v6", &restriction.v6),
    ];

    for (family, set, interfaces) in restricted {
        if interfaces.is_empty() {
            continue;
        }
        draft.interfaces(set, interfaces);
        let from = || [terms::is_family(family), terms::entered_by_one_of(set)];

        let inside = set_name(INSIDE, family);
        let inside = [
            terms::is_in_set(terms::source(family), &inside),
            terms::is_in_set(terms::destination(family), &inside),
        ];
        let to_mesh = [terms::leaves_by_group(TUN_GROUP)];
        // Accept what may pass first: the last of these rules drops the rest.
        draft.rule("forward", accepting(from().into_iter().chain(to_mesh)));
        draft.rule("forward", accepting(from().into_iter().chain(inside)));
        draft.rule("forward", then_drop(from(), DropReason::Transit));
    }

    // The kernel has one switch for all interfaces, but only the site's need to forward.
    if restriction.everywhere_v6 {
        let elsewhere = [
            terms::is_family(Family::V6),
            terms::entered_by_none_of(SITE),
            terms::entered_outside_group(TUN_GROUP),
        ];
        draft.rule("forward", then_drop(elsewhere, DropReason::Transit));
    }
}

/// Routing, with its reverse-path check, follows prerouting and sees the mark.
pub(super) fn add_mark(draft: &mut Draft, spec: &GuardSpec) {
    draft.base_chain("prerouting", NfHook::Prerouting, PRIORITY_MANGLE);

    draft.rule(
        "prerouting",
        arriving(spec)
            .into_iter()
            .chain([terms::set_mark(spec.mark)]),
    );
}

/// Exempts the tunnel from connection tracking: a flood to the tunnel port must not fill its table.
pub(super) fn add_untracking(draft: &mut Draft, spec: &GuardSpec) {
    draft.base_chain("untrack-in", NfHook::Prerouting, PRIORITY_RAW);
    draft.base_chain("untrack-out", NfHook::Output, PRIORITY_RAW);

    draft.rule(
        "untrack-in",
        arriving(spec).into_iter().chain([terms::untrack()]),
    );
    // In both directions: otherwise an outgoing packet would count as a new connection.
    draft.rule(
        "untrack-out",
        [
            terms::is_udp_from(spec.tunnel_port),
            terms::has_mark(spec.mark),
            terms::untrack(),
        ],
    );
}

/// Outer packets to this host.
fn arriving(spec: &GuardSpec) -> [Step; 3] {
    [
        terms::entered_elsewhere_than(&spec.tun),
        terms::is_local(),
        terms::is_udp_to(spec.tunnel_port),
    ]
}

fn accepting(steps: impl Iterator<Item = Step>) -> impl Iterator<Item = Step> {
    steps.chain([terms::accept()])
}
