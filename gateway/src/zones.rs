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
mod transfers;
mod union;
mod verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ringway_config::{GatewayId, OrgId, ZoneName};
use ringway_core::{ConnId, FragmentMessage, ZoneMessage};
use ringway_dns::transfer::{Chunk, Offer};
use ringway_dns::{FragmentStore, Moment, Zones};

use crate::attention::Attention;
use crate::names::ZoneSerials;
use crate::quic::link::Load;
use check::Checks;
pub use check::{Check, Checked};
use hold::Contacts;
use legacy::Legacy;
pub use merge::{Merge, Merged};
use organization::Organization;
use own::{Own, Replaced};
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
        match self.own.replace(prepared) {
            Replaced::Nothing => return None,
            Replaced::Services => {}
            Replaced::Version => {
                // These verdicts were about the previous version.
                for peer in std::mem::take(&mut self.answers).into_keys() {
                    self.attention.clear(&refused_by(&peer));
                }
            }
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
                services: self.own.services,
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
            FragmentMessage::Offer {
                digest,
                size,
                services,
            } => {
                let offer = Offer {
                    // Fragments have no serials of their own.
                    serial: 0,
                    digest,
                    size: size.into(),
                };
                self.handle_offer(sender, offer, services, now)
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
                self.handle_offer(sender, offer, None, now)
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
}
