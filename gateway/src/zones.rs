//! Replicates zones over the control streams: offers the own zone, answers fetches of it, takes each
//! organization's zone from that organization's gateways alone. How zones are encoded, checked and
//! stored is [`ringway_dns`]'s; this module connects it to sessions.
//!
//! ```text
//!   owner                         replica
//!     ├─ ZoneOffer serial, digest ──►│  newer? within the caps?
//!     │◄── ZoneFetch serial ─────────┤
//!     ├─ ZoneData … last ───────────►│  digest right, names inside the apex ─► publish, then store
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{Digest, GatewayId, ZoneName};
use ringway_core::{ConnId, Message};
use ringway_dns::transfer::{self, Due, Offer, Progress, Transfer, Verdict};
use ringway_dns::{ReplicaStore, Zone, Zones};

use crate::names::Names;
use crate::tunnel::link::Load;

/// What to write to a peer's control stream.
#[derive(Debug)]
pub enum Reply {
    /// One message.
    Message(ConnId, Message),
    /// The own zone, in chunks, as fast as the peer takes them.
    Stream(ConnId, Load),
}

/// The own zone as it is offered.
struct Own {
    apex: ZoneName,
    offer: Offer,
    chunks: Load,
}

/// All replication of one gateway.
pub struct Replicator {
    zones: Arc<Zones>,
    copies: Arc<ReplicaStore>,
    domain: ZoneName,
    own: Own,
    receiving: BTreeMap<ConnId, (GatewayId, Transfer)>,
    /// When a zone's owner last had a session with us.
    heard: BTreeMap<ZoneName, SystemTime>,
    /// When a peer's zone was last reported as refused.
    reported: BTreeMap<GatewayId, Instant>,
}

/// How long the refusals of one peer's zones are not reported again.
const PAUSE: Duration = Duration::from_secs(60);

impl Replicator {
    /// Offers the own zone of `apex` as `names` serves it, and takes the others'.
    pub fn new(names: &Names, domain: ZoneName, apex: &ZoneName) -> Option<Replicator> {
        Some(Replicator {
            zones: names.zones.clone(),
            copies: names.copies.clone(),
            domain,
            own: Own::new(apex.clone(), &*names.zones.zone(apex)?),
            receiving: BTreeMap::new(),
            heard: BTreeMap::new(),
            reported: BTreeMap::new(),
        })
    }

    /// Reads the own zone again. True if it has changed: it is to be offered to every session.
    pub fn renew_own(&mut self) -> bool {
        let Some(zone) = self.zones.zone(&self.own.apex) else { return false };
        let own = Own::new(self.own.apex.clone(), &zone);
        let changed = own.offer != self.own.offer;
        self.own = own;
        changed
    }

    /// When the owner of `apex` was last heard: `now` while it has a session with us.
    pub fn last_heard(&self, apex: &ZoneName, now: SystemTime) -> Option<SystemTime> {
        let is_owner = |(peer, _): &(GatewayId, Transfer)| self.domain.zone_of(&peer.org) == *apex;
        if self.receiving.values().any(is_owner) {
            return Some(now);
        }
        self.heard.get(apex).copied()
    }

    /// The offer of the own zone.
    pub fn offer(&self) -> Message {
        let Offer { serial, digest, size } = self.own.offer;
        // A zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
        Message::ZoneOffer { apex: self.own.apex.clone(), serial, digest, size: size as u32 }
    }

    /// A session has ended: what it was sending is forgotten.
    pub fn forget(&mut self, conn: ConnId) {
        if let Some((peer, _)) = self.receiving.remove(&conn) {
            self.heard.insert(self.domain.zone_of(&peer.org), SystemTime::now());
        }
    }

    /// A zone message came from `peer`.
    pub fn handle(
        &mut self,
        conn: ConnId,
        peer: &GatewayId,
        message: Message,
        now: Instant,
    ) -> Option<Reply> {
        match message {
            Message::ZoneOffer { apex, serial, digest, size } => {
                self.handle_offer(conn, peer, apex, Offer { serial, digest, size: size.into() }, now)
            }
            Message::ZoneFetch { apex, serial }
                if apex == self.own.apex && serial == self.own.offer.serial =>
            {
                Some(Reply::Stream(conn, self.own.chunks.clone()))
            }
            // A fetch of a serial that has passed: the new one is on offer already.
            Message::ZoneFetch { .. } => None,
            Message::ZoneData { apex, offset, last, bytes, .. } => {
                self.handle_data(conn, &apex, (offset.into(), last, &bytes), now)
            }
            _ => None,
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
        // An organization's zone is taken from its own gateways, and nobody else's.
        if apex != self.domain.zone_of(&peer.org) {
            self.refused(peer, &apex, &"not the peer's zone", now);
            return None;
        }
        if apex == self.own.apex {
            return None;
        }
        // Only for the first offer of a session: the digest of a large zone takes its time.
        let held = || self.zones.zone(&apex).map(|zone| (zone.serial(), zone.digest()));
        let begin = || (peer.clone(), Transfer::new(apex.clone(), held()));
        let (_, transfer) = self.receiving.entry(conn).or_insert_with(begin);
        match transfer.offer(offer, now) {
            Verdict::Want => Some(Reply::Message(conn, Message::ZoneFetch { apex, serial: offer.serial })),
            Verdict::Later | Verdict::Ignore => None,
            Verdict::Refuse(reason) => {
                self.refused(peer, &apex, &reason, now);
                None
            }
        }
    }

    fn handle_data(
        &mut self,
        conn: ConnId,
        apex: &ZoneName,
        (offset, last, bytes): (u64, bool, &[u8]),
        now: Instant,
    ) -> Option<Reply> {
        let (peer, transfer) = self.receiving.get_mut(&conn)?;
        let peer = peer.clone();
        if *apex != self.domain.zone_of(&peer.org) {
            self.refused(&peer, apex, &"not the peer's zone", now);
            return None;
        }
        match transfer.chunk(offset, last, bytes, now) {
            Ok(Progress::More) => None,
            Ok(Progress::Complete(zone)) => {
                tracing::info!(%peer, zone = %apex, serial = zone.serial(), "Zone received");
                self.publish(apex, *zone);
                None
            }
            Err(reason) => {
                self.refused(&peer, apex, &reason, now);
                None
            }
        }
    }

    /// Reports a refusal, but no more than one a minute and peer: a peer can cause any number of them.
    fn refused(&mut self, peer: &GatewayId, apex: &ZoneName, reason: &dyn fmt::Display, now: Instant) {
        let lately = self.reported.get(peer).is_some_and(|at| now.duration_since(*at) < PAUSE);
        if !lately {
            self.reported.insert(peer.clone(), now);
            tracing::warn!(%peer, zone = %apex, %reason, "Zone refused");
        }
    }

    /// Visible at once; the copy on disk follows, off the loop that calls this.
    fn publish(&self, apex: &ZoneName, zone: Zone) {
        let received = SystemTime::now();
        if let Err(error) = self.zones.publish_replica(zone, received) {
            return tracing::debug!(zone = %apex, %error, "Zone not published");
        }
        let (zones, copies, apex) = (self.zones.clone(), self.copies.clone(), apex.clone());
        tokio::task::spawn_blocking(move || {
            let Some(zone) = zones.zone(&apex) else { return };
            if let Err(error) = copies.save(&apex, &zone, received) {
                tracing::warn!(zone = %apex, %error, "Zone not stored: it is lost at a restart");
            }
        });
    }

    /// When to call [`Replicator::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.receiving.values().filter_map(|(_, transfer)| transfer.poll_timeout()).min()
    }

    /// Gives up what takes too long, fetches what had to wait.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Reply> {
        let (mut replies, mut failures) = (Vec::new(), Vec::new());
        for (conn, (peer, transfer)) in &mut self.receiving {
            let apex = self.domain.zone_of(&peer.org);
            while let Some(due) = transfer.handle_timeout(now) {
                match due {
                    Due::Fetch(serial) => {
                        let apex = apex.clone();
                        replies.push(Reply::Message(*conn, Message::ZoneFetch { apex, serial }));
                    }
                    Due::Failed(reason) => failures.push((peer.clone(), apex.clone(), reason)),
                }
            }
        }
        for (peer, apex, reason) in failures {
            self.refused(&peer, &apex, &reason, now);
        }
        replies
    }
}

impl Own {
    fn new(apex: ZoneName, zone: &Zone) -> Own {
        let bytes = zone.encode();
        let offer = Offer { serial: zone.serial(), digest: Digest::of(&bytes), size: bytes.len() as u64 };
        let message = |(offset, last, bytes): (u64, bool, &[u8])| Message::ZoneData {
            apex: apex.clone(),
            serial: offer.serial,
            offset: offset as u32,
            last,
            bytes: bytes.to_vec(),
        };
        let chunks = transfer::chunks(&bytes).map(message);
        Own { offer, chunks: chunks.map(|message| message.encode()).collect(), apex }
    }
}

#[cfg(test)]
mod tests {
    use ringway_core::{Decoder, Incoming};

    use super::*;

    const CONN: ConnId = ConnId(1);

    fn name(text: &str) -> ZoneName {
        text.parse().unwrap()
    }

    fn zone(apex: &str, serial: u32) -> Zone {
        let text =
            format!("{apex}. 5 SOA ns.{apex}. h.{apex}. {serial} 60 10 600 5\npeer0.{apex}. 5 A 10.1.0.9\n");
        Zone::from_text(&text, None).unwrap()
    }

    /// The zones of org0 and org1 are expected, org0's is the own one.
    fn replicator(dir: &std::path::Path) -> Replicator {
        let zones = Arc::new(Zones::new());
        zones.set_expected(
            &name("org0.example.test"),
            &[name("org1.example.test"), name("org2.example.test")],
        );
        let own = zone("org0.example.test", 7);
        let own = Own::new(name("org0.example.test"), &own);
        let copies = Arc::new(ReplicaStore::open(dir).unwrap());
        let (receiving, heard, reported) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Replicator { zones, copies, domain: name("example.test"), own, receiving, heard, reported }
    }

    /// What `peer` has to do so that `replica` might take `zone` from it. True if it was fetched.
    fn push(replica: &mut Replicator, peer: &str, apex: &str, zone: &Zone) -> bool {
        let (peer, now) = (peer.parse().unwrap(), Instant::now());
        let sender = Own::new(name(apex), zone);
        let Offer { serial, digest, size } = sender.offer;
        let offer = Message::ZoneOffer { apex: name(apex), serial, digest, size: size as u32 };
        let fetched = replica.handle(CONN, &peer, offer, now).is_some();
        let mut decoder = Decoder::default();
        for chunk in sender.chunks.iter() {
            decoder.push(chunk);
            while let Some(Incoming::Message(chunk)) = decoder.next().unwrap() {
                replica.handle(CONN, &peer, chunk, now);
            }
        }
        fetched
    }

    #[tokio::test]
    async fn a_zone_is_taken_from_its_owner_and_from_nobody_else() {
        let dir = std::env::temp_dir().join(format!("ringway-zones-{}", std::process::id()));
        let mut replica = replicator(&dir);
        let theirs = zone("org1.example.test", 3);
        assert!(!push(&mut replica, "gw.org2", "org1.example.test", &theirs), "not the owner");
        assert!(!push(&mut replica, "gw.org1", "org0.example.test", &zone("org0.example.test", 9)), "ours");
        push(&mut replica, "gw.org1", "org1.example.test", &zone("org2.example.test", 4));
        assert!(
            replica.zones.zone(&name("org2.example.test")).is_none(),
            "another's zone in its own's place"
        );
        assert!(replica.zones.zone(&name("org1.example.test")).is_none());
        replica.forget(CONN);
        assert!(push(&mut replica, "gw.org1", "org1.example.test", &theirs));
        assert_eq!(replica.zones.zone(&name("org1.example.test")).unwrap().serial(), 3);
        assert!(replica.zones.zone(&name("org0.example.test")).is_none(), "nobody else's word");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_the_serial_on_offer_is_handed_out() {
        let dir = std::env::temp_dir().join(format!("ringway-zones-out-{}", std::process::id()));
        let mut replica = replicator(&dir);
        let mut fetch = |apex: &str, serial| {
            let message = Message::ZoneFetch { apex: name(apex), serial };
            replica.handle(CONN, &"gw.org1".parse().unwrap(), message, Instant::now())
        };
        assert!(
            matches!(fetch("org0.example.test", 7), Some(Reply::Stream(CONN, chunks)) if !chunks.is_empty())
        );
        assert!(fetch("org0.example.test", 6).is_none());
        assert!(fetch("org1.example.test", 7).is_none());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
