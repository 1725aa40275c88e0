//! [`Mesh`]: the machine. What happened goes in by `handle_*`, what to do comes out of
//! [`Mesh::poll_action`], and [`Mesh::poll_timeout`] says when to call [`Mesh::handle_timeout`].
//!
//! It owns the tunnels, one per accepted gateway, and the routes that their claims make. What happens
//! within one tunnel is `tunnel`'s matter; carrying the actions out is the shell's.
//!
//! Every input yields a bounded number of actions; the shell polls them all before the next input.

use std::collections::BTreeMap;
use std::time::Instant;

use ringway_config::GatewayId;

use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::context::Context;
use crate::dial_error::DialError;
use crate::fib::Fib;
use crate::id::{BootId, ConnId, DialId, SessionIndex};
use crate::membership::Membership;
use crate::message::{FieldError, Kind, Message};
use crate::rib;
use crate::settings::Settings;
use crate::status::{self, Status};
use crate::timers::Timers;
use crate::trust_error::TrustError;
use crate::tunnel::Tunnel;

/// Which end of a connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// We connected (TLS client).
    Dialler,
    /// The peer connected (TLS server).
    Accepter,
}

/// A TLS handshake is done and the peer's certificate verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The identity in its certificate.
    pub peer: GatewayId,
    /// Which end we are.
    pub role: Role,
    /// The dial that this answers, if we are the dialler.
    pub dial: Option<DialId>,
    /// When the first certificate of its chain expires.
    pub expires: Instant,
}

/// The mesh of one gateway.
#[derive(Debug)]
pub struct Mesh {
    context: Context,
    tunnels: BTreeMap<GatewayId, Tunnel>,
    timers: Timers,
    published: Fib,
    /// Set at shutdown: when the sessions are closed.
    leaving: Option<Instant>,
}

impl Mesh {
    /// A mesh that dials every gateway of `membership` at once. `boot` must be fresh and random, `seed`
    /// any random number.
    pub fn new(
        membership: Membership,
        settings: Settings,
        boot: BootId,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut mesh = Self {
            context: Context::new(membership, settings, boot, seed),
            tunnels: BTreeMap::new(),
            timers: Timers::default(),
            published: Fib::default(),
            leaving: None,
        };
        mesh.add_tunnels(now);
        mesh.publish();
        mesh
    }

    /// The consortium changed. Acts on the difference only: removed gateways lose every session at once,
    /// added ones are dialled, claims are judged again; no other tunnel is touched.
    pub fn handle_membership(&mut self, membership: Membership, now: Instant) {
        let records_changed = self.context.membership.records != membership.records;
        self.context.membership = membership;
        self.remove_tunnels(now);
        self.on_all(|tunnel, context| tunnel.membership_changed(context, records_changed, now));
        self.add_tunnels(now);
        self.publish();
    }

    /// A connection stands and its peer is verified.
    pub fn handle_connected(&mut self, conn: ConnId, connected: Connected, now: Instant) {
        let answered = connected.dial.map(|dial| self.context.answered(dial));
        if self.context.leaving {
            return self.context.close(conn, CloseReason::Shutdown);
        }
        if answered == Some(None) {
            return self.context.close(conn, CloseReason::ConnectedTooLate);
        }
        if !self.tunnels.contains_key(&connected.peer) {
            let reason = self.context.not_accepted(&connected.peer);
            return self.context.close(conn, reason);
        }
        let peer = connected.peer.clone();
        self.on_tunnel(&peer, |tunnel, context| {
            tunnel.connected(context, conn, connected, now)
        });
        self.publish();
    }

    /// A dial came to nothing.
    pub fn handle_dial_failed(&mut self, dial: DialId, error: DialError, now: Instant) {
        let Some(peer) = self.context.answered(dial) else {
            return;
        };
        self.on_tunnel(&peer, |tunnel, context| {
            tunnel.dial_failed(context, dial, error, now)
        });
    }

    /// A control message came.
    pub fn handle_message(&mut self, conn: ConnId, message: Message, now: Instant) {
        self.on_conn(conn, |tunnel, context| {
            tunnel.message(context, conn, message, now)
        });
    }

    /// A control message came that could not be read ([`Incoming::Malformed`](crate::Incoming)): treated
    /// as a withdrawal of what it carried, and reported.
    pub fn handle_malformed(&mut self, conn: ConnId, kind: Kind, error: FieldError, now: Instant) {
        self.on_conn(conn, |tunnel, context| {
            tunnel.malformed(context, conn, kind, error, now)
        });
    }

    /// The connection is gone, or its control stream broke its framing. The shell has dropped its keys;
    /// no action about `conn` follows.
    pub fn handle_disconnected(&mut self, conn: ConnId, error: ConnectionError, now: Instant) {
        self.on_conn(conn, |tunnel, context| {
            tunnel.lose(context, conn, error.into(), now)
        });
    }

    /// The peer's chain was verified again, after trust changed, and failed: the session is cut.
    pub fn handle_untrusted(&mut self, conn: ConnId, error: TrustError, now: Instant) {
        self.on_conn(conn, |tunnel, context| {
            tunnel.cut(context, conn, CloseReason::Untrusted(error), now)
        });
    }

    /// A probe came back on the data path, authenticated. `session` is our index.
    pub fn handle_echo(&mut self, session: SessionIndex, probe: u64, now: Instant) {
        let Some(conn) = self.context.session(session) else {
            return;
        };
        self.on_conn(conn, |tunnel, context| {
            tunnel.echoed(context, conn, probe, now)
        });
    }

    /// The peer of a session has moved to another address, and so its packets take another way. `session` is
    /// our index.
    pub fn handle_moved(&mut self, session: SessionIndex, now: Instant) {
        let Some(conn) = self.context.session(session) else {
            return;
        };
        self.on_conn(conn, |tunnel, _| tunnel.peer_moved(conn, now));
    }

    /// The control connection is silent, although its session may still carry packets. The session is
    /// replaced before its connection times out. May be called again for as long as the silence lasts.
    pub fn handle_silent(&mut self, conn: ConnId, now: Instant) {
        self.on_conn(conn, |tunnel, _| tunnel.silent(conn, now));
    }

    /// The host's interfaces or addresses changed: what could not be reached may be reachable now. Every peer without a
    /// session is dialled soon, and not only after its back-off.
    pub fn handle_host_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.dial_again(context, now));
    }

    /// Our own certificate changed: every tunnel that we can dial gets a new session, paced.
    pub fn handle_identity_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.rekey_soon(context, now));
    }

    /// Boot or monotonic time jumped (suspend): nothing is known about the sessions any more.
    pub fn handle_clock_jump(&mut self, now: Instant) {
        self.on_all(|tunnel, context| {
            tunnel.cut_all(context, CloseReason::ClockJump, now);
            tunnel.dial_soon(context, now);
        });
        self.publish();
    }

    /// The daemon stops: withdraws every claim, then says `Bye`, then [`Action::Drained`].
    pub fn handle_shutdown(&mut self, now: Instant) {
        if self.context.leaving {
            return;
        }
        self.leaving = Some(now + self.context.settings.shutdown_grace);
        self.context.leaving = true;
        self.on_all(|tunnel, context| {
            tunnel.stop_dialling(context);
            tunnel.withdraw_all(context);
        });
    }

    /// [`Mesh::poll_timeout`]'s time has come (or not: calling it early does no harm).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.leaving.is_some_and(|at| at <= now) {
            return self.leave(now);
        }
        for peer in self.timers.due(now) {
            self.on_tunnel(&peer, |tunnel, context| tunnel.timeout(context, now));
        }
        self.publish();
    }

    /// When to call [`Mesh::handle_timeout`] at the latest. Ask again after every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.leaving).min()
    }

    /// The next thing to do; poll until `None` after every input.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.context.poll_action()
    }

    /// What an operator would want to know.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            tunnels: self
                .tunnels
                .values()
                .map(|tunnel| tunnel.status(&self.context, now))
                .collect(),
            routes: status::routes(&self.context.membership, &self.published),
        }
    }

    fn on_conn(&mut self, conn: ConnId, handle: impl FnOnce(&mut Tunnel, &mut Context)) {
        // Unknown: closed by us a moment ago, while the shell's report was under way.
        let Some(peer) = self.context.peer(conn).cloned() else {
            return;
        };
        self.on_tunnel(&peer, handle);
        self.publish();
    }

    /// The only ways to a tunnel: its timer is set after whatever it did.
    fn on_tunnel(&mut self, peer: &GatewayId, handle: impl FnOnce(&mut Tunnel, &mut Context)) {
        let Some(tunnel) = self.tunnels.get_mut(peer) else {
            return;
        };
        handle(tunnel, &mut self.context);
        self.timers
            .set(peer, tunnel.deadline(&self.context.settings));
    }

    fn on_all(&mut self, mut handle: impl FnMut(&mut Tunnel, &mut Context)) {
        for (peer, tunnel) in &mut self.tunnels {
            handle(tunnel, &mut self.context);
            self.timers
                .set(peer, tunnel.deadline(&self.context.settings));
        }
    }

    fn remove_tunnels(&mut self, now: Instant) {
        let accepted = &self.context.membership.gateways;
        let removed: Vec<GatewayId> = self
            .tunnels
            .keys()
            .filter(|peer| !accepted.contains_key(peer))
            .cloned()
            .collect();
        for peer in removed {
            let Some(mut tunnel) = self.tunnels.remove(&peer) else {
                continue;
            };
            self.timers.set(&peer, None);
            let reason = self.context.not_accepted(&peer);
            tunnel.cut_all(&mut self.context, reason, now);
            tunnel.stop_dialling(&mut self.context);
        }
    }

    fn add_tunnels(&mut self, now: Instant) {
        let added: Vec<_> = (self.context.membership.gateways.iter())
            .filter(|(peer, _)| !self.tunnels.contains_key(peer))
            .map(|(peer, info)| (peer.clone(), info.clone()))
            .collect();
        for (peer, info) in added {
            let tunnel = Tunnel::new(peer.clone(), info, &mut self.context, now);
            self.timers
                .set(&peer, tunnel.deadline(&self.context.settings));
            self.tunnels.insert(peer, tunnel);
        }
    }

    fn leave(&mut self, now: Instant) {
        self.leaving = None;
        self.on_all(|tunnel, context| {
            tunnel.cut_all(context, CloseReason::Shutdown, now);
        });
        self.publish();
        self.context.act(Action::Drained);
    }

    /// Makes the forwarding table anew if anything it depends on may have changed.
    fn publish(&mut self) {
        if !std::mem::take(&mut self.context.changed) {
            return;
        }
        let claims = self.tunnels.values().flat_map(Tunnel::claims);
        let fib = Fib {
            routes: rib::choose(claims, &self.published.routes),
            authorized: self.context.membership.authorized_list(),
            local: self.context.membership.local_prefixes().to_vec(),
        };
        if self.published != fib {
            self.context.act(Action::Publish(fib.clone()));
            self.published = fib;
        }
    }
}
