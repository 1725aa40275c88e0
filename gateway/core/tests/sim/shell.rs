//! What a shell does for its mesh: dials, handshakes, streams, keys, probes. It decides nothing, except
//! where a real one does: whether a handshake's identity is a member's.

use std::time::Duration;

use ringway_config::{GatewayId, Prefix};
use ringway_core::{
    Action, ConnId, Connected, ConnectionError, DialError, DialId, ExternalText, Message,
    SessionIndex,
};

use crate::wire::{self, Item, Wire};
use crate::world::{Content, Event, World};

/// Certificates outlive the simulation.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl World {
    pub(crate) fn carry_out(&mut self, node: usize, action: Action) {
        if self.verbose
            && !matches!(
                action,
                Action::Probe { .. } | Action::Publish(_) | Action::Send { .. }
            )
        {
            self.log(node, &format!("{action:?}"));
        }
        match action {
            Action::Dial {
                dial,
                peer,
                endpoint,
            } => self.dial(node, dial, peer, &endpoint.host.to_string()),
            Action::InstallOpening { conn, lanes } => {
                self.nodes[node].opening.insert(conn, lanes[0].index);
            }
            Action::InstallSealing { conn, lanes } => {
                self.nodes[node].sealing.insert(conn, lanes[0].index);
            }
            Action::Send { conn, message } => self.send(conn, Item::Bytes(message.encode())),
            Action::Close { conn, reason } => {
                // QUIC does not repeat its close: it may be lost.
                if !self.dice.chance(self.network.loss) {
                    self.send(
                        conn,
                        Item::Bytes(
                            Message::Bye {
                                code: reason.code(),
                            }
                            .encode(),
                        ),
                    );
                    self.send(conn, Item::Closed);
                }
                self.close(node, conn);
            }
            Action::Retire { conn } => {
                self.send(conn, Item::Closed);
                self.close(node, conn);
            }
            Action::Probe {
                conn,
                session,
                probe,
                ..
            } => self.probe(conn, session, probe),
            Action::Publish(fib) => self.nodes[node].fib = fib,
            Action::Alarm(alarm) => self.nodes[node].alarms.push(alarm.to_string()),
            Action::Drained => self.kill(node),
            Action::TunnelUp { .. } => self.nodes[node].ups += 1,
            Action::AbandonDial { .. }
            | Action::PathMtu { .. }
            | Action::ZoneMessage { .. }
            | Action::TunnelMoved { .. }
            | Action::TunnelDown { .. } => {}
        }
    }

    /// A handshake arrives: the accepter checks the dialler, the dialler the accepter.
    pub(crate) fn dialled(
        &mut self,
        from: usize,
        life: u64,
        dial: DialId,
        peer: &GatewayId,
        to: usize,
    ) {
        if !self.nodes[to].runs() || self.nodes[from].life != life {
            return;
        }
        let back = self.network.stream_transit(&mut self.dice);
        let dialler = &self.nodes[from].id;
        let known = self.nodes[to].membership().gateways.contains_key(dialler);
        let refusal = match self.nodes[to].id == *peer {
            false => Some("the endpoint answers with another identity"),
            // A real shell checks membership in the handshake. Sometimes leave it to the mesh.
            true if !known && self.dice.chance(500) => Some("peer does not know our org"),
            true => None,
        };
        if let Some(meaning) = refusal {
            self.schedule(
                back,
                Event::DialFailed {
                    node: from,
                    life,
                    dial,
                    error: ConnectionError::TlsAlert { meaning }.into(),
                },
            );
            return;
        }
        self.wires
            .push(Wire::new((from, life), (to, self.nodes[to].life), self.now));
        self.schedule(
            back,
            Event::Answered {
                wire: self.wires.len() - 1,
                dial,
            },
        );
    }

    /// The dialler's handshake is done; its last flight makes the accepter's done.
    pub(crate) fn answered(&mut self, wire: usize, dial: DialId) {
        let [dialler, accepter] = &self.wires[wire].ends;
        if self.network.is_cut(dialler.node, accepter.node) || !self.is_open(wire, 0) {
            self.wires[wire]
                .ends
                .iter_mut()
                .for_each(|end| end.open = false);
            return;
        }
        self.send(wire::conn(wire, 0), Item::Connected);
        self.connected(wire, 0, Some(dial));
    }

    pub(crate) fn connected(&mut self, wire: usize, end: usize, dial: Option<DialId>) {
        let ends = &self.wires[wire].ends;
        let (node, peer) = (ends[end].node, self.nodes[ends[1 - end].node].id.clone());
        let expires = self.now + YEAR;
        let connected = Connected {
            peer,
            role: wire::role(end),
            dial,
            expires,
        };
        self.input(node, |mesh, now| {
            mesh.handle_connected(wire::conn(wire, end), connected, now)
        });
    }

    /// A packet is opened with the keys that its index names; the data plane answers a probe by itself.
    pub(crate) fn datagram(
        &mut self,
        wire: usize,
        end: usize,
        index: SessionIndex,
        content: Content,
    ) {
        let (conn, node) = (wire::conn(wire, end), self.wires[wire].ends[end].node);
        if !self.is_open(wire, end) || self.nodes[node].opening.get(&conn) != Some(&index) {
            return;
        }
        match content {
            Content::Probe(probe) => self.packet(conn, Content::Echo(probe)),
            Content::Echo(probe) => {
                _ = self.input(node, |mesh, now| mesh.handle_echo(index, probe, now))
            }
            Content::Data if self.nodes[node].sealing.contains_key(&conn) => self.delivered += 1,
            Content::Data => {}
        }
    }

    /// A data packet from one site to another's prefix, as the forwarding table says. False: no route.
    pub(crate) fn send_data(&mut self, node: usize, prefix: &Prefix) -> bool {
        let Some((_, conn)) = self.nodes[node].fib.routes.get(prefix) else {
            return false;
        };
        self.packet(*conn, Content::Data);
        true
    }

    fn dial(&mut self, from: usize, dial: DialId, peer: GatewayId, host: &str) {
        let life = self.nodes[from].life;
        let Some(to) = self.nodes.iter().position(|node| node.host == host) else {
            let error = DialError::Resolve {
                host: host.to_owned(),
                error: ExternalText::new("it has no address"),
            };
            return self.schedule(
                Duration::ZERO,
                Event::DialFailed {
                    node: from,
                    life,
                    dial,
                    error,
                },
            );
        };
        // The handshake repeats what is lost: only two losses in a row outlast the dial.
        let lost = self.network.loses(from, to, &mut self.dice)
            && self.network.loses(from, to, &mut self.dice);
        if !lost {
            let there = self.network.stream_transit(&mut self.dice);
            self.schedule(
                there,
                Event::Dialled {
                    from,
                    life,
                    dial,
                    peer,
                    to,
                },
            );
        }
    }

    fn send(&mut self, conn: ConnId, item: Item) {
        let (wire, end) = wire::end_of(conn);
        if !self.wires[wire].ends[end].open {
            return;
        }
        let arrival = self.now + self.network.stream_transit(&mut self.dice);
        let there = &mut self.wires[wire].ends[1 - end];
        there.arrival = there.arrival.max(arrival);
        there.queue.push_back(item);
        let after = there.arrival - self.now;
        self.schedule(after, Event::Arrival { wire, end: 1 - end });
    }

    fn close(&mut self, node: usize, conn: ConnId) {
        let (wire, end) = wire::end_of(conn);
        self.wires[wire].ends[end].open = false;
        self.nodes[node].drop_keys(conn);
        // What the close did not tell, the idle timeout will.
        self.schedule(
            Duration::from_secs(10),
            Event::Broken { wire, end: 1 - end },
        );
    }

    fn probe(&mut self, conn: ConnId, session: SessionIndex, probe: u64) {
        let node = self.wires[wire::end_of(conn).0].ends[wire::end_of(conn).1].node;
        if self.nodes[node].opening.get(&conn) != Some(&session) {
            self.violate(format!(
                "{} probes with an index of another session",
                self.nodes[node].id
            ));
        }
        self.packet(conn, Content::Probe(probe));
    }

    /// Seals and sends; without keys, nothing goes.
    fn packet(&mut self, conn: ConnId, content: Content) {
        let (wire, end) = wire::end_of(conn);
        let (here, there) = (
            self.wires[wire].ends[end].node,
            self.wires[wire].ends[1 - end].node,
        );
        let Some(index) = self.nodes[here].sealing.get(&conn).copied() else {
            return;
        };
        if !self.network.loses(here, there, &mut self.dice) {
            let after = self.network.transit(&mut self.dice);
            self.schedule(
                after,
                Event::Datagram {
                    wire,
                    end: 1 - end,
                    index,
                    content,
                },
            );
        }
    }
}
