//! [`Snapshot`]: everything the threads look up, built once and never changed.
//!
//! The control plane builds a new one for every change and swaps it in; the sessions in it are shared
//! with the one before. What is authorized and which route wins was decided before: the data plane only
//! looks up.
//!
//! Two tables answer every question about addresses:
//! * `holders`: whose is an address? The most specific authorized prefix holding it, this site's own
//!   included; announcements play no part;
//! * `routes`: which session leads to a destination?

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringway_config::Prefix;

use crate::ip;
use crate::lanes::Lanes;
use crate::session::Incoming;
use crate::table::PrefixTable;

/// A site of the consortium, numbered by whoever builds the snapshot; equal numbers mean one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteNo(pub u32);

/// One immutable state of the data plane's tables.
pub struct Snapshot {
    site: SiteNo,
    /// `None` where two sites claim the same prefix: it is nobody's.
    holders: PrefixTable<Option<SiteNo>>,
    routes: PrefixTable<Lanes>,
    /// True in a connected network that is not the site's own, false in an own prefix.
    local: PrefixTable<bool>,
    incoming: HashMap<u32, Arc<Incoming>>,
}

impl Snapshot {
    /// Knows only which site it is at: everything is dropped.
    pub fn empty(site: SiteNo) -> Snapshot {
        SnapshotBuilder::new(site).build()
    }

    /// The site of this gateway.
    pub(crate) fn site(&self) -> SiteNo {
        self.site
    }

    /// The site whose authorized prefix holds `address` most specifically.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<SiteNo> {
        *self.holders.lookup(address)?
    }

    /// The session that leads to `destination`.
    pub(crate) fn route(&self, destination: IpAddr) -> Option<&Lanes> {
        self.routes.lookup(destination)
    }

    /// True if no tunnel may carry `address`: a special one, or one of this host's connected networks.
    pub(crate) fn is_never_carried(&self, address: IpAddr) -> bool {
        ip::is_never_carried(address) || self.local.lookup(address).is_some_and(|local| *local)
    }

    /// The session whose packets carry `index`.
    pub fn incoming(&self, index: u32) -> Option<&Arc<Incoming>> {
        self.incoming.get(&index)
    }

    /// Every session that receives, in no particular order.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.incoming.values()
    }
}

/// Collects a [`Snapshot`].
pub struct SnapshotBuilder {
    snapshot: Snapshot,
    own: Vec<Prefix>,
    local: Vec<Prefix>,
}

impl SnapshotBuilder {
    /// A builder for the gateway of site `site`.
    pub fn new(site: SiteNo) -> SnapshotBuilder {
        let snapshot = Snapshot {
            site,
            holders: PrefixTable::default(),
            routes: PrefixTable::default(),
            local: PrefixTable::default(),
            incoming: HashMap::new(),
        };
        SnapshotBuilder {
            snapshot,
            own: Vec::new(),
            local: Vec::new(),
        }
    }

    /// A prefix of this site.
    pub fn own(&mut self, prefix: Prefix) -> &mut Self {
        self.own.push(prefix);
        let site = self.snapshot.site;
        self.authorize(prefix, site)
    }

    /// A prefix from the member record of `site`. A prefix that two sites claim belongs to neither.
    pub fn authorize(&mut self, prefix: Prefix, site: SiteNo) -> &mut Self {
        if let Some(holder) = self.snapshot.holders.insert(prefix, Some(site))
            && holder != Some(site)
        {
            self.snapshot.holders.insert(prefix, None);
        }
        self
    }

    /// Packets to `prefix` go through `session`. The last session named for a prefix stays.
    pub fn route(&mut self, prefix: Prefix, session: impl Into<Lanes>) -> &mut Self {
        self.snapshot.routes.insert(prefix, session.into());
        self
    }

    /// A network that this host is connected to: no address in it is taken from or sent to a peer. One
    /// within an own prefix is the site itself and ignored; an own prefix within one stays own.
    pub fn local(&mut self, prefix: Prefix) -> &mut Self {
        self.local.push(prefix);
        self
    }

    /// A session that receives, under its own index.
    pub fn incoming(&mut self, session: Arc<Incoming>) -> &mut Self {
        self.snapshot.incoming.insert(session.index(), session);
        self
    }

    /// The snapshot.
    pub fn build(mut self) -> Snapshot {
        let foreign = |prefix: &&Prefix| !self.own.iter().any(|own| own.covers(prefix));
        for prefix in self.local.iter().filter(foreign) {
            self.snapshot.local.insert(*prefix, true);
        }
        for prefix in &self.own {
            self.snapshot.local.insert(*prefix, false);
        }
        self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SiteNo = SiteNo(0);
    const THERE: SiteNo = SiteNo(1);

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_most_specific_authorization_holds_an_address() {
        let mut builder = SnapshotBuilder::new(HERE);
        builder
            .own(prefix("10.1.4.0/24"))
            .authorize(prefix("10.1.0.0/16"), THERE)
            .authorize(prefix("10.1.4.8/29"), SiteNo(2));
        let snapshot = builder.build();
        assert_eq!(snapshot.holder(address("10.1.3.1")), Some(THERE));
        assert_eq!(snapshot.holder(address("10.1.4.1")), Some(HERE));
        assert_eq!(snapshot.holder(address("10.1.4.9")), Some(SiteNo(2)));
        assert_eq!(snapshot.holder(address("10.2.0.1")), None);
    }

    #[test]
    fn a_prefix_that_two_sites_claim_is_nobodys() {
        let mut builder = SnapshotBuilder::new(HERE);
        builder
            .authorize(prefix("10.2.0.0/16"), THERE)
            .authorize(prefix("10.2.0.0/16"), SiteNo(2))
            .authorize(prefix("10.2.0.0/16"), THERE)
            .authorize(prefix("10.3.0.0/16"), THERE)
            .authorize(prefix("10.3.0.0/16"), THERE);
        let snapshot = builder.build();
        assert_eq!(snapshot.holder(address("10.2.0.1")), None);
        assert_eq!(snapshot.holder(address("10.3.0.1")), Some(THERE));
    }

    #[test]
    fn connected_networks_are_never_carried_unless_they_are_the_site() {
        let mut builder = SnapshotBuilder::new(HERE);
        builder
            .own(prefix("10.1.0.0/16"))
            .local(prefix("10.1.2.0/24"))
            .local(prefix("10.0.0.0/8"))
            .local(prefix("203.0.113.0/24"));
        let snapshot = builder.build();
        for (text, never) in [
            ("10.1.2.3", false),
            ("10.1.9.9", false),
            ("10.2.0.1", true),
            ("203.0.113.9", true),
        ] {
            assert_eq!(snapshot.is_never_carried(address(text)), never, "{text}");
        }
        assert!(snapshot.is_never_carried(address("127.0.0.1")));
    }
}
