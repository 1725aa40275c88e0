//! [`Situation`]: all inputs, apart from the sessions, that decide what the host should look like.

use std::collections::BTreeSet;

use ringway_config::{Config, Connected, OrgId, Prefix, Ruling};

use crate::links::Links;

/// A configuration, the verdicts about its prefixes, and the state of the host.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The verdict about every prefix.
    pub rulings: &'a [Ruling],
    /// The networks that the host is connected to.
    pub connected: &'a [Connected],
    /// The host's addresses, and its routes to our site.
    pub links: &'a Links,
    /// Prefixes of removed members that nobody else has taken over: see [`held`].
    pub held: &'a BTreeSet<Prefix>,
}

impl Situation<'_> {
    /// Our site's prefixes.
    pub fn own(&self) -> Vec<Prefix> {
        let own = self.config.own_prefixes().iter();

        own.map(|own| own.prefix).collect()
    }

    /// Every available prefix behind this host: our site's, and those of sites that are served via
    /// it.
    pub fn served(&self) -> Vec<Prefix> {
        self.behind(|_| true)
    }

    /// Those of [`Situation::served`] that belong to our organization. Hosts of another
    /// organization reach ours only by a rule of the policy, or by a path outside this daemon.
    pub fn inside(&self) -> Vec<Prefix> {
        self.behind(|org| *org == self.config.own.org)
    }

    fn behind(&self, counts: impl Fn(&OrgId) -> bool) -> Vec<Prefix> {
        let passing = self.config.passing();
        let passing: Vec<Prefix> = passing
            .filter(|(member, _)| counts(&member.org))
            .flat_map(|(_, site)| &site.prefixes)
            .map(|placed| placed.prefix)
            .collect();
        let mut behind = self.own();
        if passing.is_empty() {
            return behind;
        }

        let available: BTreeSet<Prefix> = self
            .rulings
            .iter()
            .filter(|ruling| ruling.is_available())
            .map(|ruling| ruling.prefix)
            .collect();
        behind.extend(passing.iter().filter(|prefix| available.contains(prefix)));
        behind
    }

    /// The prefixes of the other sites, whatever the verdict about them, and of removed members.
    ///
    /// Prefixes are left out if they overlap what this host needs itself: prefixes of our site or
    /// of sites served via it, a reserved or a connected network. Routes to them would cut the host
    /// off from its neighbours. Wider prefixes are left out too: our table comes before the main
    /// one, so their routes would win over more specific ones there.
    pub fn members(&self) -> BTreeSet<Prefix> {
        let served = self.served().into_iter();
        let served = served.filter(|prefix| !self.config.is_own_address(prefix));
        let reserved = self.config.reserved.iter().map(|reserved| reserved.prefix);
        let connected = self.connected.iter().map(|network| network.prefix);
        let local: Vec<Prefix> = served.chain(reserved).chain(connected).collect();

        let claimed = self.rulings.iter().map(|ruling| ruling.prefix);
        claimed
            .chain(self.held.iter().copied())
            .filter(|prefix| !local.iter().any(|near| near.overlaps(prefix)))
            .chain(self.nodes().map(|(prefix, _)| prefix))
            .collect()
    }

    /// The prefixes of the attached nodes. They lie inside prefixes behind this host, but their
    /// packets use a TUN device. True if it is the one for WireGuard clients.
    pub fn nodes(&self) -> impl Iterator<Item = (Prefix, bool)> {
        let nodes = self.config.nodes.list.iter();

        nodes
            .flat_map(|node| {
                let is_client = node.wireguard.is_some();
                let prefixes = node.prefixes.iter();
                prefixes.map(move |placed| (placed.prefix, is_client))
            })
            // A route to it would cut the host off from its neighbours.
            .filter(|(prefix, _)| {
                let mut connected = self.connected.iter();
                !connected.any(|network| prefix.covers(&network.prefix))
            })
    }
}

/// The prefixes to remember once `rulings` are in force: those of every other site, and those of
/// `before` that nobody has taken over. When a member is removed, hosts go on sending to its
/// prefixes, so these must not become reachable by the default route.
pub fn held(config: &Config, rulings: &[Ruling], before: &BTreeSet<Prefix>) -> BTreeSet<Prefix> {
    let mut orphans = before.clone();
    orphans.retain(|prefix| !rulings.iter().any(|ruling| ruling.prefix.covers(prefix)));

    rulings
        .iter()
        .map(|ruling| ruling.prefix)
        .filter(|prefix| !config.is_own(prefix))
        .chain(orphans)
        .collect()
}
