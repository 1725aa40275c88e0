//! The import policy ([`admit`]) and the choice among admitted claims ([`choose`]).
//!
//! Authorization is configuration, reachability is the wire: a claim becomes a route only inside
//! the prefixes that the member record gives to the claiming gateway's site.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ringway_config::{GatewayId, Prefix, SiteId};

use crate::claims::Admission;
use crate::id::ConnId;
use crate::membership::Membership;
use crate::message::RefuseReason;

/// Decides whether `peer`, serving `site`, may be the way to `prefix`.
pub(crate) fn admit(
    membership: &Membership,
    peer: &GatewayId,
    site: &SiteId,
    prefix: &Prefix,
) -> Admission {
    // First, and whatever the records authorize: no peer is ever the way to our own site.
    let local = membership.local_prefixes();
    if local.iter().any(|local| local.overlaps(prefix)) {
        return Err(RefuseReason::LocalSite);
    }

    let authorized = membership.prefixes(&peer.org, site);
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

/// The gateway through which each prefix is reached, and the session that is used.
pub(crate) type Routes = BTreeMap<Prefix, (GatewayId, ConnId)>;

/// Chooses one gateway for each claimed prefix. The gateway that has the route in `current` keeps
/// it for as long as it claims the prefix; otherwise the first claimant gets it. The claims come in
/// the order of identities, so that the peers of a site tend to use the same gateway.
pub(crate) fn choose<'a>(
    claims: impl Iterator<Item = (Prefix, &'a GatewayId, ConnId)>,
    current: &Routes,
) -> Routes {
    let mut routes = Routes::new();

    for (prefix, gateway, conn) in claims {
        match routes.entry(prefix) {
            Entry::Vacant(entry) => {
                entry.insert((gateway.clone(), conn));
            }
            Entry::Occupied(mut entry) => {
                let holder = current.get(&prefix).map(|(holder, _)| holder);
                if holder == Some(gateway) {
                    entry.insert((gateway.clone(), conn));
                }
            }
        }
    }
    routes
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
        let ten = prefix("10.2.0.0/16");
        let first = id("gw1.b");
        let second = id("gw2.b");

        let routes = choose([(ten, &second, ConnId(2))].into_iter(), &Routes::new());
        assert_eq!(routes[&ten], (second.clone(), ConnId(2)));
        let both = [(ten, &first, ConnId(1)), (ten, &second, ConnId(3))];
        let routes = choose(both.into_iter(), &routes);
        assert_eq!(
            routes[&ten],
            (second.clone(), ConnId(3)),
            "kept, on its new session"
        );
        assert_eq!(
            choose(both.into_iter(), &Routes::new())[&ten],
            (first.clone(), ConnId(1))
        );
    }
}
