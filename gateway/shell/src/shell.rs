//! [`Shell`]: the machine. This file owns the way of each input; connections are in `connections`,
//! what time brings in `rounds`, and what others may see in `views`. What the mesh wants is carried
//! out in `perform`, changes to what is in force in `reload` and `host`.

mod connections;
mod rounds;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Config, Faults, GatewayId, Ruling};
use ringway_core::{ByeCode, ConnId, Fib, Membership, Mesh};

use crate::alarms::Alarms;
use crate::announcer::Announcer;
use crate::carrier::Carrier;
use crate::challenges::Challenges;
use crate::changes::{ChangeId, Changes, Request};
use crate::clock::{Clock, WallClock};
use crate::current::CurrentConfig;
use crate::drift::Drifts;
use crate::effect::Effect;
use crate::former::FormerPolicies;
use crate::guard_retry::GuardRetry;
use crate::heap::Heap;
use crate::hold_down::HoldDown;
use crate::input::Input;
use crate::inspector::Inspector;
use crate::outages::Outages;
use crate::phase::Phase;
use crate::refusal::Refusal;
use crate::routes::RouteKeeper;
use crate::session::Sessions;
use crate::sharing::Sharing;
use crate::start::Start;
use crate::tables::SiteNumbers;
use crate::watch::KernelWatch;

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
    /// The configuration of which siblings were last told what must be alike.
    pub(crate) told: Option<Arc<Config>>,
    pub(crate) former: FormerPolicies,
    /// The last reload, if it was refused.
    pub(crate) refusal: Option<Refusal>,
    /// Why the reload under way is refused, until what it takes away is in force.
    pub(crate) refused: Option<Faults>,
    pub(crate) alarms: Alarms,
    pub(crate) announcer: Announcer,
    pub(crate) carrier: Carrier,
    pub(crate) drifts: Drifts,
    /// Bytes of the largest outer packet that reaches each peer whole, where that is known.
    pub(crate) path_mtus: BTreeMap<GatewayId, u16>,
    pub(crate) changes: Changes,
    last_change: ChangeId,
    /// The change whose guard is on its way to the kernel.
    pub(crate) guarding: Option<ChangeId>,
    pub(crate) guard_retry: GuardRetry,
    pub(crate) routes: RouteKeeper,
    pub(crate) watch: KernelWatch,
    pub(crate) inspector: Inspector,
    /// The forwarding that this daemon switches on is off: the packet filter is missing.
    pub(crate) is_closed: bool,
    pub(crate) closed_since: Instant,
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
            told: None,
            former: FormerPolicies::new(former_policies, now),
            refusal: None,
            refused: None,
            alarms: Alarms::default(),
            announcer: Announcer::default(),
            carrier: Carrier::default(),
            drifts: Drifts::default(),
            path_mtus: BTreeMap::new(),
            changes: Changes::default(),
            last_change: ChangeId(0),
            guarding: None,
            guard_retry: GuardRetry::default(),
            routes: RouteKeeper::new(BTreeMap::new(), now),
            watch: KernelWatch::new(now),
            inspector: Inspector::new(now),
            is_closed: false,
            closed_since: now,
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
        shell.outages.set_membership(&shell.membership);
        let links = shell.current.links.clone();
        shell.follow_carrier(&links, now);
        // The first effects: tables without sessions, unreachable routes to all remote prefixes,
        // and the dials.
        shell.plan_routes(now);
        shell.tell_addresses();
        shell.tell_settings(now);
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
            self.inspector.poll_timeout(),
            self.guard_retry.poll_timeout(),
            self.drifts.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .chain([self.clock.next()])
        .min()
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
            Input::WireGuard(clients) => self.mesh.handle_wireguard(clients, now),
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
            Input::Inspected(findings) => self.inspected(findings, now),
            Input::RecordsRead(files) => self.records_read(files, now),
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
            if self.inspector.poll(now) {
                let inspection = Box::new(self.inspection());
                self.effects.push_back(Effect::Inspect(inspection));
            }
            if self.drifts.poll(now) {
                self.effects.push_back(Effect::ReadRecords);
            }
        }

        let is_written =
            self.guarding.is_none() && self.routes.is_settled() && !self.watch.is_checking();
        if self.phase == Phase::Drained && is_written {
            self.phase = Phase::Stopped;
            self.effects.push_back(Effect::Stop);
        }
    }

    fn shut_down(&mut self, now: Instant) {
        // A second signal must not begin the withdrawal again.
        if self.phase == Phase::Running {
            self.phase = Phase::Leaving;
            self.changes.close();
            self.mesh.handle_shutdown(now);
        }
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
