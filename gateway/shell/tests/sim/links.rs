//! Dials and handshakes between the gateways. Once they are done, `streams` carries the control
//! messages, and `packets` the data path.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_config::{Digest, Endpoint, GatewayId};
use ringway_core::{ConnectionError, DialError, DialId, ExternalText, race_step};
use ringway_shell::{Handshake, Input, Verified};

use crate::consortium;
use crate::daemon::Link;
use crate::event::Event;
use crate::wire::{self, Item, Wire};
use crate::world::World;

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
pub(crate) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, node as u8], 4600))
}
