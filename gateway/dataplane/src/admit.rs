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
use crate::ip::{self, Addresses};
use crate::snapshot::{SiteNo, Snapshot};

/// Admits a packet that a gateway of site `from` sealed, or says why not: its source must lie in a prefix
/// authorized for that site, more specific authorizations of others going first, and its destination in
/// one of this site's.
pub fn admit(snapshot: &Snapshot, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
    Gate::new(snapshot).admit(from, packet)
}

/// [`admit`] for many packets under one snapshot. Neighbours mostly have the same addresses: those that were
/// admitted last are not looked up again.
pub(crate) struct Gate<'s> {
    snapshot: &'s Snapshot,
    last: Option<(SiteNo, Addresses)>,
}

impl<'s> Gate<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot) -> Gate<'s> {
        Gate {
            snapshot,
            last: None,
        }
    }

    pub(crate) fn admit(&mut self, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
        let addresses = ip::parse(packet)?;
        if self.last != Some((from, addresses)) {
            check(self.snapshot, from, &addresses)?;
            self.last = Some((from, addresses));
        }
        Ok(())
    }
}

fn check(snapshot: &Snapshot, from: SiteNo, addresses: &Addresses) -> Result<(), DropReason> {
    if snapshot.is_never_carried(addresses.source)
        || snapshot.holder(addresses.source) != Some(from)
    {
        return Err(DropReason::Source);
    }
    if snapshot.is_never_carried(addresses.destination)
        || snapshot.holder(addresses.destination) != Some(snapshot.site())
    {
        return Err(DropReason::Destination);
    }
    Ok(())
}
