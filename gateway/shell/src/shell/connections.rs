//! Connections: their peers are admitted or refused, what comes on them is handed to the mesh, and
//! they are replaced or moved when their path changes.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ringway_core::{
    ConnId, Connected, ConnectionError, DialError, ExternalText, Incoming, SessionIndex,
};

use super::Shell;
use crate::effect::Effect;
use crate::input::{Activity, Handshake, Verified};
use crate::packet_effect::PacketEffect;
use crate::session::Session;

impl Shell {
    /// Registers a connection, if its peer has this gateway's trust.
    pub(super) fn connected(&mut self, conn: ConnId, handshake: Handshake, now: Instant) {
        // A handshake leaves buffers and certificates behind, whatever its verdict.
        self.heap.note_freed(now);

        match &handshake.verdict {
            Ok(verified) => self.admit(conn, &handshake, verified, now),
            Err(reason) => {
                tracing::warn!(remote = %handshake.remote, %reason, "Peer refused");
                self.effects.push_back(Effect::RefuseLink { conn });
                self.fail_dial(&handshake, reason.clone(), now);
            }
        }
    }

    fn admit(&mut self, conn: ConnId, handshake: &Handshake, verified: &Verified, now: Instant) {
        let peer = verified.peer.clone();
        // The certificate changed while this handshake was under way, and the mesh renews only the
        // sessions that it knows.
        let is_outdated = handshake.certificate != self.current.certificate;
        let session = Session::new(
            peer.clone(),
            verified.expires,
            handshake,
            is_outdated,
            &self.current.links,
            now,
        );

        // Before the mesh knows of it: the mesh's actions look the session up.
        self.sessions.insert(conn, session);
        self.effects.push_back(Effect::StartLink {
            conn,
            peer: peer.clone(),
        });
        self.mesh.handle_connected(
            conn,
            Connected {
                peer,
                role: handshake.role,
                dial: handshake.dial,
                expires: self.wall.instant(verified.expires),
                rtt: handshake.rtt,
            },
            now,
        );
    }

    /// The dial that led to a refused peer, if it was ours, has failed.
    fn fail_dial(&mut self, handshake: &Handshake, reason: ExternalText, now: Instant) {
        let error = DialError::PeerRefused {
            endpoint: handshake.remote.into(),
            reason,
        };

        if let Some(dial) = handshake.dial {
            self.mesh.handle_dial_failed(dial, error, now);
        }
    }

    pub(super) fn message(&mut self, conn: ConnId, incoming: Incoming, now: Instant) {
        match incoming {
            Incoming::Message(message) => self.mesh.handle_message(conn, message, now),
            Incoming::Malformed { kind, error } => {
                self.mesh.handle_malformed(conn, kind, error, now);
            }
        }
    }

    pub(super) fn disconnected(&mut self, conn: ConnId, error: ConnectionError, now: Instant) {
        self.effects.push_back(Effect::ForgetLink { conn });

        self.drop_session(conn, now);
        self.mesh.handle_disconnected(conn, error, now);
    }

    /// Replaces sessions whose control stream is about to end, before it does.
    pub(super) fn replace_silent(&mut self, activity: &[Activity], now: Instant) {
        for activity in activity {
            let silent = self
                .sessions
                .get_mut(activity.conn)
                .is_some_and(|session| session.is_silent(activity, &self.current.links, now));

            if silent {
                self.mesh.handle_silent(activity.conn, now);
            }
        }
    }

    pub(super) fn challenge(&mut self, index: SessionIndex, from: SocketAddr, random: u64) {
        let challenge = self
            .sessions
            .by_index(index)
            .and_then(|(conn, session)| Some((conn, session.challenge(from, random)?)));

        if let Some((conn, token)) = challenge {
            self.ask_data_plane(PacketEffect::Challenge {
                conn,
                token,
                to: from,
            });
        }
    }

    pub(super) fn challenge_answered(
        &mut self,
        index: SessionIndex,
        token: u64,
        from: SocketAddr,
        to: Option<IpAddr>,
        now: Instant,
    ) {
        let Some((conn, session)) = self.sessions.by_index(index) else {
            return;
        };
        // Tokens belong to addresses. An echo from elsewhere shows only that somebody forwarded it.
        if !session.has_moved(from, token) {
            return;
        }

        tracing::info!(peer = %session.peer, remote = %from, "Peer has moved");
        self.ask_data_plane(PacketEffect::MovePath {
            conn,
            remote: from,
            local: to,
        });
        // The packets take another path, whose MTU has to be found.
        self.mesh.handle_moved(index, now);
        // The peer may be at an address of the other family, whose outer header has another length.
        self.plan_routes(now);
    }
}
