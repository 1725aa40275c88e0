//! The data path: keys, tables, and the packets that they seal and open.

use ringway_config::Prefix;
use ringway_core::{ConnId, SessionIndex};
use ringway_shell::{Input, PacketEffect, Tables};

use crate::event::{Content, Event};
use crate::invariant;
use crate::links::address;
use crate::wire;
use crate::world::World;

impl World {
    pub(crate) fn perform_on_packets(&mut self, node: usize, effect: PacketEffect) {
        match effect {
            PacketEffect::InstallOpening {
                conn, site, lanes, ..
            } => {
                let daemon = self.nodes[node].running_mut();
                daemon.opening.insert(conn, lanes[0].index);
                daemon.sites.insert(conn, site);
            }
            PacketEffect::InstallSealing { conn, lanes, .. } => {
                let daemon = self.nodes[node].running_mut();
                daemon.sealing.insert(conn, lanes[0].index);
            }
            PacketEffect::Publish(tables) => self.publish(node, *tables),
            PacketEffect::Probe { conn, probe, .. } => self.probe(conn, probe),
            PacketEffect::BeginGrace => self.begin_grace(node),
            PacketEffect::ShareFlows { to } => self.share_flows(node, &to),
            PacketEffect::Challenge { .. }
            | PacketEffect::MovePath { .. }
            | PacketEffect::SetPathMtu { .. }
            | PacketEffect::RetainPeers(_)
            | PacketEffect::ExpireKeys => {}
        }
    }

    /// Tables name only keys that are installed; keys that they do not name are dropped.
    fn publish(&mut self, node: usize, tables: Tables) {
        let daemon = self.nodes[node].running_mut();
        let open = tables
            .sessions
            .iter()
            .all(|conn| daemon.opening.contains_key(conn));
        let seals = tables
            .routes
            .values()
            .all(|conn| tables.sessions.contains(conn) && daemon.sealing.contains_key(conn));

        daemon
            .opening
            .retain(|conn, _| tables.sessions.contains(conn));
        daemon
            .sealing
            .retain(|conn, _| tables.sessions.contains(conn));
        daemon.tables = tables;
        self.forget_rules(node);
        if !open {
            self.accuse(node, "publishes a session whose keys are not installed");
        }
        if !seals {
            self.accuse(node, "publishes a route whose session has no keys");
        }
    }

    /// A data packet from one site to another's prefix, as the data plane's tables say. False: no
    /// route.
    pub(crate) fn send_data(&mut self, node: usize, prefix: &Prefix) -> bool {
        let tables = &self.nodes[node].running().tables;
        let Some(conn) = tables.routes.get(prefix).copied() else {
            return false;
        };

        let content = Content::Data {
            to: *prefix,
            is_passed_on: false,
        };
        self.packet(conn, content);
        true
    }

    /// A packet of another site's host, or of a host of this site that another gateway of it has
    /// passed on: as `admit.rs` of the data plane has it.
    fn data_arrived(&mut self, conn: ConnId, to: Prefix, is_passed_on: bool) {
        let node = invariant::node_of(self, conn);
        let daemon = self.nodes[node].running();
        if !daemon.sealing.contains_key(&conn) {
            return;
        }
        let tables = &daemon.tables;
        if daemon.sites.get(&conn) != Some(&tables.site) {
            self.delivered += 1;
            return;
        }

        let next = tables.routes.get(&to).copied();
        let next = next.filter(|next| !tables.companions.sessions.contains(next));
        if is_passed_on {
            self.accuse(node, "gets a packet that was passed on before");
        } else if let Some(next) = next {
            let content = Content::Data {
                to,
                is_passed_on: true,
            };
            self.packet(next, content);
        }
    }

    pub(crate) fn probe(&mut self, conn: ConnId, probe: u64) {
        self.packet(conn, Content::Probe(probe));
    }

    /// Sends a packet of the data path. Without keys to seal it, nothing goes.
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
            Content::Data { to, is_passed_on } => self.data_arrived(conn, to, is_passed_on),
            Content::Flow(record) => self.flow_arrived(conn, &record),
            Content::Reply(exchange) => self.reply_arrived(conn, exchange),
            Content::Handed(exchange) => self.handed_arrived(conn, exchange),
        }
    }
}
