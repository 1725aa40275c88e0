//! [`Keys`]: the keys of one session's lanes, derived from its handshake (gateway/PROTOCOL.md,
//! "Keys").

use std::sync::Arc;
use std::time::Instant;

use ringway_config::{GatewayId, ZoneName};
use ringway_core::{Lane, Role};
use ringway_dataplane::{
    self as dataplane, Aead, EXPORTER_LABEL, Incoming, KeyContext, Lanes, Outgoing, Path, Peer,
    Secret, SiteNo,
};

use super::links::KeySource;

/// The identity of this gateway, to which keys are bound.
#[derive(Debug, Clone)]
pub struct LocalGateway {
    /// The consortium's domain.
    pub domain: ZoneName,
    /// Our identity.
    pub id: GatewayId,
}

/// The keys of one session.
pub(super) struct Keys {
    /// One for each of our lanes.
    incoming: Vec<Arc<Incoming>>,
    /// For as many of the peer's lanes as we have.
    outgoing: Option<Lanes>,
}

impl Keys {
    /// Derives the keys that open packets from `peer`, for all our lanes.
    pub(super) fn opening(
        source: &KeySource<'_>,
        local: &LocalGateway,
        peer: &GatewayId,
        lanes: &[Lane],
        site: SiteNo,
        shared: &Arc<Peer>,
    ) -> Keys {
        let sender = opposite(source.role);
        // A packet names the index of its lane, and lanes are matched by position. If one has no
        // secret, those after it are unusable.
        let incoming = directions(lanes)
            .map_while(|direction| {
                let secret = secret(source, sender, local, peer, direction)?;
                Some(Arc::new(Incoming::new(
                    direction.index,
                    direction.aead,
                    &secret,
                    site,
                    shared.clone(),
                )))
            })
            .collect();

        Keys {
            incoming,
            outgoing: None,
        }
    }

    /// Derives the keys that seal packets to `peer`. From then on the data plane answers its
    /// probes.
    pub(super) fn seal(
        &mut self,
        source: &KeySource<'_>,
        local: &LocalGateway,
        peer: &GatewayId,
        lanes: &[Lane],
        shared: &Arc<Peer>,
    ) {
        let path = Path::new(
            source.connection.remote_address(),
            source.connection.local_ip(),
        );
        let sealing = directions(lanes)
            .take(self.incoming.len())
            .map_while(|direction| {
                let secret = secret(source, source.role, local, peer, direction)?;
                Some(Arc::new(Outgoing::new(
                    direction.index,
                    direction.aead,
                    &secret,
                    path,
                    shared.clone(),
                )))
            });

        let Some(sealing) = Lanes::new(sealing) else {
            return;
        };

        // A probe is echoed on the lane on which it arrived.
        for (number, incoming) in self.incoming.iter().enumerate() {
            incoming.pair_with(sealing.lane(number).clone());
        }
        self.outgoing = Some(sealing);
    }

    pub(super) fn incoming(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.incoming.iter()
    }

    pub(super) fn lanes(&self) -> Option<&Lanes> {
        self.outgoing.as_ref()
    }

    pub(super) fn expire(&self, now: Instant) {
        for incoming in &self.incoming {
            incoming.expire_keys(now);
        }
        for outgoing in self.outgoing.iter().flat_map(|lanes| lanes.iter()) {
            outgoing.expire_keys(now);
        }
    }
}

/// One direction of a lane, as its receiver has announced it.
#[derive(Clone, Copy)]
struct Direction {
    lane: u8,
    index: u32,
    aead: Aead,
}

/// The lanes of a `Hello`, in order.
fn directions(lanes: &[Lane]) -> impl Iterator<Item = Direction> {
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

/// The secret of one direction, from the handshake's exporter (RFC 8446, section 7.5).
fn secret(
    source: &KeySource<'_>,
    sender: Role,
    local: &LocalGateway,
    peer: &GatewayId,
    direction: Direction,
) -> Option<Secret> {
    let (dialler, dialled) = match source.role {
        Role::Dialler => (&local.id, peer),
        Role::Accepter => (peer, &local.id),
    };

    // Binds the secret to the direction, the lane and both identities, so that a packet of one
    // never opens as one of another. Both ends must encode the same bytes, hence dialler and
    // dialled instead of ours and theirs.
    let context = KeyContext {
        sender: match sender {
            Role::Dialler => dataplane::Role::Dialler,
            Role::Accepter => dataplane::Role::Accepter,
        },
        lane: direction.lane,
        aead: direction.aead,
        index: direction.index,
        dialler: &dialler.spiffe(&local.domain),
        dialled: &dialled.spiffe(&local.domain),
    };

    let mut secret = [0; 48];
    source
        .connection
        .export_keying_material(&mut secret, EXPORTER_LABEL, &context.encode())
        .ok()?;
    Some(Secret::new(secret))
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Dialler => Role::Accepter,
        Role::Accepter => Role::Dialler,
    }
}
