//! [`admit`]: the checks that an opened packet must pass before it reaches this site. Pure.
//!
//! ```text
//! sane packet ─► addresses a tunnel may carry ─► source authorized ─► destination is ours ─► TUN
//!  malformed      source / destination            source               destination
//!  options
//! ```
//! Before it, `session` has checked phase, window and AEAD. Behind it, `ringway-filter` applies the
//! policy by protocol and port.

use crate::counters::DropReason;
use crate::ip::{self, Addresses};
use crate::snapshot::{SiteNo, Snapshot};

/// Admits a packet that a gateway of site `from` has sealed, or says why not. Its source must lie
/// in a prefix that is authorized for that site and not, more specifically, for another; its
/// destination likewise in a prefix of this site.
pub fn admit(snapshot: &Snapshot, from: SiteNo, packet: &[u8]) -> Result<(), DropReason> {
    AdmitCache::new(snapshot).admit(from, packet)
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
            check(self.snapshot, from, &addresses)?;
            self.last = Some((from, addresses));
        }

        Ok(())
    }
}

fn check(snapshot: &Snapshot, from: SiteNo, addresses: &Addresses) -> Result<(), DropReason> {
    // Routes play no part: a site may send from its prefixes even while it announces none of them.
    if snapshot.is_never_carried(addresses.source)
        || snapshot.holder(addresses.source) != Some(from)
    {
        return Err(DropReason::Source);
    }

    // Without this, a peer could reach other sites, or the host's networks, through this gateway.
    if snapshot.is_never_carried(addresses.destination)
        || snapshot.holder(addresses.destination) != Some(snapshot.site())
    {
        return Err(DropReason::Destination);
    }
    Ok(())
}
