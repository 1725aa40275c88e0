//! The import policy ([`admit`]) and the choice among admitted claims ([`Rib`]).
//!
//! Authorization is configuration, reachability is the wire (DESIGN.md, 5): a claim becomes a route only
//! inside the prefixes that the member record gives to the claiming gateway's site.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ringway_config::{GatewayId, Prefix, SiteId};

use crate::{ConnId, Membership, RefuseReason};

/// May `peer`, serving `site`, be the way to `prefix`?
pub(crate) fn admit(
    membership: &Membership,
    peer: &GatewayId,
    site: &SiteId,
    prefix: &Prefix,
) -> Result<(), RefuseReason> {
    if membership
        .local_prefixes()
        .iter()
        .any(|own| own.overlaps(prefix))
    {
        return Err(RefuseReason::LocalSite);
    }
    let authorized = membership.prefixes(&peer.org, site);
    if authorized.iter().any(|whole| whole.covers(prefix)) {
        return Ok(());
    }
    match membership
        .conflicted
        .iter()
        .any(|whole| whole.overlaps(prefix))
    {
        true => Err(RefuseReason::Conflicted),
        false => Err(RefuseReason::NotAuthorized),
    }
}

/// Which gateway each prefix is reached through, and on which session.
pub(crate) type Routes = BTreeMap<Prefix, (GatewayId, ConnId)>;

/// One route per claimed prefix: the gateway that has it in the `standing` routes keeps it as long as it
/// claims it; else the first claimant gets it. The claims come in the order of identities, so that a site's
/// peers tend to take the same gateway.
pub(crate) fn choose<'a>(
    claims: impl Iterator<Item = (Prefix, &'a GatewayId, ConnId)>,
    standing: &Routes,
) -> Routes {
    let mut routes = Routes::new();
    for (prefix, gateway, conn) in claims {
        let holds = || {
            standing
                .get(&prefix)
                .is_some_and(|(holder, _)| holder == gateway)
        };
        match routes.entry(prefix) {
            Entry::Vacant(free) => _ = free.insert((gateway.clone(), conn)),
            Entry::Occupied(mut taken) if holds() => _ = taken.insert((gateway.clone(), conn)),
            Entry::Occupied(_) => {}
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GatewayInfo;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn id(text: &str) -> GatewayId {
        text.parse().unwrap()
    }

    /// `gw.a` at site `home` (10.1.0.0/16); org b has site `east` (10.2.0.0/16) and, without a list, `west`.
    fn membership() -> Membership {
        let home: SiteId = "home".parse().unwrap();
        let site = |org: &str, site: &str| (org.parse().unwrap(), site.parse().unwrap());
        let east = GatewayInfo {
            site: "east".parse().unwrap(),
            endpoints: vec![],
        };
        Membership {
            me: id("gw.a"),
            site: home,
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
        let judge = |site: &str, text: &str| {
            admit(
                &membership(),
                &id("gw.b"),
                &site.parse().unwrap(),
                &prefix(text),
            )
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
            "told apart for the operator"
        );
    }

    #[test]
    fn never_admits_our_own_site_even_if_authorized_by_mistake() {
        let mut membership = membership();
        let east = ("b".parse().unwrap(), "east".parse().unwrap());
        membership
            .authorized
            .insert(east, vec![prefix("10.0.0.0/8")]);
        let judge = |text: &str| {
            admit(
                &membership,
                &id("gw.b"),
                &"east".parse().unwrap(),
                &prefix(text),
            )
        };
        for own in ["10.1.0.0/16", "10.1.4.0/24", "10.0.0.0/8"] {
            assert_eq!(judge(own), Err(RefuseReason::LocalSite), "{own}");
        }
        assert_eq!(judge("10.7.0.0/16"), Ok(()));
    }

    #[test]
    fn a_route_stays_where_it_is_and_else_goes_to_the_lowest_identity() {
        let (ten, first, second) = (prefix("10.2.0.0/16"), id("gw1.b"), id("gw2.b"));
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
