//! [`World`]: virtual time, the gateways and everything that is under way between them. Each runs
//! the real [`Shell`](ringway_shell::Shell). This file owns time: each event happens to its node
//! when it is due. What nodes do is elsewhere: `lifecycle` starts and ends their daemons,
//! `executor` carries out what their shells want, `links`, `streams` and `packets` are the ways
//! between them, and `ports` are their hosts.

use std::time::{Duration, Instant};

use ringway_core::{ConnectionError, Settings};
use ringway_shell::Input;

use crate::agenda::Agenda;
use crate::consortium::Records;
use crate::event::Event;
use crate::flows::Exchanges;
use crate::network::Network;
use crate::node::{self, Node};
use crate::rng::Rng;
use crate::wire::Wire;

/// What a run proved wrong.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    agenda: Agenda,
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

impl World {
    pub(crate) fn new(seed: u64, settings: Settings, network: Network) -> Self {
        let now = Instant::now();

        Self {
            now,
            start: now,
            agenda: Agenda::default(),
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

    /// Runs until `end`, or the first violation.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let end = self.now + time;

        while let Some((at, event)) = self.agenda.pop(end) {
            self.now = at;
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }

        self.now = end;
        Ok(())
    }

    pub(crate) fn schedule(&mut self, after: Duration, event: Event) {
        self.agenda.push(self.now + after, event);
    }

    /// How many events there were, or will be.
    pub(crate) fn scheduled(&self) -> u64 {
        self.agenda.scheduled()
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

    /// The wall clock of a node.
    pub(crate) fn wall_time(&self, node: usize) -> Duration {
        let node = &self.nodes[node];
        let slept = node.daemon.as_ref().map(|daemon| daemon.slept);
        let passed = self.now - self.start + slept.unwrap_or_default();

        node::EPOCH + node.clock_ahead + passed
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
}
