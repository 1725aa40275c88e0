//! Fragments from other gateways: offered, fetched in chunks, checked off the loop, put in force.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ringway_config::{Digest, GatewayId, ZoneName};
use ringway_core::{ConnId, FragmentMessage, ServicesOrigin, ZoneMessage};
use ringway_dns::Zone;
use ringway_dns::transfer::{Chunk, Due, Fetch, Offer, Progress, Transfer, Verdict as Decision};

use super::check::{Begun, Check, Checked};
use super::organization::Held;
use super::peer::{Peer, Sender};
use super::{Replicator, Reply};

impl Replicator {
    pub(super) fn handle_offer(
        &mut self,
        sender: Sender,
        offer: Offer,
        services: Option<ServicesOrigin>,
        now: Instant,
    ) -> Vec<Reply> {
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
        peer.services = services;

        match peer.transfer.offer(offer, held, now) {
            Decision::Want(fetch) => {
                vec![Reply::Message(conn, message(&apex, fetch, knows_fragments))]
            }
            Decision::Later => Vec::new(),
            Decision::Ignore if held.is_some_and(|(_, digest)| digest == offer.digest) => {
                // The offered version is the one we have, so an earlier refusal no longer applies.
                self.accepted(&id);
                self.vouch(&id, keys, services)
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

    pub(super) fn handle_data(
        &mut self,
        conn: ConnId,
        is_awaited: impl Fn(Offer) -> bool,
        from: Option<Digest>,
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
        let services = peer.services;
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
            services,
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
    fn vouch(
        &mut self,
        id: &GatewayId,
        keys: Vec<Digest>,
        services: Option<ServicesOrigin>,
    ) -> Option<Reply> {
        let held = self.orgs.get_mut(&id.org)?.held.get_mut(&id.name)?;
        held.services = services;
        if held.keys == keys {
            return None;
        }

        held.keys = keys;
        self.store(id)
    }

    pub(super) fn store(&mut self, id: &GatewayId) -> Option<Reply> {
        let held = self.orgs.get(&id.org)?.held.get(&id.name)?;

        self.store.put(id.clone(), held);
        Some(Reply::Store(self.store.clone()))
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
