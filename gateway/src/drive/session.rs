//! [`Session`]: one connection with its control stream, and the keys of its lanes, derived from its handshake.

use std::sync::Arc;

use quinn::Connection;
use ringway_config::{GatewayId, ZoneName};
use ringway_core::{Lane, Role};
use ringway_dataplane::{
    self as dataplane, Aead, EXPORTER_LABEL, Incoming, KeyContext, Lanes, Outgoing, Path, Peer,
    Secret, SiteNo,
};
use rustls_pki_types::CertificateDer;

use super::challenges::Challenges;
use super::control::Control;
use crate::quic::link::Outbox;

/// A connection and what was derived from it.
pub(super) struct Session {
    pub(super) peer: GatewayId,
    pub(super) role: Role,
    pub(super) connection: Connection,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) outbox: Outbox,
    /// One for each of our lanes.
    pub(super) incoming: Vec<Arc<Incoming>>,
    /// For as many of the peer's lanes as we have.
    pub(super) outgoing: Option<Lanes>,
    pub(super) challenges: Challenges,
    pub(super) control: Control,
}

/// The consortium's domain and this gateway, of which keys know.
type Here<'a> = (&'a ZoneName, &'a GatewayId);

impl Session {
    /// Derives the keys that open what the peer will send, of all our lanes.
    pub(super) fn open(&mut self, here: Here<'_>, lanes: &[Lane], site: SiteNo, peer: &Arc<Peer>) {
        let sender = opposite(self.role);
        let opening = Direction::all(lanes).map_while(|direction| {
            let secret = self.secret(sender, here, direction)?;
            let Direction { index, aead, .. } = direction;
            Some(Arc::new(Incoming::new(
                index,
                aead,
                &secret,
                site,
                peer.clone(),
            )))
        });
        self.incoming = opening.collect();
    }

    /// Derives the keys that seal for the peer, for as many of its lanes as we have.
    pub(super) fn seal(&mut self, here: Here<'_>, lanes: &[Lane], peer: &Arc<Peer>) {
        let sealing = Direction::all(lanes)
            .take(self.incoming.len())
            .map_while(|direction| {
                let secret = self.secret(self.role, here, direction)?;
                let Direction { index, aead, .. } = direction;
                Some(Arc::new(Outgoing::new(
                    index,
                    aead,
                    &secret,
                    self.path(),
                    peer.clone(),
                )))
            });
        let Some(sealing) = Lanes::new(sealing) else {
            return;
        };
        for (number, incoming) in self.incoming.iter().enumerate() {
            incoming.pair_with(sealing.lane(number).clone());
        }
        self.outgoing = Some(sealing);
    }

    /// The secret of one direction (DESIGN.md 4.2, "Keys"), from the handshake's exporter.
    fn secret(&self, sender: Role, (domain, me): Here<'_>, direction: Direction) -> Option<Secret> {
        let (dialler, dialled) = match self.role {
            Role::Dialler => (me, &self.peer),
            Role::Accepter => (&self.peer, me),
        };
        let context = KeyContext {
            sender: match sender {
                Role::Dialler => dataplane::Role::Dialler,
                Role::Accepter => dataplane::Role::Accepter,
            },
            lane: direction.lane,
            aead: direction.aead,
            index: direction.index,
            dialler: &dialler.spiffe(domain),
            dialled: &dialled.spiffe(domain),
        };
        let mut secret = [0; 48];
        self.connection
            .export_keying_material(&mut secret, EXPORTER_LABEL, &context.encode())
            .ok()?;
        Some(Secret::new(secret))
    }

    /// What it seals with, in all lanes.
    pub(super) fn sealing(&self) -> impl Iterator<Item = &Arc<Outgoing>> {
        self.outgoing.iter().flat_map(|lanes| lanes.iter())
    }

    fn path(&self) -> Path {
        Path::new(self.connection.remote_address(), self.connection.local_ip())
    }
}

/// One lane of a direction, as its receiver chose it.
#[derive(Clone, Copy)]
struct Direction {
    lane: u8,
    index: u32,
    aead: Aead,
}

impl Direction {
    /// The lanes of a `Hello`.
    fn all(lanes: &[Lane]) -> impl Iterator<Item = Direction> {
        (0..).zip(lanes).map(|(lane, Lane { index, aead })| {
            let aead = match aead {
                ringway_core::Aead::Aes128Gcm => Aead::Aes128Gcm,
                ringway_core::Aead::Aes256Gcm => Aead::Aes256Gcm,
                ringway_core::Aead::ChaCha20Poly1305 => Aead::ChaCha20Poly1305,
            };
            Direction {
                lane,
                index: index.0,
                aead,
            }
        })
    }
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Dialler => Role::Accepter,
        Role::Accepter => Role::Dialler,
    }
}
