//! Replicates names over the control streams. An organization's zone is made of fragments, one for
//! each of its gateways. This gateway offers its own fragment to every other one, and takes each
//! fragment from its owner alone. How fragments are encoded, checked, united and stored is
//! `ringway-dns`'s; this module connects it to sessions. It starts no task: [`Reply`] says what to
//! do.
//!
//! ```text
//!   owner                                 replica
//!     ├─ FragmentOffer digest, size ──────►│  another version than ours? within the caps?
//!     │◄── FragmentFetch, what we have ────┤
//!     ├─ FragmentData … last ─────────────►│  Check, off the loop: digest, names inside the apex
//!     │  (what changed since, or all)      │  ─► Store, and Merge, off the loop ─► publish
//!     │◄── FragmentVerdict ────────────────┤
//! ```
//! The owner is right: what it offers on its newest session replaces what we have. A fragment that
//! is refused changes nothing; `status` shows the reason, here and at the owner, until a good one
//! comes. Gateways that know no fragments offer and receive whole zones (`ZoneOffer` and so on):
//! theirs count as their fragments, and they are sent our union.

mod check;
mod hold;
mod legacy;
mod merge;
mod organization;
mod own;
mod peer;
mod records;
mod report;
mod store;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ringway_config::{GatewayId, OrgId, ZoneName};
use ringway_core::{ConnId, FragmentMessage, ZoneMessage};
use ringway_dns::transfer::{Chunk, Due, Fetch, Offer, Progress, Transfer, Verdict as Decision};
use ringway_dns::{FragmentStore, Moment, Publication, Zone, Zones};

use crate::attention::Attention;
use crate::names::ZoneSerials;
use crate::quic::link::Load;
use check::{Begun, Checks};
pub use check::{Check, Checked};
use hold::Keeping;
use legacy::Legacy;
pub use merge::{Merge, Merged};
use organization::{Ended, Held, Organization};
use own::Own;
pub use own::{Preparation, Prepared};
pub use peer::Sender;
use peer::{Peer, Verdict};
pub use report::FragmentStatus;
pub use store::{LOSS, Store};
use verdicts::{refused_by, refused_from};

/// One thing to do.
#[derive(Debug)]
pub enum Reply {
    /// Send one message.
    Message(ConnId, ZoneMessage),
    /// Send our fragment, or what changed in it, in chunks, as fast as the peer reads them.
    Stream(ConnId, Load),
    /// Run this off the loop, and give the result to [`Replicator::handle_checked`].
    Check(Check),
    /// Run this off the loop, and give the result to [`Replicator::handle_merged`].
    Merge(Box<Merge>),
    /// Run this off the loop, and again after an error.
    Store(Store),
    /// Offer our names on every session in use.
    OfferToAll,
}

/// All replication of one gateway.
pub struct Replicator {
    zones: Arc<Zones>,
    copies: Arc<FragmentStore>,
    serials: ZoneSerials,
    attention: Attention,
    store: Store,
    me: GatewayId,
    domain: ZoneName,
    own: Own,
    /// Our union as one piece; `None` unless a peer needs it.
    legacy: Option<Legacy>,
    needs_legacy: bool,
    peers: BTreeMap<ConnId, Peer>,
    checks: Checks,
    orgs: BTreeMap<OrgId, Organization>,
    /// When owners last had a session with us.
    keeping: Keeping,
    /// Why the last fragment of a gateway was refused.
    refusals: BTreeMap<GatewayId, String>,
    /// What other gateways think of ours.
    answers: BTreeMap<GatewayId, Verdict>,
    /// When a peer's fragment was last logged as refused.
    reported: BTreeMap<GatewayId, Instant>,
}

impl Replicator {
    /// Our fragment has changed. If it is another version than the one on offer: run this off the
    /// loop, and give the result to [`Replicator::handle_prepared`].
    pub fn prepare_own(&mut self) -> Option<Preparation> {
        self.own.prepare()
    }

    /// A version of our fragment is ready to be sent.
    pub fn handle_prepared(&mut self, prepared: Prepared) -> Option<Reply> {
        if !self.own.replace(prepared) {
            return None;
        }

        // They were about the version before.
        for peer in std::mem::take(&mut self.answers).into_keys() {
            self.attention.clear(&refused_by(&peer));
        }
        Some(Reply::OfferToAll)
    }

    /// The offer of our names for a peer with these features; `None` if there is nothing to offer
    /// it yet.
    pub fn offer(&mut self, knows_fragments: bool) -> (Option<ZoneMessage>, Option<Reply>) {
        if knows_fragments {
            let offer = FragmentMessage::Offer {
                digest: self.own.offer.digest,
                // A fragment is far smaller than 4 GiB (`replica::MAX_SIZE`).
                size: self.own.offer.size as u32,
            };
            return (Some(ZoneMessage::Fragment(offer)), None);
        }

        // Made when it is needed for the first time, and from then on with every change.
        let needed_before = std::mem::replace(&mut self.needs_legacy, true);
        let merge = if needed_before {
            None
        } else {
            self.changed(&self.me.org.clone())
        };
        // A part of the zone would replace the whole one that the peer may have.
        let is_complete = self
            .orgs
            .get(&self.me.org)
            .is_some_and(|org| org.is_complete);
        let offer = self.legacy.as_ref().filter(|_| is_complete);
        (offer.map(Legacy::message), merge)
    }

    /// A session has ended: forgets what it was sending.
    pub fn forget(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(&conn) else {
            return;
        };
        let id = peer.sender.id;

        self.keeping.leave(&id, Moment::now());
        if !self.has_session_with(&id) {
            // It will be told again by the next session.
            self.answers.remove(&id);
            self.attention.clear(&refused_by(&id));
        }
    }

    /// A message about names came.
    pub fn handle(&mut self, sender: Sender, message: ZoneMessage, now: Instant) -> Vec<Reply> {
        match message {
            ZoneMessage::Fragment(message) if sender.knows_fragments() => {
                self.handle_fragment(sender, message, now)
            }
            _ if sender.knows_fragments() => Vec::new(),
            message => self.handle_zone(sender, message, now),
        }
    }

    fn handle_fragment(
        &mut self,
        sender: Sender,
        message: FragmentMessage,
        now: Instant,
    ) -> Vec<Reply> {
        match message {
            FragmentMessage::Offer { digest, size } => {
                let offer = Offer {
                    // Fragments have no serials of their own.
                    serial: 0,
                    digest,
                    size: size.into(),
                };
                self.handle_offer(sender, offer, now)
            }
            FragmentMessage::Fetch { digest, have } if digest == self.own.offer.digest => {
                vec![Reply::Stream(sender.conn, self.own.since(have))]
            }
            // A fetch of an earlier version: the new one is on offer already.
            FragmentMessage::Fetch { .. } => Vec::new(),
            FragmentMessage::Data {
                digest,
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
                let is_awaited = |awaited: Offer| awaited.digest == digest;
                self.handle_data(sender.conn, is_awaited, from, chunk, now)
            }
            FragmentMessage::Verdict {
                digest,
                taken,
                text,
            } => {
                let verdict = Verdict {
                    digest,
                    taken,
                    text,
                };
                self.handle_verdict(sender.id, verdict);
                Vec::new()
            }
        }
    }

    /// From a gateway that knows no fragments: its zone is its fragment.
    fn handle_zone(&mut self, sender: Sender, message: ZoneMessage, now: Instant) -> Vec<Reply> {
        let theirs = self.domain.zone_of(&sender.id.org);
        match message {
            ZoneMessage::Offer { apex, .. } | ZoneMessage::Data { apex, .. } if apex != theirs => {
                let reason = format!("it offers {apex}, which is not its own");
                self.refused(&sender.id, &reason, now);
                Vec::new()
            }
            ZoneMessage::Offer {
                serial,
                digest,
                size,
                ..
            } => {
                let offer = Offer {
                    serial,
                    digest,
                    size: size.into(),
                };
                self.handle_offer(sender, offer, now)
            }
            ZoneMessage::Fetch { apex, serial, .. } => {
                let ours = self.domain.zone_of(&self.me.org);
                let legacy = self.legacy.as_ref();
                let wanted = legacy.filter(|legacy| apex == ours && legacy.offer.serial == serial);
                wanted
                    .map(|legacy| Reply::Stream(sender.conn, legacy.whole.clone()))
                    .into_iter()
                    .collect()
            }
            ZoneMessage::Data {
                serial,
                from,
                offset,
                last,
                bytes,
                ..
            } => {
                let chunk = Chunk {
                    offset: offset.into(),
                    last,
                    bytes: &bytes,
                };
                // Differences are not asked for, so that none is taken.
                let from = from.map(|_| ringway_config::Digest([0; 32]));
                let is_awaited = |awaited: Offer| awaited.serial == serial;
                self.handle_data(sender.conn, is_awaited, from, chunk, now)
            }
            ZoneMessage::Fragment(_) => Vec::new(),
        }
    }

    fn handle_offer(&mut self, sender: Sender, offer: Offer, now: Instant) -> Vec<Reply> {
        let conn = sender.conn;
        let id = sender.id.clone();
        let Some(org) = self.orgs.get(&id.org) else {
            return Vec::new();
        };
        // The session may be one that a reload is about to end.
        if !org.admits(&id.name, &sender.keys) || self.has_newer_offer(&sender) {
            return Vec::new();
        }

        let held = org.version(&id.name);
        let apex = org.terms.apex.clone();
        let knows_fragments = sender.knows_fragments();
        self.drop_older_transfers(&sender);
        let keys = sender.keys.clone();
        if !self.has_session_with(&id) {
            self.keeping.arrive();
        }
        let peer = self
            .peers
            .entry(conn)
            .or_insert_with(|| Peer::new(sender, Transfer::new(apex.clone())));

        match peer.transfer.offer(offer, held, now) {
            Decision::Want(fetch) => {
                vec![Reply::Message(conn, message(&apex, fetch, knows_fragments))]
            }
            Decision::Later => Vec::new(),
            Decision::Ignore if held.is_some_and(|(_, digest)| digest == offer.digest) => {
                // We have what it offers: what was refused before has been corrected.
                self.accepted(&id);
                self.vouch(&id, keys)
                    .into_iter()
                    .chain(self.tell_taken(conn))
                    .collect()
            }
            Decision::Ignore => Vec::new(),
            Decision::Refuse(reason) => self.refuse(conn, &offer, &reason, now),
        }
    }

    /// The owner has offered something on a session that is newer than this one.
    fn has_newer_offer(&self, sender: &Sender) -> bool {
        self.peers.values().any(|peer| {
            peer.sender.id == sender.id && peer.sender.session.rank > sender.session.rank
        })
    }

    /// What comes on older sessions of the same gateway counts no more.
    fn drop_older_transfers(&mut self, sender: &Sender) {
        for peer in self.peers.values_mut() {
            if peer.sender.id == sender.id && peer.sender.conn != sender.conn {
                peer.transfer = Transfer::new(self.domain.zone_of(&sender.id.org));
            }
        }
    }

    fn handle_data(
        &mut self,
        conn: ConnId,
        is_awaited: impl Fn(Offer) -> bool,
        from: Option<ringway_config::Digest>,
        chunk: Chunk<'_>,
        now: Instant,
    ) -> Vec<Reply> {
        let Some(peer) = self.peers.get_mut(&conn) else {
            return Vec::new();
        };
        // The rest of a transfer that was given up: another version is awaited now, or none.
        let Some(offer) = peer.transfer.receives().filter(|offer| is_awaited(*offer)) else {
            return Vec::new();
        };

        match peer.transfer.chunk(from, chunk, now) {
            Ok(Progress::More) => Vec::new(),
            Ok(Progress::Whole(parcel)) => match self.checks.begin(conn, parcel) {
                Begun::Now(parcel) => vec![self.check(parcel)],
                Begun::Waits { instead_of } => {
                    // It is fetched again later.
                    let replaced = instead_of.and_then(|conn| self.peers.get_mut(&conn));
                    if let Some(peer) = replaced {
                        peer.transfer.postpone();
                    }
                    Vec::new()
                }
            },
            Err(reason) => self.refuse(conn, &offer, &reason, now),
        }
    }

    fn check(&self, (conn, parcel): (ConnId, ringway_dns::Parcel)) -> Reply {
        let held = self.peers.get(&conn).and_then(|peer| {
            let id = &peer.sender.id;
            let held = self.orgs.get(&id.org)?.held.get(&id.name)?;
            Some(held.zone.clone())
        });

        Reply::Check(Check::new((conn, parcel), held))
    }

    /// A check has ended: takes a good fragment, and begins the next check, if one waits.
    pub fn handle_checked(&mut self, checked: Checked, now: Instant) -> Vec<Reply> {
        let Checked {
            conn,
            apex,
            offer,
            was_delta,
            result,
        } = checked;
        let next = self.checks.end(&apex).map(|parcel| self.check(parcel));
        let mut replies: Vec<Reply> = next.into_iter().collect();

        // The session may have ended meanwhile, for reasons that concern its names too
        // (revocation), or a newer one may have offered something.
        let Some(peer) = self.peers.get_mut(&conn) else {
            return replies;
        };
        if !peer.transfer.checked(result.is_ok(), was_delta) {
            return replies;
        }

        match result {
            Ok(zone) => replies.extend(self.take(conn, offer, zone, now)),
            Err(reason) => replies.extend(self.refuse(conn, &offer, &reason, now)),
        }
        replies
    }

    /// Answers from `zone` from now on, as the fragment of the peer on `conn`.
    fn take(&mut self, conn: ConnId, offer: Offer, zone: Zone, now: Instant) -> Vec<Reply> {
        let Some(peer) = self.peers.get(&conn) else {
            return Vec::new();
        };
        let id = peer.sender.id.clone();
        let keys = peer.sender.keys.clone();
        // The record may have changed since the check began.
        let org = self.orgs.get_mut(&id.org);
        let Some(org) = org.filter(|org| org.admits(&id.name, &keys)) else {
            return Vec::new();
        };

        let records = zone.records();
        tracing::info!(peer = %id, zone = %org.terms.apex, records, "Names received");
        let held = Held {
            zone: Arc::new(zone),
            digest: offer.digest,
            size: offer.size,
            received: SystemTime::now(),
            keys,
            is_expired: false,
        };
        org.held.insert(id.name.clone(), held);
        let own = (id.org == self.me.org).then_some(&self.me.name);
        let dropped = org.drop_beyond_total(own);

        self.accepted(&id);
        let mut replies: Vec<Reply> = self.store(&id).into_iter().collect();
        replies.extend(self.refuse_beyond_total(&id.org, &dropped, now));
        replies.extend(self.changed(&id.org));
        replies
    }

    /// The owner offers what we have: the keys of its present chain vouch for it.
    fn vouch(&mut self, id: &GatewayId, keys: Vec<ringway_config::Digest>) -> Option<Reply> {
        let held = self.orgs.get_mut(&id.org)?.held.get_mut(&id.name)?;
        if held.keys == keys {
            return None;
        }

        held.keys = keys;
        self.store(id)
    }

    fn store(&mut self, id: &GatewayId) -> Option<Reply> {
        let held = self.orgs.get(&id.org)?.held.get(&id.name)?;

        self.store.put(id.clone(), held);
        Some(Reply::Store(self.store.clone()))
    }

    /// What `org`'s zone is made of has changed.
    fn changed(&mut self, org: &OrgId) -> Option<Reply> {
        let legacy = self.needs_legacy && *org == self.me.org;
        let merge = self.orgs.get_mut(org)?.changed(&self.serials, legacy)?;
        Some(Reply::Merge(Box::new(merge)))
    }

    /// A merge has ended: publishes the zone.
    pub fn handle_merged(&mut self, merged: Merged, now: Moment) -> Vec<Reply> {
        let legacy = self.needs_legacy && merged.org == self.me.org;
        let Some(org) = self.orgs.get_mut(&merged.org) else {
            return Vec::new();
        };

        match org.merged(merged.generation, &self.serials, legacy) {
            Ended::Current => self.publish(merged, now),
            Ended::Outdated(next) => next
                .map(|merge| Reply::Merge(Box::new(merge)))
                .into_iter()
                .collect(),
        }
    }

    fn publish(&mut self, merged: Merged, now: Moment) -> Vec<Reply> {
        let is_complete = self.is_complete(&merged.org, now);
        let Some(org) = self.orgs.get_mut(&merged.org) else {
            return Vec::new();
        };
        let Some(zone) = merged.zone else {
            self.zones.withdraw(&org.terms.apex);
            return Vec::new();
        };

        org.is_complete = is_complete;
        org.left_out = merged.left_out;
        org.left_out_count = merged.left_out_count;
        let publication = Publication {
            zone,
            expired: merged.expired,
            complete: is_complete,
            stale: merged.is_stale,
            received: org.received(),
        };
        // Fails only for a zone that is not expected: its organization was removed meanwhile.
        if let Err(error) = self.zones.publish_union(&publication) {
            tracing::debug!(zone = %org.terms.apex, %error, "Zone not published");
        }

        let mut replies = Vec::new();
        if let Some(legacy) = merged.legacy {
            let before = self.legacy.replace(legacy).map(|legacy| legacy.offer);
            let changed = before != self.legacy.as_ref().map(|legacy| legacy.offer);
            replies.extend(changed.then_some(Reply::OfferToAll));
        }
        let conns: Vec<ConnId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.sender.id.org == merged.org)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            replies.extend(self.tell_taken(conn));
        }
        replies
    }

    /// When to call [`Replicator::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peers
            .values()
            .filter_map(|peer| peer.transfer.poll_timeout())
            .min()
    }

    /// Gives up transfers that take too long, fetches fragments that had to wait.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Reply> {
        let due: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.transfer.poll_timeout().is_some_and(|at| at <= now))
            .map(|(conn, _)| *conn)
            .collect();

        due.into_iter()
            .flat_map(|conn| self.handle_due(conn, now))
            .collect()
    }

    fn handle_due(&mut self, conn: ConnId, now: Instant) -> Vec<Reply> {
        let mut replies = Vec::new();

        // A later offer may wait for a transfer that fails now: repeat until nothing is due.
        while let Some(peer) = self.peers.get_mut(&conn) {
            let id = &peer.sender.id;
            let apex = self.domain.zone_of(&id.org);
            let held = self.orgs.get(&id.org).and_then(|org| org.version(&id.name));
            let receives = peer.transfer.receives();
            let knows_fragments = peer.sender.knows_fragments();

            match peer.transfer.handle_timeout(held, now) {
                Some(Due::Fetch(fetch)) => {
                    replies.push(Reply::Message(conn, message(&apex, fetch, knows_fragments)));
                }
                Some(Due::Failed(reason)) => {
                    if let Some(offer) = receives {
                        replies.extend(self.refuse(conn, &offer, &reason, now));
                    }
                }
                None => break,
            }
        }
        replies
    }
}

fn message(apex: &ZoneName, fetch: Fetch, knows_fragments: bool) -> ZoneMessage {
    if knows_fragments {
        return ZoneMessage::Fragment(FragmentMessage::Fetch {
            digest: fetch.digest,
            have: fetch.have.map(|(_, digest)| digest),
        });
    }

    ZoneMessage::Fetch {
        apex: apex.clone(),
        serial: fetch.serial,
        have: None,
    }
}
