//! Replicates zones over the control streams: offers our zone, answers fetches of it, takes each
//! organization's zone from that organization's gateways only. How zones are encoded, checked and
//! stored is `ringway-dns`'s; this module connects it to sessions. It starts no task: [`Reply`]
//! says what to do.
//!
//! ```text
//!   owner                                replica
//!     ├─ ZoneOffer serial, digest ─────────►│  newer? within the caps?
//!     │◄── ZoneFetch serial, what we have ──┤
//!     ├─ ZoneData … last ──────────────────►│  Check, off the loop: digest, names inside the apex
//!     │  (what changed since, or all of it) │  ─► publish, then store
//! ```
//! A refused zone changes nothing; `status` shows the reason until a good zone of that organization
//! comes.

mod check;
mod hold;
mod own;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{GatewayId, ZoneName};
use ringway_core::{ConnId, ZoneMessage};
use ringway_dns::delta::Version;
use ringway_dns::transfer::{Chunk, Due, Fetch, Offer, Progress, Transfer, TransferError, Verdict};
use ringway_dns::{Hold, Moment, Origin, ReplicaStore, Zone, Zones};

use crate::names::Names;
use crate::quic::link::Load;
use check::{Begun, Checks};
pub use check::{Check, Checked};
use hold::Keeping;
use own::Own;
pub use own::{Preparation, Prepared};
pub use store::Store;

/// One thing to do.
#[derive(Debug)]
pub enum Reply {
    /// Send one message.
    Message(ConnId, ZoneMessage),
    /// Send our zone, or what changed in it, in chunks, as fast as the peer reads them.
    Stream(ConnId, Load),
    /// Run this off the loop, and give the result to [`Replicator::handle_checked`].
    Check(Check),
    /// Run this off the loop. It has no result.
    Store(Store),
    /// Offer our zone on every session in use.
    OfferToAll,
}

/// All replication of one gateway.
pub struct Replicator {
    zones: Arc<Zones>,
    copies: Arc<ReplicaStore>,
    /// Held while a copy is written, so that the one that is written last is the newest.
    storing: Arc<Mutex<()>>,
    domain: ZoneName,
    own: Own,
    receiving: BTreeMap<ConnId, (GatewayId, Transfer)>,
    checks: Checks,
    /// The versions of the copies served: a digest takes a while.
    versions: BTreeMap<ZoneName, Version>,
    /// When zones' owners last had a session with us.
    keeping: Keeping,
    refusals: BTreeMap<ZoneName, String>,
    /// When a peer's zone was last logged as refused.
    reported: BTreeMap<GatewayId, Instant>,
}

/// How long the refusals of one peer's zones are not logged again.
const PAUSE: Duration = Duration::from_secs(60);

impl Replicator {
    /// Offers the zone of `apex` as `names` serves it, and takes the other organizations'. Copies
    /// of owners that have been silent for longer than `hold`, according to `heard`, are not
    /// answered from. `None` if `names` does not serve our zone.
    pub fn new(
        names: &Names,
        heard: Hold,
        hold: Duration,
        domain: ZoneName,
        apex: &ZoneName,
    ) -> Option<Replicator> {
        let own = Own::new(apex.clone(), names.zones.zone(apex)?);
        let keeping = Keeping::new(heard, hold);
        let mut replicator = Replicator::of(
            names.zones.clone(),
            names.copies.clone(),
            domain,
            own,
            keeping,
        );

        replicator.know_versions();
        replicator.look(Moment::now());
        Some(replicator)
    }

    fn of(
        zones: Arc<Zones>,
        copies: Arc<ReplicaStore>,
        domain: ZoneName,
        own: Own,
        keeping: Keeping,
    ) -> Replicator {
        Replicator {
            zones,
            copies,
            storing: Arc::default(),
            domain,
            own,
            receiving: BTreeMap::new(),
            checks: Checks::default(),
            versions: BTreeMap::new(),
            keeping,
            refusals: BTreeMap::new(),
            reported: BTreeMap::new(),
        }
    }

    /// Looks at our zone again. If it is another one: run this off the loop, and give the result to
    /// [`Replicator::handle_prepared`].
    pub fn prepare_own(&mut self) -> Option<Preparation> {
        self.own.prepare(self.zones.zone(&self.own.apex)?)
    }

    /// A version of our zone is ready to be sent.
    pub fn handle_prepared(&mut self, prepared: Prepared) -> Option<Reply> {
        self.own.replace(prepared).then_some(Reply::OfferToAll)
    }

    /// Why the last zone that the owner of `apex` sent or offered was refused, and by which gateway
    /// of it; `None` if it was good.
    pub fn refusal(&self, apex: &ZoneName) -> Option<&str> {
        self.refusals.get(apex).map(String::as_str)
    }

    /// The offer of our zone.
    pub fn offer(&self) -> ZoneMessage {
        let Offer {
            serial,
            digest,
            size,
        } = self.own.offer;

        // A zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
        ZoneMessage::Offer {
            apex: self.own.apex.clone(),
            serial,
            digest,
            size: size as u32,
        }
    }

    /// A session has ended: forgets the zone that it was sending.
    pub fn forget(&mut self, conn: ConnId) {
        if let Some((peer, _)) = self.receiving.remove(&conn) {
            self.keeping
                .leave(&self.domain.zone_of(&peer.org), Moment::now());
        }
    }

    /// A zone message came from `peer`.
    pub fn handle(
        &mut self,
        conn: ConnId,
        peer: &GatewayId,
        message: ZoneMessage,
        now: Instant,
    ) -> Option<Reply> {
        match message {
            ZoneMessage::Offer {
                apex,
                serial,
                digest,
                size,
            } => {
                let offer = Offer {
                    serial,
                    digest,
                    size: size.into(),
                };
                self.handle_offer(conn, peer, apex, offer, now)
            }
            ZoneMessage::Fetch { apex, serial, have }
                if apex == self.own.apex && serial == self.own.offer.serial =>
            {
                Some(Reply::Stream(conn, self.own.since(have)))
            }
            // A fetch of an earlier serial: the new one is on offer already.
            ZoneMessage::Fetch { .. } => None,
            // We do not offer the feature.
            ZoneMessage::Fragment(_) => None,
            ZoneMessage::Data {
                apex,
                serial,
                from,
                offset,
                last,
                bytes,
            } => {
                let chunk = Chunk {
                    offset: offset.into(),
                    last,
                    bytes: &bytes,
                };
                self.handle_data(conn, &apex, (serial, from), chunk, now)
            }
        }
    }

    fn handle_offer(
        &mut self,
        conn: ConnId,
        peer: &GatewayId,
        apex: ZoneName,
        offer: Offer,
        now: Instant,
    ) -> Option<Reply> {
        // An organization's zone is taken from its gateways only.
        if apex != self.domain.zone_of(&peer.org) {
            self.refused(
                peer,
                &format_args!("it offers {apex}, which is not its own"),
                now,
            );
            return None;
        }
        // Another gateway of our organization. Both serve the zone of their files.
        if apex == self.own.apex {
            return None;
        }

        let held = self.held(&apex);
        let (_, transfer) = self
            .receiving
            .entry(conn)
            .or_insert_with(|| (peer.clone(), Transfer::new(apex.clone())));

        match transfer.offer(offer, held, now) {
            Verdict::Want(fetch) => Some(Reply::Message(conn, message(apex, fetch))),
            Verdict::Later => None,
            Verdict::Ignore => {
                // We have what it offers: what was refused before has been corrected.
                if held == Some((offer.serial, offer.digest)) {
                    self.refusals.remove(&self.domain.zone_of(&peer.org));
                }
                None
            }
            Verdict::Refuse(reason) => {
                self.refused(peer, &reason, now);
                None
            }
        }
    }

    fn handle_data(
        &mut self,
        conn: ConnId,
        apex: &ZoneName,
        (serial, from): (u32, Option<u32>),
        chunk: Chunk<'_>,
        now: Instant,
    ) -> Option<Reply> {
        let (peer, transfer) = self.receiving.get_mut(&conn)?;
        let peer = peer.clone();

        // Before anything is kept: a gateway must not replace another organization's names.
        if *apex != self.domain.zone_of(&peer.org) {
            self.refused(
                &peer,
                &format_args!("it sends {apex}, which is not its own"),
                now,
            );
            return None;
        }

        // The rest of a transfer that was given up: another zone is awaited now.
        if transfer.receives().is_some_and(|awaited| awaited != serial) {
            return None;
        }

        match transfer.chunk(from, chunk, now) {
            Ok(Progress::More) => None,
            Ok(Progress::Whole(parcel)) => {
                match self.checks.begin(conn, parcel, &self.zones) {
                    Begun::Now(check) => Some(Reply::Check(check)),
                    Begun::Waits { instead_of } => {
                        // Another session of the same organization has brought a later zone.
                        let replaced = instead_of.and_then(|conn| self.receiving.get_mut(&conn));
                        if let Some((_, transfer)) = replaced {
                            transfer.checked(true, false);
                        }
                        None
                    }
                }
            }
            // The rest of a transfer that was given up: the refusal says why already.
            Err(TransferError::Unexpected) if self.refusals.contains_key(apex) => None,
            Err(reason) => {
                self.refused(&peer, &reason, now);
                None
            }
        }
    }

    /// A check has ended: publishes a good zone, and begins the next check, if one waits.
    pub fn handle_checked(&mut self, checked: Checked, now: Instant) -> Vec<Reply> {
        let Checked {
            conn,
            apex,
            offer,
            was_delta,
            result,
        } = checked;
        let next = self.checks.end(&apex, &self.zones).map(Reply::Check);
        let mut replies: Vec<Reply> = next.into_iter().collect();

        // The session may have ended meanwhile, for reasons that concern its zone too (revocation).
        let Some((peer, transfer)) = self.receiving.get_mut(&conn) else {
            return replies;
        };
        let peer = peer.clone();
        transfer.checked(result.is_ok(), was_delta);

        match result {
            Ok(zone) => {
                let serial = zone.serial();
                tracing::info!(%peer, zone = %apex, serial, "Zone received");
                let store = self.publish(&apex, zone, (offer.serial, offer.digest));
                replies.extend(store.map(Reply::Store));
            }
            Err(reason) => self.refused(&peer, &reason, now),
        }
        replies
    }

    /// The version of `apex` that is served.
    fn held(&mut self, apex: &ZoneName) -> Option<Version> {
        let zone = self.zones.zone(apex)?;

        // The digest of a large zone takes some 100 ms, so it is made once for each serial.
        let known = self
            .versions
            .get(apex)
            .filter(|(serial, _)| *serial == zone.serial());
        let version = known
            .copied()
            .unwrap_or_else(|| (zone.serial(), zone.digest()));

        self.versions.insert(apex.clone(), version);
        Some(version)
    }

    /// Makes the digests of the copies served, before anything waits for them.
    fn know_versions(&mut self) {
        for zone in self.zones.list() {
            if let (Origin::Replica, Ok(apex)) = (zone.origin, zone.apex.to_string().parse()) {
                self.held(&apex);
            }
        }
    }

    /// Remembers a refusal and logs it, but not more than one a minute and peer: a peer can cause
    /// any number.
    fn refused(&mut self, peer: &GatewayId, reason: &dyn fmt::Display, now: Instant) {
        let apex = self.domain.zone_of(&peer.org);
        self.refusals
            .insert(apex.clone(), format!("{peer}: {reason}"));

        let lately = self
            .reported
            .get(peer)
            .is_some_and(|at| now.duration_since(*at) < PAUSE);
        if !lately {
            self.reported.insert(peer.clone(), now);
            tracing::warn!(%peer, zone = %apex, %reason, "Zone refused");
        }
    }

    /// Serves `zone` at once. Its copy on disk follows, off the loop.
    fn publish(&mut self, apex: &ZoneName, zone: Zone, version: Version) -> Option<Store> {
        let received = SystemTime::now();
        // The owner may have been removed from the members since the check began.
        if let Err(error) = self.zones.publish_replica(zone, received) {
            tracing::debug!(zone = %apex, %error, "Zone not published");
            return None;
        }

        self.versions.insert(apex.clone(), version);
        self.refusals.remove(apex);
        Some(Store {
            zones: self.zones.clone(),
            copies: self.copies.clone(),
            storing: self.storing.clone(),
            apex: apex.clone(),
            received,
        })
    }

    /// When to call [`Replicator::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.receiving
            .values()
            .filter_map(|(_, transfer)| transfer.poll_timeout())
            .min()
    }

    /// Gives up transfers that take too long, fetches zones that had to wait.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Reply> {
        let due: Vec<_> = self
            .receiving
            .iter()
            .filter(|(_, (_, transfer))| transfer.poll_timeout().is_some_and(|at| at <= now))
            .map(|(conn, _)| *conn)
            .collect();

        due.into_iter()
            .flat_map(|conn| self.handle_due(conn, now))
            .collect()
    }

    fn handle_due(&mut self, conn: ConnId, now: Instant) -> Vec<Reply> {
        let mut replies = Vec::new();

        // A later offer may wait for a transfer that fails now: repeat until nothing is due.
        while let Some((peer, _)) = self.receiving.get(&conn) {
            let peer = peer.clone();
            let apex = self.domain.zone_of(&peer.org);
            let held = self.held(&apex);
            let Some((_, transfer)) = self.receiving.get_mut(&conn) else {
                break;
            };

            match transfer.handle_timeout(held, now) {
                Some(Due::Fetch(fetch)) => replies.push(Reply::Message(conn, message(apex, fetch))),
                Some(Due::Failed(reason)) => self.refused(&peer, &reason, now),
                None => break,
            }
        }
        replies
    }
}

fn message(apex: ZoneName, Fetch { serial, have }: Fetch) -> ZoneMessage {
    ZoneMessage::Fetch { apex, serial, have }
}
