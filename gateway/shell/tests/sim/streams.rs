//! Control streams: what one end sends arrives at the other in order and late, until the connection
//! is closed, breaks or times out.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_core::{ByeCode, ConnId, ConnectionError, Incoming, Message};
use ringway_shell::Input;

use crate::event::Event;
use crate::wire::{self, Item};
use crate::world::World;

/// How long a connection survives without anything getting through.
const IDLE: Duration = Duration::from_secs(8);

impl World {
    /// The keys that open a peer's packets must be in the tables before our `Hello` names them.
    pub(crate) fn send_message(&mut self, node: usize, conn: ConnId, message: &Message) {
        let daemon = self.nodes[node].running();
        let is_open = daemon.tables.sessions.contains(&conn);
        let is_started = daemon.links.get(&conn).is_some_and(|link| link.is_started);

        if matches!(message, Message::Hello(_)) && !is_open {
            self.accuse(
                node,
                "says Hello before the keys that it names are published",
            );
        }
        if !is_started {
            self.accuse(node, "sends on a link that was not started");
        }
        self.send(conn, wire::Item::Bytes(message.encode()));
    }

    pub(crate) fn start_link(&mut self, node: usize, conn: ConnId) {
        match self.nodes[node].running_mut().links.get_mut(&conn) {
            Some(link) => link.is_started = true,
            None => self.accuse(node, "starts a link that does not exist"),
        }
    }

    pub(crate) fn send(&mut self, conn: ConnId, item: Item) {
        let (wire, end) = wire::end_of(conn);
        if !self.wires[wire].ends[end].open {
            return;
        }

        let [from, to] = [end, 1 - end].map(|end| self.wires[wire].ends[end].node);
        let arrival = self.now + self.network.stream_transit(from, to, &mut self.rng);
        let there = &mut self.wires[wire].ends[1 - end];
        there.arrival = there.arrival.max(arrival);
        there.queue.push_back(item);
        let after = there.arrival - self.now;
        self.schedule(after, Event::Arrival { wire, end: 1 - end });
    }

    /// Says goodbye and closes.
    pub(crate) fn close_link(&mut self, node: usize, conn: ConnId, code: ByeCode) {
        // QUIC does not repeat its close: it may be lost.
        if !self.rng.chance(self.network.loss) {
            self.send(conn, Item::Bytes(Message::Bye { code }.encode()));
            self.send(conn, Item::Closed);
        }

        self.end_link(node, conn);
    }

    /// Closes a connection that was never started.
    pub(crate) fn refuse_link(&mut self, node: usize, conn: ConnId) {
        self.send(conn, Item::Closed);

        self.end_link(node, conn);
    }

    fn end_link(&mut self, node: usize, conn: ConnId) {
        let (wire, end) = wire::end_of(conn);
        self.wires[wire].ends[end].open = false;
        self.nodes[node].running_mut().links.remove(&conn);

        // If the close was lost, the idle timeout ends the connection at the other end.
        self.schedule(
            Duration::from_secs(10),
            Event::Broken { wire, end: 1 - end },
        );
    }

    pub(crate) fn arrival(&mut self, wire: usize, end: usize) {
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

    pub(crate) fn broken(&mut self, wire: usize, end: usize, error: ConnectionError) {
        if !self.is_open(wire, end) {
            return;
        }

        self.wires[wire].ends[end].open = false;
        let conn = wire::conn(wire, end);
        let node = self.wires[wire].ends[end].node;
        self.input(node, Input::Disconnected { conn, error });
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

fn timed_out() -> ConnectionError {
    let remote = SocketAddr::from(([203, 0, 113, 5], 4600));

    ConnectionError::TimedOut { remote }
}
