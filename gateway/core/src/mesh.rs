//! [`Mesh`]: the state machine. Events go in by the `handle_*` methods, [`Mesh::poll_action`] says
//! what to do, and [`Mesh::poll_timeout`] when to call [`Mesh::handle_timeout`].
//!
//! It owns the tunnels, one for each accepted gateway, and the routes that their claims make.
//! `tunnel` decides what happens within one tunnel; the shell carries the actions out.
//!
//! Every input yields a bounded number of actions. The shell polls them all before the next input.

mod clients;
mod siblings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ringway_config::{GatewayId, Prefix};

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
use crate::rib::{self, Claim};
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

    /// The membership has changed. Acts on the difference only: removed gateways lose every session
    /// at once, added ones are dialled, claims are evaluated again; no other tunnel is touched.
    pub fn handle_membership(&mut self, membership: Membership, now: Instant) {
        let records_changed = self.context.membership.records != membership.records;
        self.context.membership = membership;
        self.update_siblings(now);

        // Added last: a new tunnel has nothing to catch up with.
        self.remove_tunnels(now);
        self.on_all(|tunnel, context| tunnel.membership_changed(context, records_changed, now));
        self.add_tunnels(now);
        self.settle(now);
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

    /// The host's interfaces or addresses have changed, so that peers may be reachable now that
    /// were not. Every peer without a session is dialled without waiting for its back-off.
    pub fn handle_host_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.dial_again(context, now));
    }

    /// Sets the addresses inside our site at which siblings can dial this gateway.
    pub fn handle_addresses(&mut self, addresses: BTreeSet<SocketAddr>) {
        if self.context.addresses == addresses {
            return;
        }

        self.context.addresses = addresses;
        self.on_all(Tunnel::send_addresses);
    }

    /// Sets the resolvers that attached nodes use for the consortium's names.
    pub fn handle_resolvers(&mut self, resolvers: BTreeSet<IpAddr>) {
        if self.context.resolvers == resolvers {
            return;
        }

        self.context.resolvers = resolvers;
        self.on_all(Tunnel::send_offer);
    }

    /// When each WireGuard client, by prefix, used this gateway last. Those that are here are
    /// announced to siblings.
    pub fn handle_wireguard(&mut self, clients: BTreeMap<Prefix, Instant>, now: Instant) {
        if self.clients.set_used(clients) {
            self.context.routes_stale = true;
            self.settle(now);
        }
    }

    /// `lost`: the names of the interfaces to our site's network if none of them has a carrier. A
    /// sibling that reaches the site's hosts takes over then.
    pub fn handle_carrier(&mut self, lost: Option<String>, now: Instant) {
        if !self.siblings.set_carrier(lost, now) {
            return;
        }

        self.on_all(|tunnel, context| tunnel.handle_carrier(context, now));
        self.settle(now);
    }

    /// Sets our preference among the gateways of the site. Preemption still takes a minute.
    pub fn handle_preference(&mut self, preference: u32, now: Instant) {
        if self.siblings.set_preference(preference, now) {
            self.settle(now);
        }
    }

    /// Sets the prefixes to which this gateway has no route: they are not announced.
    pub fn handle_unannounced(&mut self, prefixes: BTreeSet<Prefix>) {
        if self.context.unannounced == prefixes {
            return;
        }

        self.context.unannounced = prefixes;
        self.on_all(Tunnel::announce_again);
    }

    /// Our own certificate has changed: the session of every peer that we can dial is replaced
    /// within seconds.
    pub fn handle_identity_changed(&mut self, now: Instant) {
        self.on_all(|tunnel, context| tunnel.rekey_soon(context, now));
    }

    /// The boot or monotonic time has jumped (suspend): the state of every session is unknown.
    pub fn handle_clock_jump(&mut self, now: Instant) {
        // The peers may have closed the sessions in the meantime. To detect that by silence would
        // take longer.
        self.siblings.reset_contacts(now);
        self.on_all(|tunnel, context| {
            tunnel.close_all(context, CloseReason::ClockJump, now);
            tunnel.dial_soon(context, now);
        });
        self.settle(now);
    }

    /// Starts or cancels a drain: a sibling takes over while this gateway stays up.
    pub fn handle_drain(&mut self, on: bool, now: Instant) {
        if self.context.is_running() {
            self.siblings.set_leaving(on, now);
            self.settle(now);
        }
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
            site: self.siblings.status(),
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

    fn remove_tunnels(&mut self, now: Instant) {
        let accepted = &self.context.membership.gateways;
        let tunnels = self.tunnels.keys();
        let removed: Vec<GatewayId> = tunnels
            .filter(|peer| !accepted.contains_key(peer))
            .cloned()
            .collect();

        for peer in removed {
            let Some(mut tunnel) = self.tunnels.remove(&peer) else {
                continue;
            };
            self.timers.set(&peer, None);

            // Draining and unfinished sessions too: the peer must not receive or send anything
            // more.
            let reason = self.context.not_accepted(&peer);
            tunnel.close_all(&mut self.context, reason, now);
            tunnel.stop_dialling(&mut self.context);
            tunnel.forget_records(&mut self.context);
        }
    }

    fn add_tunnels(&mut self, now: Instant) {
        let gateways = self.context.membership.gateways.iter();
        let added: Vec<_> = gateways
            .filter(|(peer, _)| !self.tunnels.contains_key(peer))
            .map(|(peer, info)| (peer.clone(), info.clone()))
            .collect();

        for (peer, info) in added {
            let tunnel = Tunnel::new(peer.clone(), info, &mut self.context, now);
            let deadline = tunnel.deadline(&self.context);
            self.timers.set(&peer, deadline);
            self.tunnels.insert(peer, tunnel);
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

    /// Announces to siblings which attached nodes have a session with this gateway.
    fn announce_nodes(&mut self, now: Instant) {
        let tunnels = self.tunnels.iter();
        let siblings = tunnels.filter(|(_, tunnel)| tunnel.is_sibling(&self.context));
        let claims = siblings.flat_map(|(peer, tunnel)| {
            let claims = tunnel.claims();
            claims.map(|claim| (claim.prefix, peer.clone()))
        });
        self.clients.set_claims(claims.collect(), now);

        let nodes = self.tunnels.values();
        let nodes = nodes.filter(|tunnel| tunnel.is_to_node() && !tunnel.is_silent());
        let here = nodes.flat_map(Tunnel::claims).map(|claim| claim.prefix);
        let here: BTreeSet<Prefix> = here
            .chain(self.clients.here(&self.context.membership))
            .collect();
        if here == self.context.nodes_here {
            return;
        }

        self.context.nodes_here = here;
        self.on_all(|tunnel, context| {
            if tunnel.is_sibling(context) {
                tunnel.announce_again(context);
            }
        });
    }

    /// Computes the forwarding table again if its inputs may have changed, and publishes it if it
    /// differs.
    fn publish(&mut self, now: Instant) {
        if !std::mem::take(&mut self.context.routes_stale) {
            return;
        }

        self.announce_nodes(now);
        let membership = &self.context.membership;
        let nodes_here = &self.context.nodes_here;
        let claims = self.tunnels.values().flat_map(Tunnel::claims);
        let claims = claims.flat_map(|claim| accepted_parts(membership, claim));
        // Two siblings that have a session with a node must not send its packets to each other.
        let claims =
            claims.filter(|claim| claim.gateway.is_node() || !nodes_here.contains(&claim.prefix));
        let choice = rib::choose(claims, &self.published.routes, now);
        self.choose_again = choice.again;
        let fib = Fib {
            routes: choice.routes,
            authorized: self.context.membership.authorized_list(),
            local: self.context.membership.local_prefixes().to_vec(),
        };

        // Most changes of a session or a claim leave the table as it is.
        if self.published != fib {
            self.context.act(Action::Publish(fib.clone()));
            self.published = fib;
        }
    }
}

/// Narrows a claim at an attached node to the parts of the prefix that the node accepts. At a
/// gateway the claim stays whole.
fn accepted_parts<'a>(
    membership: &'a Membership,
    claim: Claim<'a>,
) -> impl Iterator<Item = Claim<'a>> + use<'a> {
    let is_node = membership.me.is_node();
    let site = membership
        .gateways
        .get(claim.gateway)
        .map(|info| &info.site);
    let accepted = site.filter(|_| is_node).map_or(&[][..], |site| {
        membership.prefixes(&claim.gateway.org, site)
    });
    let parts = accepted
        .iter()
        .filter(move |part| claim.prefix.covers(part))
        .map(move |part| Claim {
            prefix: *part,
            ..claim
        });

    let whole = (!is_node).then_some(claim);
    parts.chain(whole)
}
