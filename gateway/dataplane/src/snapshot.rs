//! [`Snapshot`]: all tables that the threads look up, built once and never changed.
//!
//! The control plane builds a new one for every change and swaps it in; both share the sessions.
//! Which prefixes are authorized and which route wins was decided before: the data plane only looks
//! up.
//!
//! Two tables answer every question about addresses:
//! * `holders`: which site holds an address? The most specific authorized prefix decides, prefixes
//!   of this site included; announcements play no part;
//! * `routes`: which session leads to a destination, or since when does none?

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringway_config::{Prefix, Tunnel};
use ringway_filter::Rules;

use crate::companions::Companions;
use crate::ip;
use crate::lanes::Lanes;
use crate::outage::Outage;
use crate::session::{Incoming, Outgoing};
use crate::table::PrefixTable;

/// A site of the consortium, numbered by the builder's caller. Equal numbers mean one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteNo(pub u32);

/// One immutable state of the data plane's tables.
pub struct Snapshot {
    site: SiteNo,
    holders: PrefixTable<Holder>,
    routes: PrefixTable<Way>,
    /// All of them, for those who look for the connections that they cut.
    outages: Vec<(Prefix, Outage)>,
    tunnel: Tunnel,
    connected: PrefixTable<Network>,
    incoming: HashMap<u32, Arc<Incoming>>,
    rules: Option<Arc<Rules>>,
    companions: Companions,
    nodes: HashSet<SiteNo>,
    nodes_reach_each_other: bool,
}

/// Who holds a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Site(SiteNo),
    /// An attached node of ours.
    Node(SiteNo),
    /// Two sites claim it: neither holds it.
    Disputed,
}

/// Where an address is, seen from this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this site.
    Here,
    /// At an attached node: a host of ours, which is reached through a tunnel.
    Node(SiteNo),
    /// In another site.
    Elsewhere(SiteNo),
}

/// What leads to a prefix of another site.
enum Way {
    Session(Lanes),
    /// One with another gateway of our site, which passes packets on.
    BySibling(Lanes),
    /// Nothing does.
    Outage(Outage),
}

/// How a prefix relates to the networks that this host is connected to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// A prefix of this site, or within one.
    Site,
    /// Connected, and not of this site: no tunnel carries its addresses.
    Foreign,
}

impl Snapshot {
    /// Tables with nothing but the site that this gateway is at: all packets are dropped.
    pub fn empty(site: SiteNo) -> Snapshot {
        SnapshotBuilder::new(site).build()
    }

    /// The site of this gateway.
    pub(crate) fn site(&self) -> SiteNo {
        self.site
    }

    /// The site whose authorized prefix holds `address` most specifically.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<SiteNo> {
        match self.holders.lookup(address)? {
            Holder::Site(site) | Holder::Node(site) => Some(*site),
            Holder::Disputed => None,
        }
    }

    /// Where `address` is; `None` if no site holds it.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Place> {
        match self.holders.lookup(address)? {
            Holder::Site(site) if *site == self.site => Some(Place::Here),
            Holder::Site(site) => Some(Place::Elsewhere(*site)),
            Holder::Node(site) => Some(Place::Node(*site)),
            Holder::Disputed => None,
        }
    }

    /// True if `site` stands for an attached node of ours.
    pub(crate) fn is_node(&self, site: SiteNo) -> bool {
        self.nodes.contains(&site)
    }

    /// True if there are attached nodes.
    pub(crate) fn has_nodes(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// True if attached nodes may reach each other.
    pub(crate) fn nodes_reach_each_other(&self) -> bool {
        self.nodes_reach_each_other
    }

    /// The session that leads to `destination`.
    pub(crate) fn route(&self, destination: IpAddr) -> Option<&Lanes> {
        match self.routes.lookup(destination)? {
            Way::Session(lanes) | Way::BySibling(lanes) => Some(lanes),
            Way::Outage(_) => None,
        }
    }

    /// True if a session with a gateway of another site, or with an attached node, leads to
    /// `destination`.
    pub(crate) fn has_own_tunnel(&self, destination: IpAddr) -> bool {
        matches!(self.routes.lookup(destination), Some(Way::Session(_)))
    }

    /// The outage that a packet to `destination` meets.
    pub(crate) fn outage(&self, destination: IpAddr) -> Option<&Outage> {
        match self.routes.lookup(destination)? {
            Way::Session(_) | Way::BySibling(_) => None,
            Way::Outage(outage) => Some(outage),
        }
    }

    /// Prefixes that no session leads to. A part of one may be another prefix that has a session.
    pub(crate) fn outages(&self) -> &[(Prefix, Outage)] {
        &self.outages
    }

    /// The settings for outages.
    pub(crate) fn tunnel(&self) -> &Tunnel {
        &self.tunnel
    }

    /// True if no tunnel may carry `address`: a special one, or one of this host's connected
    /// networks.
    pub(crate) fn is_never_carried(&self, address: IpAddr) -> bool {
        ip::is_never_carried(address) || self.connected.lookup(address) == Some(&Network::Foreign)
    }

    /// What the filter judges by; without any, it lets nothing pass.
    pub fn rules(&self) -> Option<&Arc<Rules>> {
        self.rules.as_ref()
    }

    /// The other gateways of this site.
    pub(crate) fn companions(&self) -> &Companions {
        &self.companions
    }

    /// The session whose packets carry `index`.
    pub fn incoming(&self, index: u32) -> Option<&Arc<Incoming>> {
        self.incoming.get(&index)
    }
}

/// Collects a [`Snapshot`].
pub struct SnapshotBuilder {
    snapshot: Snapshot,
    site_prefixes: Vec<Prefix>,
    connected: Vec<Prefix>,
}

impl SnapshotBuilder {
    /// A builder for the gateway of site `site`.
    pub fn new(site: SiteNo) -> SnapshotBuilder {
        let snapshot = Snapshot {
            site,
            holders: PrefixTable::default(),
            routes: PrefixTable::default(),
            outages: Vec::new(),
            tunnel: Tunnel::default(),
            connected: PrefixTable::default(),
            incoming: HashMap::new(),
            rules: None,
            companions: Companions::default(),
            nodes: HashSet::new(),
            nodes_reach_each_other: false,
        };

        SnapshotBuilder {
            snapshot,
            site_prefixes: Vec::new(),
            connected: Vec::new(),
        }
    }

    /// Adds a prefix of this site.
    pub fn site_prefix(&mut self, prefix: Prefix) -> &mut Self {
        self.site_prefixes.push(prefix);
        let site = self.snapshot.site;
        self.authorize(prefix, site)
    }

    /// Adds a prefix from the member record of `site`. A prefix that two sites claim belongs to
    /// neither.
    pub fn authorize(&mut self, prefix: Prefix, site: SiteNo) -> &mut Self {
        let holders = &mut self.snapshot.holders;
        let earlier = holders.insert(prefix, Holder::Site(site));

        // To prefer one claimant would let it take packets that are meant for the other.
        if earlier.is_some_and(|holder| holder != Holder::Site(site)) {
            holders.insert(prefix, Holder::Disputed);
        }

        self
    }

    /// Adds a prefix of an attached node, which `site` stands for. Where this site has the same
    /// one, the node holds it. To be called after those of the sites.
    pub fn node_prefix(&mut self, prefix: Prefix, site: SiteNo) -> &mut Self {
        let earlier = self.snapshot.holders.insert(prefix, Holder::Node(site));
        let here = Holder::Site(self.snapshot.site);

        // What another site or node claims too is nobody's.
        if earlier.is_some_and(|holder| holder != here && holder != Holder::Node(site)) {
            self.snapshot.holders.insert(prefix, Holder::Disputed);
        }
        self.snapshot.nodes.insert(site);
        self
    }

    /// Attached nodes may reach each other.
    pub fn let_nodes_reach_each_other(&mut self) -> &mut Self {
        self.snapshot.nodes_reach_each_other = true;
        self
    }

    /// Sends packets to `prefix` through `session`. The last session that is named for a prefix
    /// stays.
    pub fn route(&mut self, prefix: Prefix, session: impl Into<Lanes>) -> &mut Self {
        let way = Way::Session(session.into());
        self.snapshot.routes.insert(prefix, way);
        self
    }

    /// As [`SnapshotBuilder::route`], with a session of another gateway of our site, which passes
    /// the packets on.
    pub fn route_by_sibling(&mut self, prefix: Prefix, session: impl Into<Lanes>) -> &mut Self {
        let way = Way::BySibling(session.into());
        self.snapshot.routes.insert(prefix, way);
        self
    }

    /// Answers packets to `prefix`, to which no session leads. Their destinations are known to be a
    /// member's.
    pub fn outage(&mut self, prefix: Prefix, outage: Outage) -> &mut Self {
        self.snapshot.routes.insert(prefix, Way::Outage(outage));
        self.snapshot.outages.push((prefix, outage));
        self
    }

    /// What happens to packets and connections during outages.
    pub fn tunnel(&mut self, settings: Tunnel) -> &mut Self {
        self.snapshot.tunnel = settings;
        self
    }

    /// Adds a network that this host is connected to: its addresses are neither taken from peers
    /// nor sent to them. A network within a prefix of this site is the site itself and is ignored;
    /// a prefix of this site within a connected network stays the site's.
    pub fn connected(&mut self, prefix: Prefix) -> &mut Self {
        self.connected.push(prefix);
        self
    }

    /// Adds a session that receives, under its own index.
    pub fn incoming(&mut self, session: Arc<Incoming>) -> &mut Self {
        self.snapshot.incoming.insert(session.index(), session);
        self
    }

    /// Has the filter judge packets by `rules`.
    pub fn rules(&mut self, rules: Arc<Rules>) -> &mut Self {
        self.snapshot.rules = Some(rules);
        self
    }

    /// Tells another gateway of this site of new flows, by `session`.
    pub fn companion(&mut self, session: Arc<Outgoing>) -> &mut Self {
        self.snapshot.companions.push(session);
        self
    }

    /// The snapshot.
    pub fn build(mut self) -> Snapshot {
        let table = &mut self.snapshot.connected;
        for network in &self.connected {
            if !self.site_prefixes.iter().any(|own| own.covers(network)) {
                table.insert(*network, Network::Foreign);
            }
        }

        // More specific than the networks around them, these entries decide the lookup.
        for prefix in &self.site_prefixes {
            table.insert(*prefix, Network::Site);
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
            .site_prefix(prefix("10.1.4.0/24"))
            .authorize(prefix("10.1.0.0/16"), THERE)
            .authorize(prefix("10.1.4.8/29"), SiteNo(2));
        let snapshot = builder.build();
        assert_eq!(snapshot.holder(address("10.1.3.1")), Some(THERE));
        assert_eq!(snapshot.holder(address("10.1.4.1")), Some(HERE));
        assert_eq!(snapshot.holder(address("10.1.4.9")), Some(SiteNo(2)));
        assert_eq!(snapshot.holder(address("10.2.0.1")), None);
    }

    #[test]
    fn a_prefix_that_two_sites_claim_belongs_to_neither() {
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
            .site_prefix(prefix("10.1.0.0/16"))
            .connected(prefix("10.1.2.0/24"))
            .connected(prefix("10.0.0.0/8"))
            .connected(prefix("203.0.113.0/24"));
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
