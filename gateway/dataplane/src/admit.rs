//! [`admit`]: the checks that an opened packet must pass before it reaches this site. Pure.
//!
//! ```text
//! sane packet ─► addresses a tunnel may carry ─► source authorized ─► destination is ours ─► TUN
//!  malformed      source / destination            source               destination
//!  options
//! ```
//! Before it, `session` has checked phase, window and AEAD. Behind it, `ringway-filter` applies the
//! policy by protocol and port.

use std::net::IpAddr;

use crate::counters::DropReason;
use crate::ip::{self, Addresses};
use crate::snapshot::{Place, SiteNo, Snapshot};

/// Admits a packet that a gateway of site `from` has sealed, or says why not. Its source must lie
/// in a prefix that is authorized for that site and not, more specifically, for another; its
/// destination likewise in a prefix of this site, or of an attached node of ours. What a node has
/// sealed may go to other sites, too.
pub fn admit(snapshot: &Snapshot, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
    AdmitCache::new(snapshot).admit(from, packet)
}

/// As [`admit`], for what came from an attached node by another way than a session: the source says
/// which node it is. Gives the source, so that the caller can check that it is the sender's.
pub fn admit_from_node(snapshot: &Snapshot, packet: &[u8]) -> Result<IpAddr, DropReason> {
    let addresses = ip::parse(packet)?;

    match snapshot.place(addresses.source) {
        Some(Place::Node(node)) => judge(snapshot, node, &addresses)?,
        _ => return Err(DropReason::Source),
    }
    Ok(addresses.source)
}

/// True if `packet` is for an attached node of ours.
pub(crate) fn is_for_node(snapshot: &Snapshot, packet: &[u8]) -> bool {
    snapshot.has_nodes()
        && ip::parse(packet).is_ok_and(|addresses| {
            matches!(snapshot.place(addresses.destination), Some(Place::Node(_)))
        })
}

/// True if `packet` is for another site.
pub(crate) fn is_for_another_site(snapshot: &Snapshot, packet: &[u8]) -> bool {
    ip::parse(packet).is_ok_and(|addresses| {
        matches!(
            snapshot.place(addresses.destination),
            Some(Place::Elsewhere(_))
        )
    })
}

/// [`admit`] for many packets under one snapshot. Neighbours mostly have the same addresses: those
/// that were admitted last are not looked up again.
pub(crate) struct AdmitCache<'s> {
    snapshot: &'s Snapshot,
    last: Option<(SiteNo, Addresses)>,
}

impl<'s> AdmitCache<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot) -> AdmitCache<'s> {
        AdmitCache {
            snapshot,
            last: None,
        }
    }

    pub(crate) fn admit(&mut self, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
        let addresses = ip::parse(packet)?;
        if self.last != Some((from, addresses)) {
            judge(self.snapshot, from, &addresses)?;
            self.last = Some((from, addresses));
        }

        Ok(())
    }
}

/// [`admit`], by the addresses alone.
pub(crate) fn judge(
    snapshot: &Snapshot,
    from: SiteNo,
    addresses: &Addresses,
) -> Result<(), DropReason> {
    // A gateway of our site passes on to a node or to a site that it has no session with; it has
    // judged the packet by its own tables.
    if from == snapshot.site() && is_passed_on(snapshot, addresses) {
        return Ok(());
    }

    // Routes play no part: a site may send from its prefixes even while it announces none of them.
    if snapshot.is_never_carried(addresses.source)
        || snapshot.holder(addresses.source) != Some(from)
    {
        return Err(DropReason::Source);
    }

    // Without this, a peer could reach other sites, or the host's networks, through this gateway.
    let destination = snapshot
        .place(addresses.destination)
        .filter(|_| !snapshot.is_never_carried(addresses.destination))
        .ok_or(DropReason::Destination)?;
    match destination {
        Place::Here => Ok(()),
        // A host of ours; the kernel routes the packet back to the TUN device, and into its tunnel.
        Place::Node(_) if !snapshot.is_node(from) => Ok(()),
        Place::Node(_) if snapshot.nodes_reach_each_other() => Ok(()),
        Place::Node(_) => Err(DropReason::Isolated),
        // An attached node reaches other sites through this gateway, as our hosts do.
        Place::Elsewhere(_) if snapshot.is_node(from) => Ok(()),
        Place::Elsewhere(_) => Err(DropReason::Destination),
    }
}

/// True for what another gateway of this site may pass on: from one of our hosts, or from another
/// site, to an attached node; from a host or node of ours to another site that a tunnel of our own
/// leads to.
fn is_passed_on(snapshot: &Snapshot, addresses: &Addresses) -> bool {
    let Addresses {
        source,
        destination,
    } = *addresses;
    if snapshot.is_never_carried(source) {
        return false;
    }

    match (snapshot.place(source), snapshot.place(destination)) {
        (Some(Place::Here | Place::Elsewhere(_)), Some(Place::Node(_))) => true,
        // Two gateways that have just lost a peer would send its packets to each other.
        (Some(Place::Here | Place::Node(_)), Some(Place::Elsewhere(_))) => {
            !snapshot.is_never_carried(destination) && snapshot.has_own_tunnel(destination)
        }
        _ => false,
    }
}
