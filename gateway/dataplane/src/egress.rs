//! [`route`]: the checks that a packet from the TUN device must pass before it is sealed, and the
//! session that carries it: the mirror image of `admit`. Pure.
//!
//! ```text
//! sane packet ─► addresses a tunnel may carry ─► source is ours ─► a route ─► its session
//!  malformed      own_source / no_route           own_source        no_route
//!  options
//! ```
//! An attached node is a host of ours. Its packets have come out of its tunnel, and the kernel has
//! routed them back to the TUN device; so have those of other sites that are for a node:
//!
//! | from | to another site | to a node |
//! |---|---|---|
//! | our site | judged by the filter | passes |
//! | a node | judged by the filter | passes if nodes may reach each other |
//! | another site | never | passes: the filter has judged it where it arrived |
//!
//! Packets for a tunnel endpoint do not come here: the packet filter drops them, so that there is
//! no tunnel within a tunnel.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::counters::DropReason;
use crate::ip::{self, Addresses};
use crate::lanes::Lanes;
use crate::session::Outgoing;
use crate::snapshot::{Place, Snapshot};

/// The session that carries `packet`, or why none does. Its source must lie in a prefix of this
/// site that no other site holds more specifically, and a route must lead to its destination.
pub fn route<'a>(snapshot: &'a Snapshot, packet: &[u8]) -> Result<&'a Lanes, DropReason> {
    let addresses = ip::parse(packet)?;
    check(snapshot, &addresses)?;

    find(snapshot, &addresses)
}

/// The mirror image of [`crate::admit_from_node`]: `packet` goes to an attached node by another way
/// than a session. Gives its destination.
pub fn route_to_node(snapshot: &Snapshot, packet: &[u8]) -> Result<IpAddr, DropReason> {
    let addresses = ip::parse(packet)?;
    if !matches!(snapshot.place(addresses.destination), Some(Place::Node(_))) {
        return Err(DropReason::NoRoute);
    }

    check(snapshot, &addresses)?;
    Ok(addresses.destination)
}

/// [`route`] for many packets of one lane. Neighbours mostly have the same addresses: those that
/// were routed last are not looked up again while the tables stay the same.
///
/// It keeps tables alive, and with them the keys of sessions: it must not outlive a batch.
pub(crate) struct RouteCache<'a> {
    lane: usize,
    tables: Cache<&'a ArcSwap<Snapshot>, Arc<Snapshot>>,
    last: Option<Routed>,
}

/// What was found last.
struct Routed {
    snapshot: Arc<Snapshot>,
    addresses: Addresses,
    session: Arc<Outgoing>,
    is_judged: bool,
}

/// The way of one packet.
pub(crate) struct Route<'c> {
    /// The tables that it was found in.
    pub(crate) snapshot: &'c Snapshot,
    /// The session that carries the packet.
    pub(crate) session: &'c Arc<Outgoing>,
    /// The filter has to judge it.
    pub(crate) is_judged: bool,
}

impl<'a> RouteCache<'a> {
    /// For the sending thread of our lane number `lane`.
    pub(crate) fn new(tables: &'a ArcSwap<Snapshot>, lane: usize) -> RouteCache<'a> {
        RouteCache {
            lane,
            tables: Cache::new(tables),
            last: None,
        }
    }

    /// The tables of this moment.
    pub(crate) fn tables(&mut self) -> &Arc<Snapshot> {
        self.tables.load()
    }

    /// As [`route`], in the tables of this moment.
    pub(crate) fn route(&mut self, packet: &[u8]) -> Result<Route<'_>, DropReason> {
        let addresses = ip::parse(packet)?;
        // One read of a pointer, as long as nothing new is published.
        let snapshot = self.tables.load();

        let is_known = self.last.as_ref().is_some_and(|last| {
            last.addresses == addresses && Arc::ptr_eq(&last.snapshot, snapshot)
        });
        if !is_known {
            // First: after an error nothing of the earlier tables is remembered.
            self.last = None;
            let is_judged = check(snapshot, &addresses)?;
            let session = find(snapshot, &addresses)?.lane(self.lane).clone();
            self.last = Some(Routed {
                snapshot: snapshot.clone(),
                addresses,
                session,
                is_judged,
            });
        }

        let last = self.last.as_ref().expect("it was known or has been found");
        Ok(Route {
            snapshot: &last.snapshot,
            session: &last.session,
            is_judged: last.is_judged,
        })
    }
}

/// True if the filter has to judge `packet`, whether or not a session carries it.
pub(crate) fn is_judged(snapshot: &Snapshot, packet: &[u8]) -> bool {
    let addresses = ip::parse(packet);

    addresses.is_ok_and(|addresses| check(snapshot, &addresses) != Ok(false))
}

/// Whether the filter has to judge packets between these addresses, or why none may pass.
fn check(snapshot: &Snapshot, addresses: &Addresses) -> Result<bool, DropReason> {
    // The peer would drop a foreign source anyway; here the drop is counted where its cause is.
    let source = snapshot
        .place(addresses.source)
        .filter(|_| !snapshot.is_never_carried(addresses.source))
        .ok_or(DropReason::OwnSource)?;
    // Most gateways have no nodes, and need no further lookup.
    let is_to_node = snapshot.has_nodes()
        && matches!(snapshot.place(addresses.destination), Some(Place::Node(_)));
    if matches!(source, Place::Elsewhere(_)) && !is_to_node {
        return Err(DropReason::OwnSource);
    }
    if snapshot.is_never_carried(addresses.destination) {
        return Err(DropReason::NoRoute);
    }

    match source {
        Place::Here => Ok(!is_to_node),
        Place::Node(_) if !is_to_node => Ok(true),
        Place::Node(_) if snapshot.nodes_reach_each_other() => Ok(false),
        Place::Node(_) => Err(DropReason::Isolated),
        // The filter has judged it where it arrived.
        Place::Elsewhere(_) => Ok(false),
    }
}

fn find<'s>(snapshot: &'s Snapshot, addresses: &Addresses) -> Result<&'s Lanes, DropReason> {
    snapshot
        .route(addresses.destination)
        .ok_or(DropReason::NoRoute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{Shape, any_shape};
    use crate::keys::{Aead, Secret};
    use crate::peer::Peer;
    use crate::session::Path;
    use crate::snapshot::{SiteNo, SnapshotBuilder};
    use proptest::prelude::*;

    /// Tables in which a session with this index leads to all hosts of `craft`.
    fn tables(index: u32, site: &str) -> Arc<Snapshot> {
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let secret = Secret::new([7; 48]);
        let peer = Arc::new(Peer::new());
        let session = Outgoing::new(index, Aead::Aes128Gcm, &secret, path, peer);
        let session = Arc::new(session);
        let mut builder = SnapshotBuilder::new(SiteNo(1));
        builder
            .site_prefix(site.parse().unwrap())
            .site_prefix("fd00:1::/32".parse().unwrap())
            .route("10.2.0.0/16".parse().unwrap(), session.clone())
            .route("fd00:2::/32".parse().unwrap(), session);
        Arc::new(builder.build())
    }

    fn index_of(routes: &mut RouteCache<'_>, packet: &[u8]) -> Result<u32, DropReason> {
        Ok(routes.route(packet)?.session.index())
    }

    proptest! {
        #[test]
        fn earlier_lookups_do_not_change_a_route(
            shapes in proptest::collection::vec((any_shape(), 0u8..3, 0u8..3), 1..20),
        ) {
            let tables = ArcSwap::new(tables(7, "10.1.0.0/24"));
            let snapshot = tables.load_full();
            let mut routes = RouteCache::new(&tables, 0);
            for (shape, source, destination) in shapes {
                let mut packet = shape.packet(b"x");
                let at = if shape.v6 { [11, 27] } else { [14, 18] };
                packet[at[0]] ^= source;
                packet[at[1]] ^= destination;
                let expected = route(&snapshot, &packet).map(|lanes| lanes.lane(0).index());
                prop_assert_eq!(index_of(&mut routes, &packet), expected);
            }
        }
    }

    /// A gateway of site 1 with two attached nodes, whose packets may come from sites 1 to 4.
    fn with_nodes(reach_each_other: bool) -> Snapshot {
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let peer = Arc::new(Peer::new());
        let secret = Secret::new([7; 48]);
        let session = Arc::new(Outgoing::new(9, Aead::Aes128Gcm, &secret, path, peer));
        let mut builder = SnapshotBuilder::new(SiteNo(1));
        builder
            .site_prefix("10.1.0.0/16".parse().unwrap())
            .site_prefix("10.77.0.0/24".parse().unwrap())
            .authorize("10.2.0.0/16".parse().unwrap(), SiteNo(2))
            .node_prefix("10.1.77.5/32".parse().unwrap(), SiteNo(3))
            // Exactly that of a site that is served here.
            .node_prefix("10.77.0.0/24".parse().unwrap(), SiteNo(4));
        for prefix in ["10.2.0.0/16", "10.1.77.5/32", "10.77.0.0/24"] {
            builder.route(prefix.parse().unwrap(), session.clone());
        }
        builder
            .authorize("10.4.0.0/16".parse().unwrap(), SiteNo(5))
            .route_by_sibling("10.4.0.0/16".parse().unwrap(), session)
            .authorize("10.5.0.0/16".parse().unwrap(), SiteNo(6));
        if reach_each_other {
            builder.let_nodes_reach_each_other();
        }
        builder.build()
    }

    fn between(source: &str, destination: &str) -> Addresses {
        Addresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    #[test]
    fn pairs_with_attached_nodes() {
        use DropReason::{Destination, Isolated, OwnSource, Source};
        const HERE: &str = "10.1.0.9";
        const OTHER: &str = "10.2.0.9";
        const NODE: &str = "10.1.77.5";
        const NODE2: &str = "10.77.0.9";
        const NOBODY: &str = "10.3.0.9";
        // One that a sibling leads to, and one that nothing does.
        const BY_SIBLING: &str = "10.4.0.9";
        const LOST: &str = "10.5.0.9";

        // Out of the TUN device: judged by the filter, or not, or dropped.
        let isolated = with_nodes(false);
        for (source, destination, expected) in [
            (HERE, OTHER, Ok(true)),
            (HERE, NODE, Ok(false)),
            (NODE, OTHER, Ok(true)),
            (NODE2, OTHER, Ok(true)),
            (NODE, NODE2, Err(Isolated)),
            (NODE2, NODE, Err(Isolated)),
            (OTHER, NODE, Ok(false)),
            (OTHER, NODE2, Ok(false)),
            (OTHER, OTHER, Err(OwnSource)),
            (OTHER, HERE, Err(OwnSource)),
            (NOBODY, NODE, Err(OwnSource)),
            (HERE, BY_SIBLING, Ok(true)),
            (OTHER, BY_SIBLING, Err(OwnSource)),
        ] {
            let pair = between(source, destination);
            assert_eq!(check(&isolated, &pair), expected, "{source} {destination}");
        }

        // Out of a tunnel.
        for (from, source, destination, expected) in [
            (2, OTHER, HERE, Ok(())),
            (2, OTHER, NODE, Ok(())),
            (2, OTHER, OTHER, Err(Destination)),
            (2, NODE, HERE, Err(Source)),
            (2, HERE, NODE, Err(Source)),
            (3, NODE, HERE, Ok(())),
            (3, NODE, OTHER, Ok(())),
            (3, NODE, NODE2, Err(Isolated)),
            (3, NODE, NOBODY, Err(Destination)),
            (3, HERE, OTHER, Err(Source)),
            (3, NODE2, OTHER, Err(Source)),
            (3, OTHER, HERE, Err(Source)),
            (4, NODE2, OTHER, Ok(())),
            (4, NODE, HERE, Err(Source)),
            // Another gateway of this site, which has no session with the node.
            (1, OTHER, NODE, Ok(())),
            (1, HERE, NODE, Ok(())),
            (1, NODE, NODE2, Err(Source)),
            (1, OTHER, HERE, Err(Source)),
            (1, NOBODY, NODE, Err(Source)),
            // It has no session with the other site.
            (1, HERE, OTHER, Ok(())),
            (1, NODE, OTHER, Ok(())),
            (1, OTHER, OTHER, Err(Source)),
            (1, OTHER, BY_SIBLING, Err(Source)),
            (1, NOBODY, OTHER, Err(Source)),
            (1, HERE, NOBODY, Err(Destination)),
            (2, HERE, OTHER, Err(Source)),
            (3, HERE, OTHER, Err(Source)),
            // Never a second time, nor back.
            (1, HERE, BY_SIBLING, Err(Destination)),
            (1, HERE, LOST, Err(Destination)),
        ] {
            let admitted =
                crate::admit::judge(&isolated, SiteNo(from), &between(source, destination));
            assert_eq!(admitted, expected, "{from}: {source} {destination}");
        }

        let open = with_nodes(true);
        assert_eq!(check(&open, &between(NODE, NODE2)), Ok(false));
        let admitted = crate::admit::judge(&open, SiteNo(3), &between(NODE, NODE2));
        assert_eq!(admitted, Ok(()));
    }

    #[test]
    fn new_tables_count_for_the_next_packet() {
        let packet = Shape {
            v6: false,
            tcp: true,
            options: Vec::new(),
            flags: 0x10,
            sequence: 1,
            id: 1,
            dont_fragment: true,
            traffic_class: 0,
            port: 1,
        }
        .packet(b"x");
        let published = ArcSwap::new(tables(7, "10.1.0.0/24"));
        let mut routes = RouteCache::new(&published, 0);
        assert_eq!(index_of(&mut routes, &packet), Ok(7));
        published.store(tables(8, "10.1.0.0/24"));
        assert_eq!(index_of(&mut routes, &packet), Ok(8));
        published.store(tables(8, "10.9.0.0/24"));
        assert_eq!(index_of(&mut routes, &packet), Err(DropReason::OwnSource));
        published.store(Arc::new(Snapshot::empty(SiteNo(1))));
        assert_eq!(index_of(&mut routes, &packet), Err(DropReason::OwnSource));
    }
}
