//! [`World`]: virtual time, the gateways and everything that is under way between them. It stands in for
//! the shells: what a mesh wants done is done in `shell`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;
use ringway_core::{
    Action, BootId, ByeCode, ConnId, ConnectionError, DialError, DialId, Incoming, Mesh,
    SessionIndex, Settings,
};

use crate::consortium::Records;
use crate::dice::Dice;
use crate::invariant;
use crate::network::Network;
use crate::node::Node;
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
    pub(crate) dice: Dice,
    pub(crate) network: Network,
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Node>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) violation: Option<Violation>,
    /// Data packets that a site received.
    pub(crate) delivered: usize,
    /// Prints what happens.
    pub(crate) verbose: bool,
}

/// What is under way.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node asked to be woken.
    Wake { node: usize },
    /// A handshake reaches the dialled gateway.
    Dialled {
        from: usize,
        life: u64,
        dial: DialId,
        peer: GatewayId,
        to: usize,
    },
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
    /// Something that the run planned.
    Planned(Box<crate::chaos::Deed>),
}

/// What a packet of the data path holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    Probe(u64),
    Echo(u64),
    /// Somebody's IP packet.
    Data,
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
            dice: Dice::new(seed),
            network,
            settings,
            nodes: Vec::new(),
            wires: Vec::new(),
            violation: None,
            delivered: 0,
            verbose: false,
        }
    }

    /// One node per gateway of `records`, none of them running.
    pub(crate) fn populate(&mut self, records: &Records) {
        for (id, info) in records.values().flat_map(|record| &record.gateways) {
            self.nodes
                .push(Node::new(id.clone(), info.site.clone(), records.clone()));
        }
    }

    pub(crate) fn find(&self, id: &str) -> usize {
        self.nodes.iter().position(|node| node.host == id).unwrap()
    }

    /// Starts a node's daemon.
    pub(crate) fn start(&mut self, node: usize) {
        let (boot, seed) = (self.dice.next(), self.dice.next());
        let boot = BootId(u128::from(boot).to_be_bytes());
        let (settings, now) = (self.settings.clone(), self.now);
        let gateway = &mut self.nodes[node];
        gateway.life += 1;
        gateway.mesh = Some(Mesh::new(gateway.told(), settings, boot, seed, now));
        self.log(node, "starts");
        self.input(node, |_, _| {});
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
                if self.dice.chance(500) {
                    let after = self.dice.millis(0, 10_000);
                    self.schedule(after, Event::Broken { wire, end: 1 - end });
                }
            }
        }
    }

    /// One of the node's connections breaks; each end finds out for itself.
    pub(crate) fn break_one(&mut self, node: usize) {
        let held = |wire: &usize| {
            self.wires[*wire]
                .ends
                .iter()
                .any(|end| end.node == node && end.open)
        };
        let wires: Vec<usize> = (0..self.wires.len()).filter(held).collect();
        if wires.is_empty() {
            return;
        }
        let wire = wires[self.dice.below(wires.len())];
        for end in 0..2 {
            let after = self.dice.millis(0, 3000);
            self.schedule(after, Event::Broken { wire, end });
        }
    }

    /// Hands new records to a node; other tunnels than those of removed gateways must not notice.
    pub(crate) fn hand_records(&mut self, node: usize, records: Records) {
        let before = self.nodes[node].membership().clone();
        self.nodes[node].hold(records);
        let told = self.nodes[node].told();
        let ended = self.input(node, |mesh, now| mesh.handle_membership(told, now));
        invariant::only_removed_are_cut(self, node, &before, &ended);
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

    /// Hands an input to a node's mesh, carries out its actions and checks what it published.
    /// Returns the connections that it ended.
    pub(crate) fn input(
        &mut self,
        node: usize,
        handle: impl FnOnce(&mut Mesh, Instant),
    ) -> Vec<ConnId> {
        let now = self.now;
        let Some(mesh) = self.nodes[node].mesh.as_mut() else {
            return Vec::new();
        };
        handle(mesh, now);
        let actions: Vec<Action> = std::iter::from_fn(|| mesh.poll_action()).collect();
        let wake = mesh.poll_timeout();
        let published = actions
            .iter()
            .any(|action| matches!(action, Action::Publish(_)));
        let mut ended = Vec::new();
        for action in actions {
            if let Action::Close { conn, .. } | Action::Retire { conn } = action {
                ended.push(conn);
            }
            self.carry_out(node, action);
        }
        if published {
            invariant::table_is_sound(self, node);
        }
        if let Some(at) = wake.filter(|at| self.nodes[node].wake.is_none_or(|known| *at < known)) {
            self.nodes[node].wake = Some(at);
            self.schedule(at.saturating_duration_since(now), Event::Wake { node });
        }
        ended
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

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node } => {
                if self.nodes[node].wake.is_some_and(|at| at <= self.now) {
                    self.nodes[node].wake = None;
                    self.input(node, Mesh::handle_timeout);
                }
            }
            Event::Dialled {
                from,
                life,
                dial,
                peer,
                to,
            } => self.dialled(from, life, dial, &peer, to),
            Event::Answered { wire, dial } => self.answered(wire, dial),
            Event::DialFailed {
                node,
                life,
                dial,
                error,
            } if self.nodes[node].life == life => {
                self.input(node, |mesh, now| mesh.handle_dial_failed(dial, error, now));
            }
            Event::DialFailed { .. } => {}
            Event::Arrival { wire, end } => self.arrival(wire, end),
            Event::Broken { wire, end } => self.broken(wire, end, ConnectionError::Reset),
            Event::Datagram {
                wire,
                end,
                index,
                content,
            } => self.datagram(wire, end, index, content),
            Event::Planned(deed) => deed.done(self),
        }
    }

    fn arrival(&mut self, wire: usize, end: usize) {
        let (here, there) = (
            self.wires[wire].ends[end].node,
            self.wires[wire].ends[1 - end].node,
        );
        if self.network.is_cut(here, there) {
            let since = *self.wires[wire].ends[end].stalled.get_or_insert(self.now);
            match self.now - since < IDLE {
                true => self.schedule(Duration::from_millis(250), Event::Arrival { wire, end }),
                false => self.broken(wire, end, timed_out()),
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
                self.broken(wire, end, ConnectionError::ClosedByPeer(ByeCode::Replaced))
            }
            None => {}
        }
    }

    /// Feeds a control stream in two arbitrary pieces, as a socket would.
    fn bytes(&mut self, wire: usize, end: usize, bytes: &[u8]) {
        let (conn, node) = (wire::conn(wire, end), self.wires[wire].ends[end].node);
        let (first, second) = bytes.split_at(self.dice.below(bytes.len() + 1));
        for piece in [first, second] {
            self.wires[wire].ends[end].decoder.push(piece);
            while let Ok(Some(incoming)) = self.wires[wire].ends[end].decoder.next() {
                match incoming {
                    Incoming::Message(message) => {
                        self.input(node, |mesh, now| mesh.handle_message(conn, message, now));
                    }
                    Incoming::Malformed { kind, error } => {
                        self.violate(format!("malformed {kind}: {error}"))
                    }
                }
            }
        }
    }

    fn broken(&mut self, wire: usize, end: usize, error: ConnectionError) {
        if !self.is_open(wire, end) {
            return;
        }
        self.wires[wire].ends[end].open = false;
        let (conn, node) = (wire::conn(wire, end), self.wires[wire].ends[end].node);
        self.nodes[node].drop_keys(conn);
        self.input(node, |mesh, now| mesh.handle_disconnected(conn, error, now));
    }

    /// True if the daemon that held this end still does.
    pub(crate) fn is_open(&self, wire: usize, end: usize) -> bool {
        let end = &self.wires[wire].ends[end];
        end.open && self.nodes[end.node].runs() && self.nodes[end.node].life == end.life
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
