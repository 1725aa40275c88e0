//! What an opened packet must pass before it reaches this site. Pure; the last word on the way in.
//!
//! ```text
//! sane packet ─► addresses a tunnel may carry ─► source authorized ─► destination is ours ─► TUN
//!  malformed      source / destination            source               destination
//!  options
//! ```
//! What comes before (session, phase, window, AEAD) is `session`'s; what comes behind the TUN device
//! (policy by protocol and port) is the packet filter's.

use crate::counters::DropReason;
use crate::ip;
use crate::snapshot::{SiteNo, Snapshot};

/// Admits a packet that a gateway of site `from` sealed, or says why not: its source must lie in a prefix
/// authorized for that site, more specific authorizations of others going first, and its destination in
/// one of this site's.
pub fn admit(snapshot: &Snapshot, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
    let addresses = ip::parse(packet)?;
    if snapshot.is_never_carried(addresses.source) || snapshot.holder(addresses.source) != Some(from) {
        return Err(DropReason::Source);
    }
    if snapshot.is_never_carried(addresses.destination)
        || snapshot.holder(addresses.destination) != Some(snapshot.site())
    {
        return Err(DropReason::Destination);
    }
    Ok(())
}
