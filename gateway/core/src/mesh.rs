//! [`Mesh`]: the state machine. Events go in by the `handle_*` methods, [`Mesh::poll_action`] says
//! what to do, and [`Mesh::poll_timeout`] when to call [`Mesh::handle_timeout`].
//!
//! It owns the tunnels, one for each accepted gateway, and the routes that their claims make.
//! `tunnel` decides what happens within one tunnel; the shell carries the actions out. What happens
//! to connections and sessions comes in here, what changes at this gateway itself in `changes`.
//!
//! Every input yields a bounded number of actions. The shell polls them all before the next input.

mod changes;
mod clients;
mod forwarding;
mod siblings;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use self::clients::Clients;
use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::context::{Context, Phase};
use crate::dial_error::DialError;
use crate::fib::Fib;
use crate::id::{BootId, ConnId, DialId, SessionIndex};
use crate::membership::Membership;
use crate::message::{FieldError, Kind, Message};
use crate::settings::Settings;
use crate::siblings::Siblings;
use crate::status::{self, PeerSession, Status};
use crate::timers::Timers;
use crate::trust_error::TrustError;
use crate::tunnel::Tunnel;

/// Which end of a connection this gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// We connected (TLS client).
    Dialler,
    /// The peer connected (TLS server).
    Accepter,
}

/// A connection whose TLS handshake is complete and whose peer is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The identity in the peer's certificate.
    pub peer: GatewayId,
    /// Which end we are.
    pub role: Role,
    /// The dial that this answers, if we are the dialler.
    pub dial: Option<DialId>,
    /// When the first certificate of the peer's chain expires.
    pub expires: Instant,
    /// The round trip time of the handshake.
    pub rtt: Duration,
}

/// Attached nodes up to which a gateway with siblings probes each as often as a peer: 20 packets a
/// second for each of them.
pub(crate) const FEW_NODES: usize = 64;

/// The mesh of one gateway.
#[derive(Debug)]
pub struct Mesh {
    context: Context,
    tunnels: BTreeMap<GatewayId, Tunnel>,
    timers: Timers,
    /// The last forwarding table.
    published: Fib,
    /// When to choose among claims again although nothing happens.
    choose_again: Option<Instant>,
    siblings: Siblings,
    clients: Clients,
}

impl Mesh {
    /// A mesh that dials every gateway of `membership` at once. `boot` must be new and random;
    /// `seed` is any random number.
    pub fn new(
        membership: Membership,
        settings: Settings,
        boot: BootId,
        seed: u64,
        now: Instant,
    ) -> Self {
        let me = membership.me.clone();
        let siblings = Siblings::new(me, &settings, now);
        let mut mesh = Self {
            context: Context::new(membership, settings, boot, seed),
            tunnels: BTreeMap::new(),
            timers: Timers::default(),
            published: Fib::default(),
            choose_again: None,
            siblings,
            clients: Clients::default(),
        };
        mesh.update_siblings(now);
        mesh.add_tunnels(now);
        mesh.settle(now);
        mesh
    }

    /// A connection is established and its peer verified.
    pub fn handle_connected(&mut self, conn: ConnId, connected: Connected, now: Instant) {
        // An abandoned dial may have succeeded before the shell could stop it.
        let abandoned = match connected.dial {
            Some(dial) => self.context.finish_dial(dial).is_none(),
            None => false,
        };

        if !self.context.is_running() {
            return self.context.close(conn, CloseReason::Shutdown);
        }
        if abandoned {
            return self.context.close(conn, CloseReason::ConnectedTooLate);
        }
        // The shell verifies the peer by the records that it has; the mesh's may be newer.
        if !self.tunnels.contains_key(&connected.peer) {
            let reason = self.context.not_accepted(&connected.peer);
            return self.context.close(conn, reason);
        }

        let peer = connected.peer.clone();
        self.on_tunnel(&peer, |tunnel, context| {
            tunnel.connected(context, conn, connected, now)
        });
        self.settle(now);
    }

    /// A dial has failed.
    pub fn handle_dial_failed(&mut self, dial: DialId, error: DialError, now: Instant) {
        // Without a peer the dial was abandoned while its failure was on its way.
        let Some(peer) = self.context.finish_dial(dial) else {
            return;
        };

        self.on_tunnel(&peer, |tunnel, context| {
            tunnel.dial_failed(context, dial, error, now)
        });
    }

    /// A control message has arrived.
    pub fn handle_message(&mut self, conn: ConnId, message: Message, now: Instant) {
        self.on_conn(conn, now, |tunnel, context| {
            tunnel.message(context, conn, message, now)
        });
    }

    /// A control message that cannot be read has arrived
    /// ([`Incoming::Malformed`](crate::Incoming)). It counts as a withdrawal of its content and is
    /// reported.
    pub fn handle_malformed(&mut self, conn: ConnId, kind: Kind, error: FieldError, now: Instant) {
        self.on_conn(conn, now, |tunnel, context| {
            tunnel.malformed(context, conn, kind, error, now)
        });
    }

    /// A connection has ended. The shell has dropped its keys; no action names `conn` afterwards.
    pub fn handle_disconnected(&mut self, conn: ConnId, error: ConnectionError, now: Instant) {
        self.on_conn(conn, now, |tunnel, context| {
            tunnel.ended(context, conn, error.into(), now)
        });
    }

    /// The peer of a session is not trusted any more, after the member records have changed: the
    /// session is closed.
    pub fn handle_untrusted(&mut self, conn: ConnId, error: TrustError, now: Instant) {
        self.on_conn(conn, now, |tunnel, context| {
            tunnel.close(context, conn, CloseReason::Untrusted(error), now)
        });
    }

    /// The wall clock was set: by it, the first certificate of the peer's chain expires at
    /// `expires`.
    pub fn handle_expiry(&mut self, conn: ConnId, expires: Instant, now: Instant) {
        self.on_conn(conn, now, |tunnel, context| {
            tunnel.expires(context, conn, expires, now)
        });
    }

    /// A probe was echoed on the data path, authenticated. `session` is our index.
    pub fn handle_echo(&mut self, session: SessionIndex, probe: u64, now: Instant) {
        // An unknown index belongs to a session that has ended since.
        let Some(conn) = self.context.session(session) else {
            return;
        };

        self.on_conn(conn, now, |tunnel, context| {
            tunnel.echoed(context, conn, probe, now)
        });
    }

    /// The peer of a session has moved to another address, so that its packets take another path.
    /// `session` is our index.
    pub fn handle_moved(&mut self, session: SessionIndex, now: Instant) {
        let Some(conn) = self.context.session(session) else {
            return;
        };

        self.on_conn(conn, now, |tunnel, _| tunnel.peer_moved(conn, now));
    }

    /// The control connection is silent, although its session may still carry packets. The session
    /// is replaced before its connection times out. May be called again for as long as the silence
    /// lasts.
    pub fn handle_silent(&mut self, conn: ConnId, now: Instant) {
        self.on_conn(conn, now, |tunnel, _| tunnel.silent(conn, now));
    }

    /// The daemon stops: withdraws every prefix, after a grace time sends `Bye` on every session,
    /// then yields [`Action::Drained`].
    pub fn handle_shutdown(&mut self, now: Instant) {
        if !self.context.is_running() {
            return;
        }

        // First of all, so that a sibling takes over before the routes are withdrawn.
        self.siblings.set_leaving(true, now);
        self.settle(now);

        self.context.phase = Phase::Leaving(now + self.context.settings.shutdown_grace);
        // Sessions stay open for the grace time: packets under way to us still arrive.
        self.on_all(|tunnel, context| {
            tunnel.stop_dialling(context);
            tunnel.withdraw_all(context);
        });
    }

    /// The time of [`Mesh::poll_timeout`] has come. An early call does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Leaving(at) = self.context.phase
            && at <= now
        {
            return self.drain(now);
        }

        // A better claim gets the route after a minute: no event marks that moment.
        if self.choose_again.is_some_and(|at| at <= now) {
            self.context.routes_stale = true;
        }
        for peer in self.timers.due(now) {
            self.on_tunnel(&peer, |tunnel, context| tunnel.timeout(context, now));
        }
        self.settle(now);
    }

    /// When to call [`Mesh::handle_timeout`] at the latest. It may change with every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let leaving = match self.context.phase {
            Phase::Leaving(at) => Some(at),
            Phase::Running | Phase::Drained => None,
        };
        // There are no elections after the drain.
        let standing = match self.context.phase {
            Phase::Drained => None,
            Phase::Running | Phase::Leaving(_) => self.siblings.deadline(),
        };

        let times = [self.timers.next(), leaving, self.choose_again, standing];
        times.into_iter().flatten().min()
    }

    /// The next thing to do; to be polled until `None` after every input.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.context.poll_action()
    }

    /// The state of the mesh for operators.
    pub fn status(&self, now: Instant) -> Status {
        let tunnels = self.tunnels.values();
        Status {
            tunnels: tunnels
                .map(|tunnel| tunnel.status(&self.context, now))
                .collect(),
            routes: status::routes(&self.context.membership, &self.published),
            site: self.site_status(now),
        }
    }

    /// The parts of a session that zone transfer needs; `None` before its `Hello` and after its
    /// end.
    pub fn peer_session(&self, conn: ConnId) -> Option<PeerSession> {
        let tunnel = self.tunnels.get(self.context.peer(conn)?)?;

        tunnel.peer_session(&self.context, conn)
    }

    fn on_conn(
        &mut self,
        conn: ConnId,
        now: Instant,
        handle: impl FnOnce(&mut Tunnel, &mut Context),
    ) {
        // Without a peer we have closed it a moment ago, while the shell's event was on its way.
        let Some(peer) = self.context.peer(conn).cloned() else {
            return;
        };
        self.on_tunnel(&peer, handle);
        self.settle(now);
    }

    /// With [`Mesh::on_all`] the only access to a tunnel: its timer is set after every change.
    fn on_tunnel(&mut self, peer: &GatewayId, handle: impl FnOnce(&mut Tunnel, &mut Context)) {
        let Some(tunnel) = self.tunnels.get_mut(peer) else {
            return;
        };
        handle(tunnel, &mut self.context);

        let deadline = tunnel.deadline(&self.context);
        self.timers.set(peer, deadline);
    }

    fn on_all(&mut self, mut handle: impl FnMut(&mut Tunnel, &mut Context)) {
        for (peer, tunnel) in &mut self.tunnels {
            handle(tunnel, &mut self.context);

            let deadline = tunnel.deadline(&self.context);
            self.timers.set(peer, deadline);
        }
    }

    /// Closes every session, at the end of the grace time.
    fn drain(&mut self, now: Instant) {
        self.context.phase = Phase::Drained;
        self.on_all(|tunnel, context| tunnel.close_all(context, CloseReason::Shutdown, now));
        self.settle(now);

        // The shell ends with this action, so that it must be the last.
        self.context.act(Action::Drained);
    }

    /// Updates what depends on more than one tunnel: the election of the active gateway and the
    /// forwarding table.
    fn settle(&mut self, now: Instant) {
        if self.context.phase != Phase::Drained {
            self.poll_siblings(now);
        }
        self.publish(now);
    }
}
