//! [`Peer`]: the state of names in a session with another gateway.

use ringway_config::{Digest, GatewayId};
use ringway_core::message::FRAGMENTS;
use ringway_core::{ConnId, FragmentMessage, PeerSession, ServicesOrigin, ZoneMessage};
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

/// A session on which the peer has made an offer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) transfer: Transfer,
    /// Where the names of Kubernetes Services in the last offered version come from.
    pub(super) services: Option<ServicesOrigin>,
    /// The last verdict that the peer received about its fragment.
    last_verdict: Option<Verdict>,
}

/// Our verdict about a version.
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
            services: None,
            last_verdict: None,
        }
    }

    /// The message with `verdict`, unless the peer has already received it.
    pub(super) fn verdict_message(&mut self, verdict: Verdict) -> Option<ZoneMessage> {
        if !self.sender.knows_fragments() || self.last_verdict.as_ref() == Some(&verdict) {
            return None;
        }

        let message = FragmentMessage::Verdict {
            digest: verdict.digest,
            taken: verdict.taken,
            text: verdict.text.clone(),
        };
        self.last_verdict = Some(verdict);
        Some(ZoneMessage::Fragment(message))
    }
}
