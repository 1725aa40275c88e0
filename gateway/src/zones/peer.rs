//! [`Peer`]: a session with another gateway, as far as names are concerned.

use ringway_config::{Digest, GatewayId};
use ringway_core::message::FRAGMENTS;
use ringway_core::{ConnId, FragmentMessage, PeerSession, ZoneMessage};
use ringway_dns::transfer::Transfer;

/// The sender of a message.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The connection.
    pub conn: ConnId,
    /// The gateway.
    pub id: GatewayId,
    /// Its session.
    pub session: PeerSession,
    /// The keys of its certificate chain.
    pub keys: Vec<Digest>,
}

impl Sender {
    pub(super) fn knows_fragments(&self) -> bool {
        self.session.features & FRAGMENTS != 0
    }
}

/// A session on which the peer has offered something.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) transfer: Transfer,
    /// What the peer was told about its fragment last.
    told: Option<Verdict>,
}

/// What we think of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) digest: Digest,
    pub(super) taken: bool,
    pub(super) text: Option<String>,
}

impl Peer {
    pub(super) fn new(sender: Sender, transfer: Transfer) -> Peer {
        Peer {
            sender,
            transfer,
            told: None,
        }
    }

    /// The message that tells the peer `verdict`, unless it knows.
    pub(super) fn tell(&mut self, verdict: Verdict) -> Option<ZoneMessage> {
        if !self.sender.knows_fragments() || self.told.as_ref() == Some(&verdict) {
            return None;
        }

        let message = FragmentMessage::Verdict {
            digest: verdict.digest,
            taken: verdict.taken,
            text: verdict.text.clone(),
        };
        self.told = Some(verdict);
        Some(ZoneMessage::Fragment(message))
    }
}
