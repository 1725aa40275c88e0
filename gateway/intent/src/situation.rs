//! [`Situation`]: what the host should look like follows from this, and from nothing else but the
//! sessions.

use std::collections::BTreeSet;

use ringway_config::{Config, Connected, OrgId, Prefix, Ruling};

use crate::links::Links;

/// A configuration, the verdicts on it, and the host that it meets.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What the files say.
    pub config: &'a Config,
    /// The verdict on every prefix.
    pub rulings: &'a [Ruling],
    /// The networks that the host is connected to.
    pub connected: &'a [Connected],
    /// The host's addresses, and its routes to our site.
    pub links: &'a Links,
    /// Every prefix that was a member's and is not anybody else's by now: see [`held`].
    pub held: &'a BTreeSet<Prefix>,
}

impl Situation<'_> {
    /// Our site's prefixes.
    pub fn own(&self) -> Vec<Prefix> {
        let own = self.config.own_prefixes().iter();

        own.map(|own| own.prefix).collect()
    }

    /// Every prefix that lies behind this host: our site's, and those of the sites that are served
    /// via it, as far as they are available.
    pub fn served(&self) -> Vec<Prefix> {
        self.behind(|_| true)
    }

    /// Those of [`Situation::served`] that are our organization's. The hosts of another one reach
    /// ours by a rule of the policy, as every member's do, or by ways that are not this daemon's.
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

    /// The prefixes of the other sites, whatever the verdict on them, and of removed members.
    ///
    /// Left out are prefixes that overlap what this host needs for itself: our site's, those of
    /// sites that are served via it, a reserved or a connected network. Routes to those would cut
    /// the host off from its neighbours. Wider prefixes are left out too: our table comes before
    /// the main one, so that their routes would win over more specific ones there.
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

    /// The prefixes of the attached nodes: they lie inside those that lie behind this host, and
    /// their packets come and go by a TUN device all the same. True: that of WireGuard clients.
    pub fn nodes(&self) -> impl Iterator<Item = (Prefix, bool)> {
        let nodes = self.config.nodes.list.iter();

        nodes
            .flat_map(|node| {
                let is_client = node.wireguard.is_some();
                let prefixes = node.prefixes.iter();
                prefixes.map(move |placed| (placed.prefix, is_client))
            })
            // A route would cut the host off from its neighbours.
            .filter(|(prefix, _)| {
                let mut connected = self.connected.iter();
                !connected.any(|network| prefix.covers(&network.prefix))
            })
    }
}

/// What has to be remembered once `rulings` are in force: the prefixes of every other site, and
/// those of `before` that nobody has taken over. A prefix without an owner must not be reachable by
/// the default route only because its member was removed: hosts go on sending to it.
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
