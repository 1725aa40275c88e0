//! The import policy ([`admit`]) and the choice among admitted claims ([`choose`]).
//!
//! Authorization is configuration, reachability is the wire: a claim becomes a route only inside
//! the prefixes that the member records let the gateways of the claiming one's site serve.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use ringway_config::{GatewayId, Prefix, SiteId};

use crate::claims::Admission;
use crate::id::ConnId;
use crate::membership::Membership;
use crate::message::RefuseReason;
use crate::rank::{Place, Rank};

/// Decides whether `peer`, serving `site`, may be the way to `prefix`.
pub(crate) fn admit(
    membership: &Membership,
    peer: &GatewayId,
    site: &SiteId,
    prefix: &Prefix,
) -> Admission {
    // A node lies inside our own site, and is the way to its own prefixes alone.
    let authorized = membership.prefixes(&peer.org, site);
    if peer.is_node() {
        let mut own = authorized.iter();
        return match own.any(|whole| whole.covers(prefix)) {
            true => Ok(()),
            false => Err(RefuseReason::NotAuthorized),
        };
    }
    // A sibling may have a session with a node that we have none with.
    if membership.shares_site(peer, site) {
        let mut nodes = membership
            .authorized
            .iter()
            .filter(|((_, site), _)| site.is_node())
            .flat_map(|(_, prefixes)| prefixes);
        if nodes.any(|whole| whole.covers(prefix)) {
            return Ok(());
        }
    }
    // What is around a node's own addresses leads through its gateways: see `Mesh::publish`.
    if membership.me.is_node() {
        let mut accepted = authorized.iter();
        return match accepted.any(|part| part.overlaps(prefix)) {
            true => Ok(()),
            false => Err(RefuseReason::NotAuthorized),
        };
    }

    // First, and whatever the records authorize: no peer is ever the way to our own site.
    let local = membership.local_prefixes();
    if local.iter().any(|local| local.overlaps(prefix)) {
        return Err(RefuseReason::LocalSite);
    }

    if authorized.iter().any(|whole| whole.covers(prefix)) {
        return Ok(());
    }

    // Not authorized either way; the reason helps the operator to find the conflict.
    let mut conflicted = membership.conflicted.iter();
    if conflicted.any(|whole| whole.overlaps(prefix)) {
        return Err(RefuseReason::Conflicted);
    }
    Err(RefuseReason::NotAuthorized)
}

/// As [`admit`], for a peer that passes packets on: a sibling may also be the way to any other site
/// while no tunnel of ours leads there (see `Mesh::publish`).
pub(crate) fn admit_passing_on(
    membership: &Membership,
    peer: &GatewayId,
    site: &SiteId,
    prefix: &Prefix,
) -> Admission {
    let admission = admit(membership, peer, site, prefix);

    let is_elsewhere = matches!(admission, Err(RefuseReason::NotAuthorized))
        && membership.shares_site(peer, site)
        && membership.belongs_to_a_site(prefix);
    if is_elsewhere { Ok(()) } else { admission }
}

/// The gateway through which each prefix is reached, and the session that is used.
pub(crate) type Routes = BTreeMap<Prefix, (GatewayId, ConnId)>;

/// How long a gateway waits until it gets a route back from another one of its site, unless it
/// takes over with a higher epoch.
const RETURN: Duration = Duration::from_secs(60);

/// One admitted claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) prefix: Prefix,
    pub(crate) gateway: &'a GatewayId,
    pub(crate) conn: ConnId,
    pub(crate) rank: Rank,
    /// The gateway has taken over: its epoch was lower before.
    pub(crate) is_raised: bool,
    /// Since when it stands with this rank.
    pub(crate) since: Instant,
    /// No packets pass between it and this end just now.
    pub(crate) is_silent: bool,
}

/// The outcome of [`choose`].
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) routes: Routes,
    /// When to choose again although nothing happens.
    pub(crate) again: Option<Instant>,
}

/// Chooses one gateway for each claimed prefix: the one with the highest rank, and of two alike the
/// lower identity. The gateway that has the route in `current` keeps it for as long as it claims
/// the prefix, until one of higher rank has taken over with a higher epoch or has stood for a
/// minute.
pub(crate) fn choose<'a>(
    claims: impl Iterator<Item = Claim<'a>>,
    current: &Routes,
    now: Instant,
) -> Choice {
    let mut by_prefix: BTreeMap<Prefix, Contest<'a>> = BTreeMap::new();
    for claim in claims {
        let is_holder = current
            .get(&claim.prefix)
            .is_some_and(|(holder, _)| holder == claim.gateway);
        match by_prefix.entry(claim.prefix) {
            Entry::Vacant(entry) => {
                let holder = is_holder.then_some(claim);
                entry.insert(Contest {
                    best: claim,
                    holder,
                });
            }
            Entry::Occupied(mut entry) => entry.get_mut().enter(claim, is_holder),
        }
    }

    let mut choice = Choice::default();
    for (prefix, contest) in by_prefix {
        let again = contest.again(now);
        choice.again = choice.again.into_iter().chain(again).min();

        let winner = contest.winner(now);
        let route = (winner.gateway.clone(), winner.conn);
        choice.routes.insert(prefix, route);
    }
    choice
}

/// The claims of one prefix.
struct Contest<'a> {
    best: Claim<'a>,
    /// That of the gateway that has the route.
    holder: Option<Claim<'a>>,
}

impl<'a> Contest<'a> {
    fn enter(&mut self, claim: Claim<'a>, is_holder: bool) {
        if (!claim.is_silent, claim.place()) > (!self.best.is_silent, self.best.place()) {
            self.best = claim;
        }
        if is_holder {
            self.holder = Some(claim);
        }
    }

    fn winner(&self, now: Instant) -> Claim<'a> {
        let Some(holder) = self.holder else {
            return self.best;
        };

        if holder.is_silent && !self.best.is_silent {
            return self.best;
        }
        let has_taken_over = self.best.is_raised && self.best.rank.epoch > holder.rank.epoch;
        if has_taken_over || self.best.since + RETURN <= now {
            self.best
        } else {
            holder
        }
    }

    /// When the best one wins, if it does not yet.
    fn again(&self, now: Instant) -> Option<Instant> {
        let waits = self.winner(now).gateway != self.best.gateway;

        waits.then_some(self.best.since + RETURN)
    }
}

impl Claim<'_> {
    fn place(&self) -> Place<'_> {
        (self.rank, Reverse(self.gateway))
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::OrgId;

    use super::*;
    use crate::membership::GatewayInfo;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn id(text: &str) -> GatewayId {
        text.parse().unwrap()
    }

    fn site(org: &str, site: &str) -> (OrgId, SiteId) {
        (org.parse().unwrap(), site.parse().unwrap())
    }

    /// `gw.a` at site `home` (10.1.0.0/16); org b has site `east` (10.2.0.0/16) and, without a
    /// list, `west`.
    fn membership() -> Membership {
        let home: SiteId = "home".parse().unwrap();
        let east = GatewayInfo {
            site: "east".parse().unwrap(),
            endpoints: vec![],
        };
        Membership {
            me: id("gw.a"),
            site: home,
            is_dialable: false,
            gateways: [(id("gw.b"), east)].into(),
            authorized: [
                (site("a", "home"), vec![prefix("10.1.0.0/16")]),
                (
                    site("b", "east"),
                    vec![prefix("10.2.0.0/16"), prefix("fd00:2::/48")],
                ),
            ]
            .into(),
            passing: BTreeMap::new(),
            conflicted: vec![prefix("10.9.0.0/16")],
            records: BTreeMap::new(),
        }
    }

    #[test]
    fn admits_only_what_lies_inside_the_senders_site() {
        let membership = membership();
        let judge = |site: &str, text: &str| {
            let site = site.parse().unwrap();
            admit(&membership, &id("gw.b"), &site, &prefix(text))
        };

        assert_eq!(judge("east", "10.2.0.0/16"), Ok(()));
        assert_eq!(judge("east", "10.2.9.0/24"), Ok(()));
        assert_eq!(judge("east", "fd00:2:0:1::/64"), Ok(()));
        for outside in [
            "10.2.0.0/15",
            "10.3.0.0/16",
            "0.0.0.0/0",
            "::/0",
            "fd00:3::/48",
        ] {
            assert!(judge("east", outside).is_err(), "{outside}");
        }
        assert_eq!(
            judge("west", "10.2.0.0/16"),
            Err(RefuseReason::NotAuthorized),
            "no list means none, never all"
        );
        assert_eq!(
            judge("east", "10.9.1.0/24"),
            Err(RefuseReason::Conflicted),
            "a reason of its own for the operator"
        );
    }

    #[test]
    fn a_sibling_that_passes_on_may_lead_to_any_other_site_and_no_other_gateway_may() {
        let membership = membership();
        let judge = |gateway: &str, site: &str, text: &str| {
            let site = site.parse().unwrap();
            admit_passing_on(&membership, &id(gateway), &site, &prefix(text))
        };

        assert_eq!(judge("gw2.a", "home", "10.2.0.0/16"), Ok(()));
        assert_eq!(judge("gw2.a", "home", "10.2.9.0/24"), Ok(()));
        for (prefix, reason) in [
            ("10.2.0.0/15", RefuseReason::NotAuthorized),
            ("0.0.0.0/0", RefuseReason::LocalSite),
            ("10.1.4.0/24", RefuseReason::LocalSite),
            ("10.9.1.0/24", RefuseReason::Conflicted),
        ] {
            assert_eq!(judge("gw2.a", "home", prefix), Err(reason), "{prefix}");
        }
        for (gateway, site) in [("gw3.a", "west"), ("gw.b", "west"), ("gw.b", "home")] {
            assert!(judge(gateway, site, "10.2.0.0/16").is_err(), "{gateway}");
        }
    }

    #[test]
    fn never_admits_our_own_site_even_if_authorized_by_mistake() {
        let mut membership = membership();
        let mistake = vec![prefix("10.0.0.0/8")];
        membership.authorized.insert(site("b", "east"), mistake);
        let judge = |text: &str| {
            let east = "east".parse().unwrap();
            admit(&membership, &id("gw.b"), &east, &prefix(text))
        };

        for own in ["10.1.0.0/16", "10.1.4.0/24", "10.0.0.0/8"] {
            assert_eq!(judge(own), Err(RefuseReason::LocalSite), "{own}");
        }
        assert_eq!(judge("10.7.0.0/16"), Ok(()));
    }

    #[test]
    fn a_route_keeps_its_gateway_and_otherwise_goes_to_the_lowest_identity() {
        let mut bench = Contenders::new();
        bench.claim("gw2.b", 0, false);
        assert_eq!(bench.chosen(), "gw2.b");
        bench.claim("gw1.b", 0, false);
        assert_eq!(bench.chosen(), "gw2.b", "kept");

        bench.current.clear();
        assert_eq!(bench.chosen(), "gw1.b");
    }

    #[test]
    fn a_higher_epoch_takes_a_route_at_once_and_an_equal_one_after_a_minute() {
        let mut bench = Contenders::new();
        bench.claim("gw2.b", 1, false);
        assert_eq!(bench.chosen(), "gw2.b");

        // An epoch that was known before the session was lost is no takeover.
        bench.claim("gw1.b", 2, false);
        assert_eq!(bench.chosen(), "gw2.b");
        assert_eq!(bench.again(), Some(bench.now + RETURN));
        bench.claim("gw1.b", 3, true);
        assert_eq!(bench.chosen(), "gw1.b");
        assert_eq!(bench.again(), None);

        bench.claim("gw0.b", 3, true);
        assert_eq!(bench.chosen(), "gw1.b", "an equal epoch is none");
        bench.now += RETURN;
        assert_eq!(bench.chosen(), "gw0.b");
        bench.claims.remove(&id("gw0.b"));
        assert_eq!(bench.chosen(), "gw1.b", "at once if the holder is gone");
    }

    /// Gateways that claim one prefix.
    struct Contenders {
        claims: BTreeMap<GatewayId, (Rank, bool, Instant)>,
        current: Routes,
        now: Instant,
    }

    impl Contenders {
        fn new() -> Contenders {
            Contenders {
                claims: BTreeMap::new(),
                current: Routes::new(),
                now: Instant::now(),
            }
        }

        fn claim(&mut self, gateway: &str, epoch: u64, is_raised: bool) {
            let rank = Rank {
                epoch,
                preference: 0,
            };
            self.claims.insert(id(gateway), (rank, is_raised, self.now));
        }

        fn choose(&self) -> Choice {
            let claims = self
                .claims
                .iter()
                .map(|(gateway, (rank, is_raised, since))| Claim {
                    prefix: prefix("10.2.0.0/16"),
                    gateway,
                    conn: ConnId(1),
                    rank: *rank,
                    is_raised: *is_raised,
                    since: *since,
                    is_silent: false,
                });
            choose(claims, &self.current, self.now)
        }

        fn chosen(&mut self) -> String {
            self.current = self.choose().routes;
            self.current[&prefix("10.2.0.0/16")].0.to_string()
        }

        fn again(&self) -> Option<Instant> {
            self.choose().again
        }
    }
}
