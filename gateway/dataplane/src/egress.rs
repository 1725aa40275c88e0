//! [`route`]: the checks that a packet from the TUN device must pass before it is sealed, and the
//! session that carries it: the mirror image of `admit`. Pure.
//!
//! ```text
//! sane packet ─► addresses a tunnel may carry ─► source is ours ─► a route ─► its session
//!  malformed      own_source / no_route           own_source        no_route
//!  options
//! ```
//! Packets for a tunnel endpoint do not come here: the packet filter drops them, so that there is
//! no tunnel within a tunnel.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::counters::DropReason;
use crate::ip::{self, Addresses};
use crate::lanes::Lanes;
use crate::session::Outgoing;
use crate::snapshot::Snapshot;

/// The session that carries `packet`, or why none does. Its source must lie in a prefix of this
/// site that no other site holds more specifically, and a route must lead to its destination.
pub fn route<'a>(snapshot: &'a Snapshot, packet: &[u8]) -> Result<&'a Lanes, DropReason> {
    find(snapshot, &ip::parse(packet)?)
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
}

/// The way of one packet.
pub(crate) struct Route<'c> {
    /// The tables that it was found in.
    pub(crate) snapshot: &'c Snapshot,
    /// The session that carries the packet.
    pub(crate) session: &'c Arc<Outgoing>,
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
            let session = find(snapshot, &addresses)?.lane(self.lane).clone();
            self.last = Some(Routed {
                snapshot: snapshot.clone(),
                addresses,
                session,
            });
        }

        let last = self.last.as_ref().expect("it was known or has been found");
        Ok(Route {
            snapshot: &last.snapshot,
            session: &last.session,
        })
    }
}

fn find<'s>(snapshot: &'s Snapshot, addresses: &Addresses) -> Result<&'s Lanes, DropReason> {
    // The peer would drop a foreign source anyway; here the drop is counted where its cause is.
    if snapshot.is_never_carried(addresses.source)
        || snapshot.holder(addresses.source) != Some(snapshot.site())
    {
        return Err(DropReason::OwnSource);
    }

    if snapshot.is_never_carried(addresses.destination) {
        return Err(DropReason::NoRoute);
    }

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
        fn what_was_routed_before_changes_no_answer(
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
