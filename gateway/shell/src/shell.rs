//! [`Shell`]: the machine. This file owns the way of each input; what the mesh wants is carried out
//! in `perform`, changes to what is in force in `reload` and `host`.
//!
//! ```text
//!   Running ── Shutdown ──► Leaving ── mesh is drained ──► Drained ── ports answered ──► Stopped
//! ```
//! From Leaving on no change is begun. In Drained only the answers of the host's ports count: the
//! last routes must be in the kernel, and no guard may be on its way to it, when the daemon stops.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::defaults::DNS_PORT;
use ringway_config::{Config, Faults, GatewayId, Policy, Prefix, Ruling};
use ringway_core::message::{MAX_ADDRESSES, MAX_RESOLVERS};
use ringway_core::{
    BootId, ByeCode, ConnId, Connected, ConnectionError, DialError, ExternalText, Fib, Incoming,
    Membership, Mesh, PeerSession, SessionIndex, Settings, Status,
};

use crate::alarms::Alarms;
use crate::announcer::Announcer;
use crate::carrier::Carrier;
use crate::challenges::Challenges;
use crate::changes::{ChangeId, Changes, Request};
use crate::clock::{Clock, WallClock};
use crate::current::CurrentConfig;
use crate::effect::Effect;
use crate::former::FormerPolicies;
use crate::guard_retry::GuardRetry;
use crate::heap::Heap;
use crate::hold_down::HoldDown;
use crate::input::{Activity, Handshake, Input, Verified};
use crate::inquirer::Inquirer;
use crate::outages::Outages;
use crate::packet_effect::PacketEffect;
use crate::refusal::Refusal;
use crate::routes::RouteKeeper;
use crate::session::{Session, Sessions};
use crate::sharing::Sharing;
use crate::tables::SiteNumbers;
use crate::watch::KernelWatch;

/// How often the device and the connections are looked after although no port reported anything.
const ROUND: Duration = Duration::from_secs(1);

/// What a gateway starts with.
pub struct Start {
    /// The configuration and the verdicts on it.
    pub current: CurrentConfig,
    /// What follows from them.
    pub membership: Arc<Membership>,
    /// How it follows: by [`membership`](crate::membership()). Tests replace it, to show that the
    /// mesh's checks are needed.
    pub derive: fn(&Config, &[Ruling]) -> Membership,
    /// The mesh's times and choices.
    pub settings: Settings,
    /// Random, and new at each start.
    pub boot: BootId,
    /// Any random number.
    pub seed: u64,
    /// Policies that were in force in former runs, the oldest first.
    pub former_policies: Vec<Policy>,
    /// Time since boot, suspension included.
    pub boot_time: Duration,
    /// Time since 1970, by the wall clock.
    pub wall_time: Duration,
}

/// How far the daemon is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    Leaving,
    Drained,
    Stopped,
}

/// A whole gateway but for its IO.
#[derive(Debug)]
pub struct Shell {
    pub(crate) mesh: Mesh,
    pub(crate) current: CurrentConfig,
    pub(crate) derive: fn(&Config, &[Ruling]) -> Membership,
    pub(crate) membership: Arc<Membership>,
    pub(crate) fib: Fib,
    pub(crate) sessions: Sessions,
    pub(crate) sites: SiteNumbers,
    pub(crate) sharing: Sharing,
    pub(crate) former: FormerPolicies,
    /// The last reload, if it was refused.
    pub(crate) refusal: Option<Refusal>,
    /// Why the reload under way is refused, until what it takes away is in force.
    pub(crate) refused: Option<Faults>,
    pub(crate) alarms: Alarms,
    pub(crate) announcer: Announcer,
    pub(crate) carrier: Carrier,
    /// Bytes of the largest outer packet that reaches each peer whole, where that is known.
    pub(crate) path_mtus: BTreeMap<GatewayId, u16>,
    pub(crate) changes: Changes,
    last_change: ChangeId,
    /// The change whose guard is on its way to the kernel.
    pub(crate) guarding: Option<ChangeId>,
    pub(crate) guard_retry: GuardRetry,
    pub(crate) routes: RouteKeeper,
    pub(crate) watch: KernelWatch,
    pub(crate) inquirer: Inquirer,
    /// The forwarding that this daemon switches on is off: the packet filter is missing.
    pub(crate) is_closed: bool,
    /// Of the gateways of this site.
    pub(crate) is_active: bool,
    pub(crate) hold_down: HoldDown,
    pub(crate) outages: Outages,
    clock: Clock,
    wall: WallClock,
    pub(crate) heap: Heap,
    /// When the next round is due.
    round: Instant,
    pub(crate) phase: Phase,
    /// The published tables are not those of the sessions and routes.
    pub(crate) is_stale: bool,
    /// Connections to close once the published tables do not name their keys any more.
    pub(crate) closing: Vec<(ConnId, ByeCode)>,
    pub(crate) effects: VecDeque<Effect>,
}

impl Shell {
    /// A gateway that dials every member at once.
    pub fn new(start: Start, now: Instant) -> Shell {
        let Start {
            current,
            membership,
            derive,
            settings,
            boot,
            seed,
            former_policies,
            boot_time,
            wall_time,
        } = start;
        let mesh = Mesh::new((*membership).clone(), settings, boot, seed, now);

        let mut shell = Shell {
            mesh,
            current,
            derive,
            membership,
            fib: Fib::default(),
            sessions: Sessions::default(),
            sites: SiteNumbers::default(),
            sharing: Sharing::default(),
            former: FormerPolicies::new(former_policies, now),
            refusal: None,
            refused: None,
            alarms: Alarms::default(),
            announcer: Announcer::default(),
            carrier: Carrier::default(),
            path_mtus: BTreeMap::new(),
            changes: Changes::default(),
            last_change: ChangeId(0),
            guarding: None,
            guard_retry: GuardRetry::default(),
            routes: RouteKeeper::new(BTreeMap::new(), now),
            watch: KernelWatch::new(now),
            inquirer: Inquirer::new(now),
            is_closed: false,
            is_active: false,
            hold_down: HoldDown::default(),
            outages: Outages::default(),
            clock: Clock::new(now, boot_time),
            wall: WallClock::new(now, wall_time),
            heap: Heap::default(),
            round: now,
            phase: Phase::Running,
            // Nothing is published yet.
            is_stale: true,
            closing: Vec::new(),
            effects: VecDeque::new(),
        };
        shell.outages.follow(&shell.membership);
        let links = shell.current.links.clone();
        shell.follow_carrier(&links, now);
        // The first effects: tables without sessions, unreachable routes to all remote prefixes,
        // and the dials.
        shell.plan_routes(now);
        shell.tell_addresses();
        shell.tell_resolvers();
        shell.announce();
        shell.settle_all(now);
        shell
    }

    /// Something happened. Poll every effect before the next input.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match self.phase {
            Phase::Running | Phase::Leaving => self.handle_running(input, now),
            Phase::Drained => self.handle_drained(input, now),
            // The executor may have had events in its queues.
            Phase::Stopped => {}
        }
    }

    /// The next thing to do; poll until `None` after every input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to hand over an [`Input::Tick`] at the latest. Ask again after every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Once drained, only answers of ports count.
        if matches!(self.phase, Phase::Drained | Phase::Stopped) {
            return None;
        }

        [
            self.mesh.poll_timeout(),
            self.routes.poll_timeout(),
            self.watch.poll_timeout(),
            self.inquirer.poll_timeout(),
            self.guard_retry.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .chain([self.clock.next()])
        .min()
    }

    /// What is in force.
    pub fn current(&self) -> &CurrentConfig {
        &self.current
    }

    /// What the mesh works from.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Tunnels and routes, for operators.
    pub fn status(&self, now: Instant) -> Status {
        self.mesh.status(now)
    }

    /// What the zones must know about a session; `None` if it has no `Hello` yet, or has ended.
    pub fn peer_session(&self, conn: ConnId) -> Option<PeerSession> {
        self.mesh.peer_session(conn)
    }

    /// The connection of each tunnel that is up.
    pub fn sessions_in_use(&self, now: Instant) -> Vec<ConnId> {
        self.status(now)
            .tunnels
            .into_iter()
            .filter_map(|tunnel| tunnel.conn)
            .collect()
    }

    /// Where the data path of a session finds its peer.
    pub fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.sessions.get(conn).map(|session| session.remote())
    }

    /// When the peer's chain expires: time since 1970, by the wall clock.
    pub fn expires(&self, conn: ConnId) -> Option<Duration> {
        self.sessions.get(conn).map(|session| session.expires)
    }

    /// The number of the change that was asked for last. A reload with a greater one reads the
    /// files after this moment.
    pub fn last_change(&self) -> ChangeId {
        self.last_change
    }

    /// Prefixes whose packets go through a tunnel, as far as the kernel is known to follow.
    pub fn installed(&self) -> &BTreeSet<Prefix> {
        self.routes.installed()
    }

    /// How often each kind of kernel object was restored after another program had changed it.
    pub fn restored(&self) -> &BTreeMap<&'static str, u64> {
        self.watch.counts()
    }

    /// The forwarding table that was published last.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// True from [`Input::Shutdown`] on: nothing is read or put in force any more.
    pub fn is_leaving(&self) -> bool {
        self.phase != Phase::Running
    }

    /// True once [`Effect::Stop`] was given out or is about to be.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    fn handle_running(&mut self, input: Input, now: Instant) {
        match input {
            Input::Tick { boot, wall } => self.tick(boot, wall, now),
            Input::Shutdown => self.shut_down(now),
            Input::Drain { on } => self.mesh.handle_drain(on, now),
            Input::Connected { conn, handshake } => self.connected(conn, handshake, now),
            Input::DialFailed { dial, error } => {
                self.mesh.handle_dial_failed(dial, error, now);
            }
            Input::Message { conn, incoming } => self.message(conn, incoming, now),
            Input::Disconnected { conn, error } => self.disconnected(conn, error, now),
            Input::Activity(activity) => self.replace_silent(&activity, now),
            Input::Echo {
                index,
                probe,
                from,
                to,
            } => {
                // One bit of the token tells the answer to a challenge from that to a path probe.
                if Challenges::is_token(probe) {
                    self.challenge_answered(index, probe, from, to, now);
                } else {
                    self.mesh.handle_echo(index, probe, now);
                }
            }
            Input::OffPath {
                index,
                from,
                random,
            } => self.challenge(index, from, random),
            Input::DeviceFailed => self.effects.push_back(Effect::CheckDevice),
            // The kernel removed the routes along with the old device.
            Input::DeviceRecreated => self.plan_routes(now),
            Input::HostChanged(links) => {
                // The interface that changed may be the TUN itself.
                self.effects.push_back(Effect::CheckDevice);
                self.follow_carrier(&links, now);
                self.submit(Request::Host(links), now);
                // Sessions whose local address is gone are replaced without waiting for silence.
                self.effects.push_back(Effect::ReadActivity);
                self.mesh.handle_host_changed(now);
            }
            Input::RoutesSynced { outcome, restored } => {
                self.routes_synced(&outcome, restored, now);
            }
            Input::KernelChanged => self.kernel_changed(now),
            Input::KernelChecked(checked) => self.kernel_checked(checked, now),
            Input::KernelAsked(findings) => self.kernel_asked(findings, now),
            Input::Guarded { change, result } => self.guarded(change, result, now),
            Input::Reload => {
                self.repair(now);
                self.submit(Request::Reload, now);
            }
            Input::CertificateChanged => self.submit(Request::Certificate, now),
            Input::ConfigRead { change, result } => self.config_read(change, result),
            Input::Narrowed {
                change,
                config,
                lists,
            } => self.narrowed(change, config, lists, now),
            Input::ZoneBuilt { change, result } => self.zone_built(change, result),
            Input::Untrusted(untrusted) => self.distrust(&untrusted, now),
            Input::Adopted { change, untrusted } => self.adopted(change, &untrusted, now),
            Input::IdentityRead { change, result } => self.identity_read(change, result, now),
        }

        self.settle_all(now);
    }

    /// Every session is closed: only the host's ports may still have something to say.
    fn handle_drained(&mut self, input: Input, now: Instant) {
        match input {
            Input::RoutesSynced { outcome, .. } => self.routes.synced(&outcome, now),
            Input::KernelChecked(checked) => _ = self.watch.checked(checked, now),
            Input::Guarded { change, .. } if self.guarding == Some(change) => {
                self.guarding = None;
            }
            // A handshake that ends now has no mesh to go to.
            Input::Connected { conn, .. } => self.effects.push_back(Effect::RefuseLink { conn }),
            _ => {}
        }

        self.settle_all(now);
    }

    /// Carries out what the mesh wants, publishes what changed, and stops if all is done.
    pub(crate) fn settle_all(&mut self, now: Instant) {
        self.drain_mesh(now);

        // In Drained a plan that was refused is not tried again: the routes go with the device.
        if self.phase != Phase::Drained || !self.routes.is_settled() {
            self.effects
                .extend(self.routes.poll(now).map(Effect::SyncRoutes));
        }
        if self.phase != Phase::Drained {
            let leave = self.watch.poll(now);
            self.effects
                .extend(leave.map(|leave| Effect::CheckKernel { leave }));
            if self.inquirer.poll(now) {
                let inquiry = Box::new(self.inquiry());
                self.effects.push_back(Effect::AskKernel(inquiry));
            }
        }

        let is_written =
            self.guarding.is_none() && self.routes.is_settled() && !self.watch.is_checking();
        if self.phase == Phase::Drained && is_written {
            self.phase = Phase::Stopped;
            self.effects.push_back(Effect::Stop);
        }
    }

    fn tick(&mut self, boot: Duration, wall: Duration, now: Instant) {
        if self.wall.has_stepped(now, wall) {
            self.follow_wall_clock(now);
        }
        if self.clock.has_jumped(now, boot) {
            tracing::warn!(
                "The clock jumped: this machine slept or was moved; every session is replaced"
            );
            // A restored snapshot must not seal a packet number twice under one key.
            self.mesh.handle_clock_jump(now);
        }

        if self.round <= now {
            self.round = now + ROUND;
            self.begin_round(now);
        }
        if self.hold_down.is_due(now) {
            self.reach(now);
        }
        if self.guard_retry.poll(now) {
            self.submit(Request::Guard, now);
        }
        self.mesh.handle_timeout(now);
    }

    /// The wall clock was set: every session ends when its certificates do.
    fn follow_wall_clock(&mut self, now: Instant) {
        tracing::info!("The clock was set; sessions end when their certificates do");

        let sessions = self.sessions.iter();
        let ends: Vec<_> = sessions
            .map(|(conn, session)| (conn, self.wall.instant(session.expires)))
            .collect();
        for (conn, expires) in ends {
            self.mesh.handle_expiry(conn, expires, now);
        }
    }

    fn begin_round(&mut self, now: Instant) {
        self.effects.push_back(Effect::CheckDevice);
        self.effects.push_back(Effect::ReadActivity);
        self.tell_addresses();
        self.tell_resolvers();
        for name in self.alarms.over(now) {
            self.effects.push_back(Effect::Clear(name));
        }
        self.ask_data_plane(PacketEffect::ExpireKeys);
        if let Some(to) = self.sharing.due(now) {
            self.ask_data_plane(PacketEffect::ShareFlows { to });
        }
        if self.heap.is_due(now) {
            self.effects.push_back(Effect::TrimHeap);
        }

        // The mesh replaces such a session once it is in use; until then this is repeated.
        for conn in self.sessions.find(|session| session.is_outdated) {
            self.mesh.handle_silent(conn, now);
        }
    }

    /// Attached nodes learn where the consortium's names are answered.
    fn tell_resolvers(&mut self) {
        let listen = self.current.config.dns.listen.iter();
        // A stub resolver's configuration has no place for another port.
        let usual = listen.filter(|address| address.port() == DNS_PORT);
        let reachable = usual
            .map(SocketAddr::ip)
            .filter(|address| !address.is_loopback() && !address.is_unspecified());

        self.mesh
            .handle_resolvers(reachable.take(MAX_RESOLVERS).collect());
    }

    /// Siblings learn where this host is inside our site: the record names no address there.
    fn tell_addresses(&mut self) {
        let listen = self.current.config.listen;
        let site = self.membership.local_prefixes();
        let inside = self.current.links.preferred_addresses().filter(|own| {
            // The tunnel's socket may listen on one address only.
            let is_bound = listen.ip().is_unspecified() || listen.ip() == *own;
            is_bound && site.iter().any(|prefix| prefix.contains(*own))
        });

        let addresses = inside.map(|own| SocketAddr::new(own, listen.port()));
        self.mesh
            .handle_addresses(addresses.take(MAX_ADDRESSES).collect());
    }

    fn shut_down(&mut self, now: Instant) {
        // A second signal must not begin the withdrawal again.
        if self.phase == Phase::Running {
            self.phase = Phase::Leaving;
            self.changes.close();
            self.mesh.handle_shutdown(now);
        }
    }

    /// Registers a connection, if its peer has this gateway's trust.
    fn connected(&mut self, conn: ConnId, handshake: Handshake, now: Instant) {
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

    fn message(&mut self, conn: ConnId, incoming: Incoming, now: Instant) {
        match incoming {
            Incoming::Message(message) => self.mesh.handle_message(conn, message, now),
            Incoming::Malformed { kind, error } => {
                self.mesh.handle_malformed(conn, kind, error, now);
            }
        }
    }

    fn disconnected(&mut self, conn: ConnId, error: ConnectionError, now: Instant) {
        self.effects.push_back(Effect::ForgetLink { conn });

        self.drop_session(conn, now);
        self.mesh.handle_disconnected(conn, error, now);
    }

    /// Replaces sessions whose control stream is about to end, before it does.
    fn replace_silent(&mut self, activity: &[Activity], now: Instant) {
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

    fn challenge(&mut self, index: SessionIndex, from: SocketAddr, random: u64) {
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

    fn challenge_answered(
        &mut self,
        index: SessionIndex,
        token: u64,
        from: SocketAddr,
        to: Option<std::net::IpAddr>,
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

    /// Has `request` carried out now, or after the change under way.
    fn submit(&mut self, request: Request, now: Instant) {
        let id = self.next_change();

        if let Some(request) = self.changes.submit(request, id) {
            self.begin(request, id, now);
        }
    }

    /// The change under way has ended: the next of those that wait.
    pub(crate) fn end_change(&mut self, now: Instant) {
        // A reload leaves the old configuration and the old zone behind.
        self.heap.note_freed(now);
        let id = self.next_change();

        if let Some(request) = self.changes.finish(id) {
            self.begin(request, id, now);
        }
    }

    fn begin(&mut self, request: Request, id: ChangeId, now: Instant) {
        match request {
            Request::Host(links) => self.begin_host_change(id, links, now),
            Request::Certificate => self.begin_rotation(id),
            Request::Guard => self.begin_guarding(id),
            Request::Reload => self.begin_reload(id),
        }
    }

    fn next_change(&mut self) -> ChangeId {
        self.last_change = ChangeId(self.last_change.0 + 1);
        self.last_change
    }
}
