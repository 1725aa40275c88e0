//! The links port: dials, handshakes and streams between the gateways, and the packets of the data
//! path.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_config::{Digest, Endpoint, GatewayId, Prefix};
use ringway_core::{
    ByeCode, ConnId, ConnectionError, DialError, DialId, ExternalText, Message, SessionIndex,
    race_step,
};
use ringway_shell::{Handshake, Input, Verified};

use crate::consortium;
use crate::invariant;
use crate::node::Link;
use crate::wire::{self, Item, Wire};
use crate::world::{Content, Event, World};

/// The host of an endpoint that has an address, at which nothing answers.
pub(crate) const SILENT: &str = "silent";

impl World {
    /// A handshake arrives: the accepter checks the dialler, the dialler the accepter.
    pub(crate) fn dialled(&mut self, handshake: Dialled) {
        let Dialled {
            from,
            life,
            dial,
            peer,
            certificate,
            to,
        } = handshake;
        if !self.nodes[to].runs() || self.nodes[from].life != life {
            return;
        }

        let back = self.network.stream_transit(to, from, &mut self.rng);
        let is_known = self.trusts(to, from);
        let refusal = if self.nodes[to].id != peer {
            Some("the endpoint answers with another identity")
        } else if !is_known && self.rng.chance(300) {
            // The accepter's trust refuses the dialler in the handshake. Or it does so afterwards,
            // or the mesh does: see `verdict`.
            Some("peer does not know our org")
        } else {
            None
        };
        if let Some(meaning) = refusal {
            let error = ConnectionError::TlsAlert { meaning }.into();
            return self.schedule(
                back,
                Event::DialFailed {
                    node: from,
                    life,
                    dial,
                    error,
                },
            );
        }

        let accepter = self.nodes[to].running();
        let wire = Wire::new(
            (from, life, certificate),
            (to, accepter.life, accepter.certificate),
            self.now,
        );
        self.wires.push(wire);
        let wire = self.wires.len() - 1;
        self.schedule(back, Event::Answered { wire, dial });
    }

    /// The dialler's handshake is done; its last flight makes the accepter's done.
    pub(crate) fn answered(&mut self, wire: usize, dial: DialId) {
        let [dialler, accepter] = &self.wires[wire].ends;
        if self.network.is_cut(dialler.node, accepter.node) || !self.is_open(wire, 0) {
            for end in &mut self.wires[wire].ends {
                end.open = false;
            }
            return;
        }

        self.send(wire::conn(wire, 0), Item::Connected);
        self.connected(wire, 0, Some(dial));
    }

    pub(crate) fn connected(&mut self, wire: usize, end: usize, dial: Option<DialId>) {
        let ends = &self.wires[wire].ends;
        let node = ends[end].node;
        let peer = ends[1 - end].node;
        let certificate = ends[end].certificate;
        let verdict = self.verdict(node, peer);
        let conn = wire::conn(wire, end);

        let link = Link {
            is_started: false,
            frames: 0,
            certificate,
            since: self.now,
        };
        self.nodes[node].running_mut().links.insert(conn, link);
        let handshake = Handshake {
            role: wire::role(end),
            dial,
            remote: address(peer),
            local: None,
            rtt: self.network.delay * 2,
            certificate,
            verdict,
        };
        self.input(node, Input::Connected { conn, handshake });
    }

    /// What `node`'s trust says about `peer` at the end of a handshake. Sometimes it leaves the
    /// decision to the mesh.
    fn verdict(&mut self, node: usize, peer: usize) -> Result<Verified, ExternalText> {
        if !self.trusts(node, peer) && self.checks_trust && self.rng.chance(500) {
            return Err(ExternalText::new("not in the org's record"));
        }

        Ok(Verified {
            peer: self.nodes[peer].id.clone(),
            expires: self.nodes[peer].certified_until,
        })
    }

    fn trusts(&self, node: usize, peer: usize) -> bool {
        let records = &self.nodes[node].running().records;

        let here = &self.nodes[node];
        consortium::lists(&here.id, &here.site, records, &self.nodes[peer].id)
    }

    /// A packet is opened with the keys that its index names. The data plane answers a probe by
    /// itself.
    pub(crate) fn datagram(
        &mut self,
        wire: usize,
        end: usize,
        index: SessionIndex,
        content: Content,
    ) {
        let conn = wire::conn(wire, end);
        let ends = &self.wires[wire].ends;
        let node = ends[end].node;
        let from = address(ends[1 - end].node);
        if !self.is_open(wire, end) || self.nodes[node].running().opening.get(&conn) != Some(&index)
        {
            return;
        }

        match content {
            Content::Probe(probe) => self.packet(conn, Content::Echo(probe)),
            Content::Echo(probe) => {
                self.input(
                    node,
                    Input::Echo {
                        index,
                        probe,
                        from,
                        to: None,
                    },
                );
            }
            Content::Data => {
                if self.nodes[node].running().sealing.contains_key(&conn) {
                    self.delivered += 1;
                }
            }
            Content::Flow(record) => self.flow_arrived(conn, &record),
            Content::Reply(exchange) => self.reply_arrived(conn, exchange),
            Content::Handed(exchange) => self.handed_arrived(conn, exchange),
        }
    }

    /// A data packet from one site to another's prefix, as the data plane's tables say. False: no
    /// route.
    pub(crate) fn send_data(&mut self, node: usize, prefix: &Prefix) -> bool {
        let tables = &self.nodes[node].running().tables;
        let Some(conn) = tables.routes.get(prefix).copied() else {
            return false;
        };

        self.packet(conn, Content::Data);
        true
    }

    /// Races the endpoints. One whose name leads nowhere fails at once, so that the next begins;
    /// one that is silent has its lead.
    pub(crate) fn dial(
        &mut self,
        from: usize,
        dial: DialId,
        peer: &GatewayId,
        endpoints: &[Endpoint],
    ) {
        self.nodes[from].dials += 1;
        let life = self.nodes[from].life;
        let certificate = self.nodes[from].running().certificate;
        let step = race_step(endpoints.len());
        let mut lead = Duration::ZERO;

        for endpoint in endpoints {
            let host = endpoint.host.to_string();
            let Some(to) = self.nodes.iter().position(|node| node.host == host) else {
                lead += if host == SILENT { step } else { Duration::ZERO };
                continue;
            };

            // The handshake repeats what is lost: only two losses in a row outlast the dial.
            let is_lost = self.network.loses(from, to, &mut self.rng)
                && self.network.loses(from, to, &mut self.rng);
            if !is_lost {
                let there = lead + self.network.stream_transit(from, to, &mut self.rng);
                let handshake = Dialled {
                    from,
                    life,
                    dial,
                    peer: peer.clone(),
                    certificate,
                    to,
                };
                self.schedule(there, Event::Dialled(handshake));
            }
            return;
        }

        if lead.is_zero() {
            let error = DialError::Resolve {
                host: "nowhere".to_owned(),
                error: ExternalText::new("it has no address"),
            };
            self.schedule(
                Duration::ZERO,
                Event::DialFailed {
                    node: from,
                    life,
                    dial,
                    error,
                },
            );
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

    pub(crate) fn probe(&mut self, conn: ConnId, probe: u64) {
        self.packet(conn, Content::Probe(probe));
    }

    /// Seals and sends; without keys, nothing goes.
    /// Sends a packet of the data path, if the session still seals.
    pub(crate) fn packet(&mut self, conn: ConnId, content: Content) {
        let here = invariant::node_of(self, conn);
        let (wire, end) = wire::end_of(conn);
        let there = self.wires[wire].ends[1 - end].node;
        let Some(index) = self.nodes[here].running().sealing.get(&conn).copied() else {
            return;
        };

        if !self.network.loses(here, there, &mut self.rng) {
            let after = self.network.transit(here, there, &mut self.rng);
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

/// A handshake on its way to the gateway that is dialled.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) from: usize,
    pub(crate) life: u64,
    pub(crate) dial: DialId,
    pub(crate) peer: GatewayId,
    /// The certificate that the dialler presents.
    pub(crate) certificate: Digest,
    pub(crate) to: usize,
}

/// The address of a node.
fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, node as u8], 4600))
}
