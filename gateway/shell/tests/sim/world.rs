//! [`World`]: virtual time, the gateways and everything that is under way between them. Each
//! gateway runs the real [`Shell`]; its ports are in `ports` and `links`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::{Digest, Policy, accepted, rule};
use ringway_core::{
    BootId, ByeCode, ConnId, ConnectionError, DialError, DialId, Incoming, Membership, Secret,
    SessionIndex, Settings,
};
use ringway_filter::{FlowRecord, RulesSpec};
use ringway_intent::held;
use ringway_shell::{
    Companions, CurrentConfig, Effect, Input, PacketEffect, Shell, SiteNumber, Start, Tables,
};

use crate::consortium::{self, Records};
use crate::exchange::Exchange;
use crate::flows::Exchanges;
use crate::incident::Incident;
use crate::invariant;
use crate::links::Dialled;
use crate::network::Network;
use crate::node::{self, Daemon, Expected, Node};
use crate::ports::Answer;
use crate::rng::Rng;
use crate::wire::{self, Item, Wire};

/// How long a connection survives without anything getting through.
const IDLE: Duration = Duration::from_secs(8);

/// What a run proved wrong.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) struct World {
    pub(crate) now: Instant,
    start: Instant,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    pub(crate) rng: Rng,
    pub(crate) network: Network,
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Node>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) violation: Option<Violation>,
    /// Data packets that a site received.
    pub(crate) delivered: usize,
    /// What hosts have asked.
    pub(crate) exchanges: Exchanges,
    /// Ports fail, and answer late.
    pub(crate) is_chaotic: bool,
    /// Ports look at certificates. For positive controls: else only the mesh does.
    pub(crate) checks_trust: bool,
    /// Prints what happens.
    pub(crate) verbose: bool,
}

/// What is under way.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node asked to be woken.
    Wake { node: usize },
    /// A handshake reaches the dialled gateway.
    Dialled(Dialled),
    /// The handshake is done, as far as the dialler knows.
    Answered { wire: usize, dial: DialId },
    /// A dial came to nothing.
    DialFailed {
        node: usize,
        life: u64,
        dial: DialId,
        error: DialError,
    },
    /// The next item of a stream arrives at an end.
    Arrival { wire: usize, end: usize },
    /// A connection is found broken at an end.
    Broken { wire: usize, end: usize },
    /// A packet of the data path arrives at an end.
    Datagram {
        wire: usize,
        end: usize,
        index: SessionIndex,
        content: Content,
    },
    /// A port answers.
    Answer {
        node: usize,
        life: u64,
        answer: Answer,
    },
    /// Something that the run planned.
    Planned(Box<Incident>),
}

/// What a packet of the data path holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    Probe(u64),
    Echo(u64),
    /// Somebody's IP packet.
    Data,
    /// A host of the site has opened a flow.
    Flow(FlowRecord),
    /// The answer to a host of the site.
    Reply(Exchange),
    /// The same, from another gateway of the site, which knows nothing about it.
    Handed(Exchange),
}

struct Scheduled {
    at: Instant,
    number: u64,
    event: Event,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings, network: Network) -> Self {
        let now = Instant::now();

        Self {
            now,
            start: now,
            queue: BinaryHeap::new(),
            scheduled: 0,
            rng: Rng::new(seed),
            network,
            settings,
            nodes: Vec::new(),
            wires: Vec::new(),
            violation: None,
            delivered: 0,
            exchanges: Exchanges::default(),
            is_chaotic: false,
            checks_trust: true,
            verbose: false,
        }
    }

    /// One node per gateway and attached node of `records`, none of them running.
    pub(crate) fn populate(&mut self, records: &Records) {
        for (id, info) in records.values().flat_map(|record| &record.gateways) {
            self.nodes
                .push(Node::new(id.clone(), info.site.clone(), records.clone()));
        }
        for record in records.values() {
            let attached = record.nodes.keys();
            self.nodes
                .extend(attached.map(|name| Node::attached(name, record)));
        }

        for a in 0..self.nodes.len() {
            for b in 0..a {
                let [here, there] = [a, b].map(|node| &self.nodes[node]);
                if here.id.org == there.id.org && here.site == there.site {
                    self.network.join(a, b);
                }
            }
        }
    }

    pub(crate) fn find(&self, id: &str) -> usize {
        self.nodes.iter().position(|node| node.host == id).unwrap()
    }

    /// Starts every node's daemon.
    pub(crate) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    /// Starts a node's daemon with what its files say.
    pub(crate) fn start(&mut self, node: usize) {
        let boot = BootId(u128::from(self.rng.next()).to_be_bytes());
        let seed = self.rng.next();
        let mut settings = self.settings.clone();
        let now = self.now;
        let wall_time = self.wall_time(node);

        let gateway = &mut self.nodes[node];
        gateway.life += 1;
        gateway.has_lied = false;
        let random = Secret(Digest::of(&boot.0).0);
        settings.secret = *gateway.disk.secret.get_or_insert(random);
        settings.sibling_secrets = gateway.disk.sibling_secrets.clone();
        settings.starts = gateway.life as u32;
        let records = gateway.disk.records.clone();
        let config = Arc::new(consortium::config(&gateway.id, &gateway.site, &records));
        let connected = gateway.connected();
        let rulings = rule(&config, &connected, &gateway.disk.accepted);
        let accepted = accepted::after(&config, &rulings, &gateway.disk.accepted);
        gateway.save_accepted(&accepted);
        gateway.disk.held = held(&config, &rulings, &gateway.disk.held);
        gateway.set_up_kernel(&config, &rulings);

        let certificate = gateway.disk.certificate;
        let membership = Arc::new((gateway.derive)(&config, &rulings));
        let current = CurrentConfig {
            config,
            rulings,
            connected,
            links: gateway.kernel.links.clone(),
            accepted: gateway.disk.accepted.clone(),
            certificate,
            held: gateway.disk.held.clone(),
        };
        let start = Start {
            current,
            membership,
            derive: gateway.derive,
            settings,
            boot,
            seed,
            former_policies: Vec::new(),
            boot_time: now - self.start,
            wall_time,
        };
        gateway.daemon = Some(Daemon {
            shell: Shell::new(start, now),
            life: gateway.life,
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            sites: BTreeMap::new(),
            flows: None,
            tables: no_tables(),
            links: BTreeMap::new(),
            certificate,
            rotated: now,
            records: records.clone(),
            pending: BTreeMap::new(),
            guarding: None,
            applied: gateway.kernel.guard.clone(),
            is_checking: false,
            is_syncing: false,
            is_sync_refused: false,
            slept: Duration::ZERO,
            expected: Expected {
                records,
                certificate,
                must_read_config: false,
                must_read_identity: false,
            },
        });
        gateway.stopped = None;
        gateway.note_members();
        self.log(node, "starts");
        self.carry_out(node);
    }

    /// Another daemon takes a node's place at once.
    pub(crate) fn restart(&mut self, node: usize) {
        self.kill(node);

        self.start(node);
    }

    /// The daemon dies without a word. Some peers learn of it by a reset, some by silence.
    pub(crate) fn kill(&mut self, node: usize) {
        self.log(node, "dies");
        self.nodes[node].die();

        for wire in 0..self.wires.len() {
            for end in 0..2 {
                let here = &self.wires[wire].ends[end];
                if here.node != node || !here.open {
                    continue;
                }
                self.wires[wire].ends[end].open = false;
                if self.rng.chance(500) {
                    let after = self.rng.millis(0, 10_000);
                    self.schedule(after, Event::Broken { wire, end: 1 - end });
                }
            }
        }
    }

    /// One of the node's connections breaks; each end finds out for itself.
    pub(crate) fn break_one(&mut self, node: usize) {
        let wires: Vec<usize> = (0..self.wires.len())
            .filter(|wire| {
                self.wires[*wire]
                    .ends
                    .iter()
                    .any(|end| end.node == node && end.open)
            })
            .collect();
        if wires.is_empty() {
            return;
        }

        let wire = wires[self.rng.below(wires.len())];
        for end in 0..2 {
            let after = self.rng.millis(0, 3000);
            self.schedule(after, Event::Broken { wire, end });
        }
    }

    /// Runs until `end`, or the first violation.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let end = self.now + time;

        while self
            .queue
            .peek()
            .is_some_and(|Reverse(next)| next.at <= end)
        {
            let Some(Reverse(next)) = self.queue.pop() else {
                break;
            };
            self.now = next.at;
            self.happen(next.event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }

        self.now = end;
        Ok(())
    }

    pub(crate) fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;

        self.queue.push(Reverse(Scheduled {
            at: self.now + after,
            number: self.scheduled,
            event,
        }));
    }

    /// Hands an input to a node's shell, if one runs, and carries out its effects.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let now = self.now;

        if let Some(daemon) = &mut self.nodes[node].daemon {
            daemon.shell.handle(input, now);
            self.carry_out(node);
        }
    }

    /// Carries out every effect of a node's shell, as the gateway's executor does, and checks what
    /// it published.
    fn carry_out(&mut self, node: usize) {
        let mut has_published = false;
        let mut before = None;
        let mut ended = Vec::new();

        while let Some(daemon) = &mut self.nodes[node].daemon {
            let Some(effect) = daemon.shell.poll_effect() else {
                break;
            };
            has_published |= matches!(effect, Effect::Packets(PacketEffect::Publish(_)));
            if let (Effect::Close { conn, .. }, Some(_)) = (&effect, &before) {
                ended.push(*conn);
            }
            self.log_effect(node, &effect);
            if let Some(answer) = self.perform(node, effect) {
                before = self.answer_at_once(node, answer).or(before);
            }
        }

        // A change of membership must cut no member.
        if let Some(before) = before.filter(|_| self.nodes[node].runs()) {
            invariant::only_removed_are_cut(self, node, &before, &ended);
        }

        if has_published && self.nodes[node].runs() {
            invariant::tables_are_sound(self, node);
        }
        self.set_alarm_clock(node);
    }

    /// An answer goes back in before the next effect. Gives the membership before an adoption.
    fn answer_at_once(&mut self, node: usize, answer: Input) -> Option<Membership> {
        let is_adoption = matches!(answer, Input::Adopted { .. });
        let now = self.now;
        let daemon = self.nodes[node].running_mut();
        let before = is_adoption.then(|| daemon.shell.membership().clone());

        daemon.shell.handle(answer, now);
        before
    }

    fn set_alarm_clock(&mut self, node: usize) {
        let now = self.now;
        let Some(at) = self.nodes[node]
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.shell.poll_timeout())
        else {
            return;
        };

        if self.nodes[node].wake.is_none_or(|known| at < known) {
            self.nodes[node].wake = Some(at);
            self.schedule(at.saturating_duration_since(now), Event::Wake { node });
        }
    }

    /// How many events there were, or will be.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled
    }

    pub(crate) fn violate(&mut self, text: String) {
        let at = self.now - self.start;

        self.violation
            .get_or_insert(Violation(format!("after {at:?}: {text}")));
    }

    pub(crate) fn log(&self, node: usize, text: &str) {
        if self.verbose {
            println!(
                "{:>10.3?} {} {text}",
                self.now - self.start,
                self.nodes[node].id
            );
        }
    }

    fn log_effect(&self, node: usize, effect: &Effect) {
        let is_frequent = matches!(
            effect,
            Effect::Packets(PacketEffect::Probe { .. })
                | Effect::Packets(PacketEffect::Publish(_))
                | Effect::ExpectPeers(_)
                | Effect::Send { .. }
                | Effect::SetReach { .. }
                | Effect::SyncRoutes(_)
                | Effect::CheckDevice
                | Effect::ReadActivity
                | Effect::Packets(PacketEffect::ExpireKeys)
                | Effect::Packets(PacketEffect::ShareFlows { .. })
                | Effect::ForgetZone { .. }
                | Effect::OfferZone { .. }
        );

        if self.verbose && !is_frequent {
            let text: String = format!("{effect:?}").chars().take(200).collect();
            self.log(node, &text);
        }
    }

    /// The wall clock of a node.
    pub(crate) fn wall_time(&self, node: usize) -> Duration {
        let node = &self.nodes[node];
        let slept = node.daemon.as_ref().map(|daemon| daemon.slept);
        let passed = self.now - self.start + slept.unwrap_or_default();

        node::EPOCH + node.clock_ahead + passed
    }

    /// Time since boot, as a node's daemon sees it.
    pub(crate) fn tick(&mut self, node: usize) {
        if let Some(daemon) = &self.nodes[node].daemon {
            let boot = self.now - self.start + daemon.slept;
            let wall = self.wall_time(node);
            self.input(node, Input::Tick { boot, wall });
        }
    }

    /// The machine of a node stands still for a while: what happens to it waits.
    pub(crate) fn pause(&mut self, node: usize, time: Duration) {
        self.nodes[node].paused = Some(self.now + time);
    }

    /// The node that an event happens to.
    fn affected(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Wake { node } | Event::DialFailed { node, .. } | Event::Answer { node, .. } => {
                Some(*node)
            }
            Event::Dialled(handshake) => Some(handshake.to),
            Event::Answered { wire, .. } => Some(self.wires[*wire].ends[0].node),
            Event::Arrival { wire, end }
            | Event::Broken { wire, end }
            | Event::Datagram { wire, end, .. } => Some(self.wires[*wire].ends[*end].node),
            Event::Planned(_) => None,
        }
    }

    fn happen(&mut self, event: Event) {
        let affected = self.affected(&event);
        let paused = affected.and_then(|node| self.nodes[node].paused);
        if let Some(until) = paused.filter(|until| *until > self.now) {
            return self.schedule(until - self.now, event);
        }

        match event {
            Event::Wake { node } => {
                if self.nodes[node].wake.is_some_and(|at| at <= self.now) {
                    self.nodes[node].wake = None;
                    self.tick(node);
                }
            }
            Event::Dialled(handshake) => self.dialled(handshake),
            Event::Answered { wire, dial } => self.answered(wire, dial),
            Event::DialFailed {
                node,
                life,
                dial,
                error,
            } => {
                if self.nodes[node].life == life {
                    self.input(node, Input::DialFailed { dial, error });
                }
            }
            Event::Arrival { wire, end } => self.arrival(wire, end),
            Event::Broken { wire, end } => self.broken(wire, end, ConnectionError::Reset),
            Event::Datagram {
                wire,
                end,
                index,
                content,
            } => self.datagram(wire, end, index, content),
            Event::Answer { node, life, answer } => self.answered_by_port(node, life, answer),
            Event::Planned(incident) => incident.strike(self),
        }
    }

    fn answered_by_port(&mut self, node: usize, life: u64, answer: Answer) {
        let gateway = &mut self.nodes[node];
        let runs = gateway
            .daemon
            .as_ref()
            .is_some_and(|daemon| daemon.life == life);

        if runs {
            let input = match answer {
                Answer::Input(input) => input,
                Answer::Routes { plan, outcome } => self.routes_synced(node, plan, outcome),
                Answer::Guard {
                    change,
                    spec,
                    result,
                } => self.guard_applied(node, change, *spec, result),
                Answer::Check { leave } => self.kernel_checked(node, &leave),
            };
            self.input(node, input);
        } else if let Answer::Input(input) = answer {
            self.answered_too_late(node, life, input);
        }
    }

    /// A daemon that has stopped must do nothing any more.
    fn answered_too_late(&mut self, node: usize, life: u64, input: Input) {
        let now = self.now;
        let Some(stopped) = &mut self.nodes[node].stopped else {
            return;
        };
        if stopped.life != life {
            return;
        }

        stopped.shell.handle(input, now);
        if let Some(effect) = stopped.shell.poll_effect() {
            self.accuse(node, &format!("acts after it has stopped: {effect:?}"));
        }
    }

    fn arrival(&mut self, wire: usize, end: usize) {
        let here = self.wires[wire].ends[end].node;
        let there = self.wires[wire].ends[1 - end].node;
        if self.network.is_cut_from(there, here) {
            let since = *self.wires[wire].ends[end].stalled.get_or_insert(self.now);
            if self.now - since < IDLE {
                self.schedule(Duration::from_millis(250), Event::Arrival { wire, end });
            } else {
                self.broken(wire, end, timed_out());
            }
            return;
        }

        self.wires[wire].ends[end].stalled = None;
        let item = self.wires[wire].ends[end].queue.pop_front();
        if !self.is_open(wire, end) {
            return;
        }
        match item {
            Some(Item::Connected) => self.connected(wire, end, None),
            Some(Item::Bytes(bytes)) => self.bytes(wire, end, &bytes),
            Some(Item::Closed) => {
                self.broken(wire, end, ConnectionError::ClosedByPeer(ByeCode::Replaced));
            }
            None => {}
        }
    }

    /// Feeds a control stream in two arbitrary pieces, as a socket would.
    fn bytes(&mut self, wire: usize, end: usize, bytes: &[u8]) {
        let conn = wire::conn(wire, end);
        let node = self.wires[wire].ends[end].node;
        let (first, second) = bytes.split_at(self.rng.below(bytes.len() + 1));

        for piece in [first, second] {
            self.wires[wire].ends[end].decoder.push(piece);
            while let Ok(Some(incoming)) = self.wires[wire].ends[end].decoder.next() {
                if let Incoming::Malformed { kind, error } = &incoming {
                    self.violate(format!("malformed {kind}: {error}"));
                }
                self.input(node, Input::Message { conn, incoming });
            }
        }
    }

    fn broken(&mut self, wire: usize, end: usize, error: ConnectionError) {
        if !self.is_open(wire, end) {
            return;
        }

        self.wires[wire].ends[end].open = false;
        let conn = wire::conn(wire, end);
        let node = self.wires[wire].ends[end].node;
        self.input(node, Input::Disconnected { conn, error });
    }

    /// True if the daemon that held this end still does.
    pub(crate) fn is_open(&self, wire: usize, end: usize) -> bool {
        let end = &self.wires[wire].ends[end];

        end.open && self.nodes[end.node].runs() && self.nodes[end.node].life == end.life
    }

    /// True if the node's end of `conn` is one of the daemon that runs.
    pub(crate) fn is_held(&self, conn: ConnId) -> bool {
        let (wire, end) = wire::end_of(conn);

        self.is_open(wire, end)
    }
}

fn no_tables() -> Tables {
    Tables {
        attached: Default::default(),
        nodes_reach_each_other: false,
        site: SiteNumber(0),
        local: Vec::new(),
        connected: Vec::new(),
        authorized: Vec::new(),
        routes: BTreeMap::new(),
        outages: BTreeMap::new(),
        tunnel: Default::default(),
        sessions: Default::default(),
        rules: RulesSpec {
            policy: Policy::default(),
            former: Vec::new(),
            site: 0,
            own: Vec::new(),
            sites: Vec::new(),
            names: [].into(),
            dns: Vec::new(),
            gateway: Vec::new(),
            tunnel_port: 0,
        },
        companions: Companions::default(),
    }
}

fn timed_out() -> ConnectionError {
    let remote = SocketAddr::from(([203, 0, 113, 5], 4600));

    ConnectionError::TimedOut { remote }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}
