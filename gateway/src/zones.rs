//! Replicates names over the control streams. An organization's zone is the union of fragments, one
//! from each of its gateways. This gateway offers its own fragment to every peer, and accepts each
//! fragment from its owner only. `ringway-dns` encodes, checks, merges and stores fragments; this
//! module connects that to sessions. It starts no task: a [`Reply`] says what to do.
//!
//! ```text
//!   owner                                 replica
//!     ├─ FragmentOffer digest, size ──────►│  another version than ours? within the caps?
//!     │◄── FragmentFetch, what we have ────┤
//!     ├─ FragmentData … last ─────────────►│  Check, off the loop: digest, names inside the apex
//!     │  (what changed since, or all)      │  ─► Store, and Merge, off the loop ─► publish
//!     │◄── FragmentVerdict ────────────────┤
//! ```
//! The owner decides: what it offers on its newest session replaces what we have. A refused
//! fragment changes nothing; `status` shows the reason, here and at the owner, until a valid one
//! arrives. Gateways of versions without fragments offer and receive whole zones (`ZoneOffer` and
//! so on): theirs count as their fragments, and they receive our union.

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
use hold::Contacts;
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

/// Something that the caller must do.
#[derive(Debug)]
pub enum Reply {
    /// Send one message.
    Message(ConnId, ZoneMessage),
    /// Send our fragment, or what changed in it, in chunks, as fast as the peer reads them.
    Stream(ConnId, Load),
    /// Run this off the loop and pass the result to [`Replicator::handle_checked`].
    Check(Check),
    /// Run this off the loop and pass the result to [`Replicator::handle_merged`].
    Merge(Box<Merge>),
    /// Run this off the loop; retry after an error.
    Store(Store),
    /// Offer our fragment on every session in use.
    OfferToAll,
}

/// The replication of one gateway.
pub struct Replicator {
    zones: Arc<Zones>,
    copies: Arc<FragmentStore>,
    serials: ZoneSerials,
    attention: Attention,
    store: Store,
    me: GatewayId,
    domain: ZoneName,
    own: Own,
    /// Our union as a whole zone; `None` unless a peer without fragments needs it.
    legacy: Option<Legacy>,
    needs_legacy: bool,
    peers: BTreeMap<ConnId, Peer>,
    checks: Checks,
    orgs: BTreeMap<OrgId, Organization>,
    /// The last contact with each owner.
    contacts: Contacts,
    /// Why the last fragment of each gateway was refused.
    refusals: BTreeMap<GatewayId, String>,
    /// The verdicts of other gateways about our fragment.
    answers: BTreeMap<GatewayId, Verdict>,
    /// When a refused fragment of each peer was last logged.
    reported: BTreeMap<GatewayId, Instant>,
}

impl Replicator {
    /// Handles a change of our fragment. If it differs from the offered version, run the result off
    /// the loop and pass its result to [`Replicator::handle_prepared`].
    pub fn prepare_own(&mut self) -> Option<Preparation> {
        self.own.prepare()
    }

    /// Offers a prepared version of our fragment.
    pub fn handle_prepared(&mut self, prepared: Prepared) -> Option<Reply> {
        if !self.own.replace(prepared) {
            return None;
        }

        // These verdicts were about the previous version.
        for peer in std::mem::take(&mut self.answers).into_keys() {
            self.attention.clear(&refused_by(&peer));
        }
        Some(Reply::OfferToAll)
    }

    /// The offer for a peer. `None` if there is nothing to offer yet.
    pub fn offer(&mut self, knows_fragments: bool) -> (Option<ZoneMessage>, Option<Reply>) {
        if knows_fragments {
            let offer = FragmentMessage::Offer {
                digest: self.own.offer.digest,
                // Fits: a fragment is far smaller than 4 GiB (`replica::MAX_SIZE`).
                size: self.own.offer.size as u32,
            };
            return (Some(ZoneMessage::Fragment(offer)), None);
        }

        // The whole zone is made when a peer first needs it, and after each change from then on.
        let needed_before = std::mem::replace(&mut self.needs_legacy, true);
        let merge = if needed_before {
            None
        } else {
            self.changed(&self.me.org.clone())
        };
        // An incomplete zone must not replace a complete one that the peer may have.
        let is_complete = self
            .orgs
            .get(&self.me.org)
            .is_some_and(|org| org.is_complete);
        let offer = self.legacy.as_ref().filter(|_| is_complete);
        (offer.map(Legacy::message), merge)
    }

    /// Forgets the transfers of an ended session.
    pub fn forget(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(&conn) else {
            return;
        };
        let id = peer.sender.id;

        self.contacts.on_disconnected(&id, Moment::now());
        if !self.has_session_with(&id) {
            // The next session repeats the verdict.
            self.answers.remove(&id);
            self.attention.clear(&refused_by(&id));
        }
    }

    /// Handles a message about names.
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
            // A fetch of an earlier version: the new one has already been offered.
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

    /// Handles a message of a peer without fragments: its zone counts as its fragment.
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
                // We never ask for a difference in this form, so make sure that none is applied.
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
        // A reload may be about to end this session.
        if !org.admits(&id.name, &sender.keys) || self.has_newer_offer(&sender) {
            return Vec::new();
        }

        let held = org.version(&id.name);
        let apex = org.terms.apex.clone();
        let knows_fragments = sender.knows_fragments();
        self.drop_older_transfers(&sender);
        let keys = sender.keys.clone();
        if !self.has_session_with(&id) {
            self.contacts.on_connected();
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
                // The offered version is the one we have, so an earlier refusal no longer applies.
                self.accepted(&id);
                self.vouch(&id, keys)
                    .into_iter()
                    .chain(self.accepted_message(conn))
                    .collect()
            }
            Decision::Ignore => Vec::new(),
            Decision::Refuse(reason) => self.refuse(conn, &offer, &reason, now),
        }
    }

    /// True if the owner has offered something on a newer session than this one.
    fn has_newer_offer(&self, sender: &Sender) -> bool {
        self.peers.values().any(|peer| {
            peer.sender.id == sender.id && peer.sender.session.rank > sender.session.rank
        })
    }

    /// Forgets the transfers on older sessions of the same gateway.
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
        // The rest of a transfer that was abandoned: another version is expected now, or none.
        let Some(offer) = peer.transfer.receives().filter(|offer| is_awaited(*offer)) else {
            return Vec::new();
        };

        match peer.transfer.chunk(from, chunk, now) {
            Ok(Progress::More) => Vec::new(),
            Ok(Progress::Whole(parcel)) => match self.checks.begin(conn, parcel) {
                Begun::Now(parcel) => vec![self.check(parcel)],
                Begun::Waits { instead_of } => {
                    // The replaced parcel is fetched again later.
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

    /// Handles a finished check: takes a valid fragment, and starts the next waiting check.
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

        // The session may have ended meanwhile, for a reason that affects its names too (such as a
        // revocation), or a newer session may have made an offer.
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

    /// Puts `zone` in force as the fragment of the peer on `conn`.
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

    /// The owner offers the version we have, so the keys of its current chain vouch for it.
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

    /// Starts a merge after the fragments of `org` have changed.
    fn changed(&mut self, org: &OrgId) -> Option<Reply> {
        let legacy = self.needs_legacy && *org == self.me.org;
        let merge = self.orgs.get_mut(org)?.changed(&self.serials, legacy)?;
        Some(Reply::Merge(Box::new(merge)))
    }

    /// Handles a finished merge: publishes the zone.
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
        // Fails only if the organization was removed meanwhile.
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
            replies.extend(self.accepted_message(conn));
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

    /// Abandons transfers that take too long, and fetches fragments that had to wait.
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

        // When a transfer fails, a later offer that waited for it becomes due: repeat.
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
