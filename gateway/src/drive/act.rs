//! What the core wants, carried out in its order: dials, keys, messages, routes.
//!
//! Invariant: keys that open are in the data plane's tables before the `Hello` that names them is
//! written, and gone from them before the connection that they came from is closed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ringway_core::{Action, ByeCode, ConnId, Message};
use ringway_dataplane::{Peer, SiteNo};

use super::{Input, Running, State};
use crate::keeper::wanted;
use crate::zones::Reply;

impl State {
    /// Carries out what the core wants, in its order.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.drive.mesh.poll_action() {
            self.perform(action);
        }
        self.settle();
    }

    /// Brings the data plane's tables up to date, and only then lets go of connections whose keys they held.
    fn settle(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.drive
                .packets
                .publish(&self.fib, &self.membership, &self.sessions);
            self.drive.peers.store(Arc::new(self.peer_addresses()));
        }
        for (outbox, code) in self.closing.drain(..) {
            outbox.close(code);
        }
    }

    /// Where peers may dial from: their sessions' addresses, and those that their records name.
    fn peer_addresses(&self) -> BTreeSet<IpAddr> {
        let endpoints = self
            .membership
            .gateways
            .values()
            .flat_map(|info| &info.endpoints);
        let recorded = endpoints.filter_map(|endpoint| endpoint.host.address());
        self.sessions
            .addresses()
            .into_iter()
            .chain(recorded)
            .collect()
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Dial {
                dial,
                peer,
                endpoint,
            } => {
                tracing::debug!(%peer, remote = %endpoint, "Dialling");
                self.drive.dialler.start(dial, peer, endpoint);
            }
            Action::AbandonDial { dial } => self.drive.dialler.abandon(dial),
            Action::InstallOpening { conn, lanes } => {
                self.install(conn, |state, site, peer| {
                    state.sessions.install_opening(conn, &lanes, site, &peer);
                });
            }
            Action::InstallSealing { conn, lanes } => {
                self.install(conn, |state, _, peer| {
                    state.sessions.install_sealing(conn, &lanes, &peer)
                });
            }
            Action::Send { conn, message } => {
                // What opens is in the tables before the `Hello` that names it goes out.
                self.settle();
                self.sessions.send(conn, &message);
            }
            Action::Close { conn, reason } => {
                if let Some(peer) = self.sessions.peer(conn) {
                    tracing::info!(%peer, %reason, "Session closed");
                }
                self.close(conn, reason.code());
            }
            Action::Retire { conn } => self.close(conn, ByeCode::Replaced),
            Action::Probe {
                conn, probe, size, ..
            } => {
                self.sessions
                    .probe(conn, probe, size, self.drive.packets.socket());
            }
            Action::PathMtu { peer, size } => {
                tracing::debug!(%peer, size, "Path MTU changed");
                self.drive.packets.peer(&peer).set_path_mtu(size);
                self.publish_routes();
            }
            Action::Publish(fib) => {
                self.fib = fib;
                self.stale = true;
                self.publish_routes();
            }
            Action::ZoneMessage {
                peer,
                conn,
                message,
            } => {
                if let Some(reply) =
                    self.drive
                        .replicator
                        .handle(conn, &peer, message, Instant::now())
                {
                    self.reply(reply);
                }
            }
            Action::TunnelUp { peer, conn } => {
                tracing::info!(%peer, "Tunnel up");
                let offer = Message::Zone(self.drive.replicator.offer());
                self.sessions.send(conn, &offer);
            }
            Action::TunnelMoved { peer, conn } => {
                tracing::debug!(%peer, "Tunnel moved to a new session");
                let offer = Message::Zone(self.drive.replicator.offer());
                self.sessions.send(conn, &offer);
            }
            Action::TunnelDown { peer, reason } => tracing::warn!(%peer, %reason, "Tunnel down"),
            Action::Alarm(alarm) => tracing::warn!(reason = %alarm, "Alarm"),
            Action::Drained => self.drained = true,
        }
    }

    /// Keys of one direction, in the data plane's tables before anything else happens.
    fn install(&mut self, conn: ConnId, keys: impl FnOnce(&mut State, SiteNo, Arc<Peer>)) {
        let Some(peer) = self.sessions.peer(conn).cloned() else {
            return;
        };
        let Some(info) = self.membership.gateways.get(&peer) else {
            return;
        };
        let site = self.drive.packets.site(&peer.org, &info.site);
        let peer = self.drive.packets.peer(&peer);
        keys(self, site, peer);
        self.stale = true;
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Message(conn, message) => self.sessions.send(conn, &Message::Zone(message)),
            Reply::Stream(conn, messages) => self.sessions.stream(conn, messages),
            Reply::Check(check) => {
                let inputs = self.drive.inputs.clone();
                // The loop is gone only when the daemon ends.
                tokio::task::spawn_blocking(move || {
                    _ = inputs.blocking_send(Input::ZoneChecked(Box::new(check.run())));
                });
            }
        }
    }

    /// Takes a session's keys away; its connection is closed when the data plane has let go of them.
    fn close(&mut self, conn: ConnId, code: ByeCode) {
        self.closing
            .extend(self.sessions.remove(conn).map(|outbox| (outbox, code)));
        self.forget(conn);
    }

    pub(super) fn drop_session(&mut self, conn: ConnId) {
        self.sessions.remove(conn);
        self.forget(conn);
    }

    /// What other parts knew about a session that is gone.
    fn forget(&mut self, conn: ConnId) {
        self.drive.replicator.forget(conn);
        self.stale = true;
        self.heap.littered(Instant::now());
    }

    pub(super) fn publish_routes(&mut self) {
        self.drive
            .running
            .names
            .reach(&self.membership, &self.fib, Instant::now());
        let Running {
            config,
            rulings,
            connected,
            links,
            ..
        } = &self.drive.running;
        let mtu = |conn| {
            self.sessions
                .outgoing(conn)
                .and_then(|outgoing| outgoing.mtu().try_into().ok())
        };
        self.drive
            .routes
            .send_replace(wanted(config, rulings, connected, &self.fib, links, mtu));
    }
}
