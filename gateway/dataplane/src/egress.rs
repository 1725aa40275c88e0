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

use crate::counters::DropReason;
use crate::ip;
use crate::lanes::Lanes;
use crate::snapshot::Snapshot;

/// The session that carries `packet`, or why none does. Its source must lie in a prefix of this
/// site that no other site holds more specifically, and a route must lead to its destination.
pub fn route<'a>(snapshot: &'a Snapshot, packet: &[u8]) -> Result<&'a Lanes, DropReason> {
    let addresses = ip::parse(packet)?;

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
