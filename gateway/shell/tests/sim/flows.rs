//! Flows of sites with two gateways: a host asks by one of them, and the answer comes back by
//! either. Each daemon has the filter that ships; what the data plane does around it (records of
//! flows, and answers that no flow here knows) stands here in short.
//!
//! Whatever happens, a gateway writes an answer out only if a host of its site has asked, as far as
//! the gateways of the site say; gateways of other sites say nothing about that. Once nothing
//! changes any more, every answer arrives (`trials`).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ringway_core::ConnId;
use ringway_filter::{Filter, FlowProtocol, FlowRecord, Reason, Rules, Settings, Verdict};
use ringway_shell::{SiteNumber, Tables};

use crate::event::Content;
use crate::exchange::Exchange;
use crate::invariant::{node_of, peer_of};
use crate::model::sessions_of;
use crate::world::World;

/// Enough for a course of events.
const FLOWS: u32 = 1024;

/// What a daemon's data plane knows of flows.
pub(crate) struct Flows {
    filter: Filter,
    /// Of the tables that are published; made when they are needed.
    rules: Option<Rules>,
}

/// What hosts have asked, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    asked: BTreeSet<Exchange>,
    /// A gateway of the site has said so, and it is not true.
    claimed: BTreeSet<Exchange>,
    /// Their answers have reached the host.
    answered: BTreeSet<Exchange>,
}

impl Exchanges {
    pub(crate) fn is_asked(&self, exchange: &Exchange) -> bool {
        self.asked.contains(exchange)
    }

    pub(crate) fn is_answered(&self, exchange: &Exchange) -> bool {
        self.answered.contains(exchange)
    }
}

impl World {
    /// The tables of `node` are others.
    pub(crate) fn forget_rules(&mut self, node: usize) {
        if let Some(flows) = &mut self.nodes[node].running_mut().flows {
            flows.rules = None;
        }
    }

    /// The filter of `node`, and the rules that are in force there.
    fn filter(&mut self, node: usize) -> (&Filter, &Rules, &Tables) {
        let now = self.now;
        let settings = Settings {
            flows: FLOWS,
            ..Settings::of(&Default::default())
        };
        let daemon = self.nodes[node].running_mut();
        let tables = &daemon.tables;
        let flows = daemon.flows.get_or_insert_with(|| Flows {
            filter: Filter::new(&settings, [1; 16], now),
            rules: None,
        });
        let rules = flows
            .rules
            .get_or_insert_with(|| Rules::compile(&tables.rules));

        flows
            .filter
            .set_sharing(!tables.companions.sessions.is_empty());
        (&flows.filter, rules, tables)
    }

    /// A time of grace begins at `node`.
    pub(crate) fn begin_grace(&mut self, node: usize) {
        let now = self.now;
        self.nodes[node].graces += 1;
        self.nodes[node].last_grace = Some(now);

        let (filter, ..) = self.filter(node);
        filter.begin_grace(now);
    }

    /// A host asks by way of `node`. The site's other gateways hear of it, unless that `is_lost`.
    pub(crate) fn ask(&mut self, node: usize, exchange: Exchange, is_lost: bool) {
        let now = self.now;
        let (filter, rules, tables) = self.filter(node);
        let verdict = filter.leaves(rules, &exchange.question(), now);
        let records: Vec<FlowRecord> = std::iter::from_fn(|| filter.next_record()).collect();
        let companions: Vec<ConnId> = tables.companions.sessions.iter().copied().collect();

        if verdict == Verdict::Pass {
            self.exchanges.asked.insert(exchange);
        }
        if !is_lost {
            for conn in companions {
                for record in &records {
                    self.packet(conn, Content::Flow(*record));
                }
            }
        }
    }

    /// Tells every flow that `node` knows of its own hosts.
    pub(crate) fn share_flows(&mut self, node: usize, to: &BTreeSet<ConnId>) {
        let now = self.now;
        if self.nodes[node].running().flows.is_none() {
            return;
        }

        let mut records = Vec::new();
        let (filter, ..) = self.filter(node);
        filter.for_each_record(now, &mut |record| records.push(record));
        for conn in to {
            for record in &records {
                self.packet(*conn, Content::Flow(*record));
            }
        }
    }

    /// The far host's gateway answers by way of `to`, if it has a session with it.
    pub(crate) fn answer_by(&mut self, far: usize, to: usize, exchange: Exchange) {
        if let Some(conn) = session(self, far, to) {
            self.packet(conn, Content::Reply(exchange));
        }
    }

    /// A record of a flow has come.
    pub(crate) fn flow_arrived(&mut self, conn: ConnId, record: &FlowRecord) {
        let now = self.now;
        let node = node_of(self, conn);
        if !self.is_of_our_site(conn) {
            return;
        }

        let (filter, rules, tables) = self.filter(node);
        let is_believed = filter.import(rules, record, now);
        let is_ours = |end: SocketAddr| {
            let mut local = tables.local.iter();
            local.any(|prefix| prefix.contains(end.ip()))
        };
        if is_believed && (!is_ours(record.local) || is_ours(record.remote)) {
            self.accuse(node, &format!("believes {record:?}"));
        }
    }

    /// The answer of a far host has come.
    pub(crate) fn reply_arrived(&mut self, conn: ConnId, exchange: Exchange) {
        let now = self.now;
        let node = node_of(self, conn);
        let (filter, rules, tables) = self.filter(node);
        let Some(SiteNumber(from)) = holder(tables, exchange.remote.ip()) else {
            return;
        };
        let verdict = filter.arrives(rules, from, &exchange.answer(), now);
        let companions: Vec<ConnId> = tables.companions.sessions.iter().copied().collect();

        match verdict {
            Verdict::Pass => self.write_out(node, exchange),
            Verdict::Drop(reason) if may_answer(reason, exchange.protocol) => {
                for conn in companions {
                    self.packet(conn, Content::Handed(exchange));
                }
            }
            _ => {}
        }
    }

    /// Another gateway has received an answer, and knows nothing about it.
    pub(crate) fn handed_arrived(&mut self, conn: ConnId, exchange: Exchange) {
        let now = self.now;
        let node = node_of(self, conn);
        if !self.is_of_our_site(conn) {
            return;
        }

        let (filter, rules, tables) = self.filter(node);
        let Some(SiteNumber(from)) = holder(tables, exchange.remote.ip()) else {
            return;
        };
        if filter.answers(rules, from, &exchange.answer(), now) == Verdict::Pass {
            self.write_out(node, exchange);
        }
    }

    fn write_out(&mut self, node: usize, exchange: Exchange) {
        let known = &mut self.exchanges;
        if known.asked.contains(&exchange) {
            known.answered.insert(exchange);
        } else if !known.claimed.contains(&exchange) {
            let text = format!("writes out an answer to what no host has asked: {exchange:?}");
            self.accuse(node, &text);
        }
    }

    /// The peer of the session serves the site of the gateway whose end this is.
    fn is_of_our_site(&self, conn: ConnId) -> bool {
        let daemon = self.nodes[node_of(self, conn)].running();

        daemon.sites.get(&conn) == Some(&daemon.tables.site)
    }

    /// `node` takes the addresses of the site of `far` for those of that site.
    pub(crate) fn is_served_by(&self, node: usize, far: usize) -> bool {
        let there = &self.nodes[far].running().tables;
        let here = &self.nodes[node].running().tables;
        let session = session(self, node, far);
        let site = session.and_then(|conn| self.nodes[node].running().sites.get(&conn));

        let mut local = there.local.iter();
        local.all(|prefix| holder(here, prefix.address()).as_ref() == site)
    }

    /// The gateway `liar` says of a host that it has asked, and brings the answer itself.
    pub(crate) fn claim(&mut self, liar: usize, conn: ConnId, exchange: Exchange) {
        let peer = peer_of(self, conn);
        let there = self.nodes.iter().find(|node| node.id == *peer);
        let here = &self.nodes[liar];
        let shares_site =
            there.is_some_and(|there| (&there.id.org, &there.site) == (&here.id.org, &here.site));
        // Gateways of a site may say what they like about its hosts.
        if shares_site && !self.exchanges.asked.contains(&exchange) {
            self.exchanges.claimed.insert(exchange);
        }

        let record = FlowRecord {
            protocol: exchange.protocol,
            local: exchange.local,
            remote: exchange.remote,
            ack: None,
            idle: 0,
        };
        for content in [
            Content::Flow(record),
            Content::Handed(exchange),
            Content::Reply(exchange),
        ] {
            self.packet(conn, content);
        }
    }
}

/// The newest session of `from` with `to`.
pub(crate) fn session(world: &World, from: usize, to: usize) -> Option<ConnId> {
    let to = &world.nodes[to].id;
    let sessions = sessions_of(world, from).filter(|(_, peer)| *peer == to);

    sessions
        .map(|(conn, _)| conn)
        .max_by_key(|conn| crate::wire::end_of(*conn).0)
}

/// As `handover.rs` of the data plane has it.
fn may_answer(reason: Reason, protocol: FlowProtocol) -> bool {
    match reason {
        Reason::NoFlow | Reason::IcmpError => true,
        Reason::Denied => protocol == FlowProtocol::Udp,
        _ => false,
    }
}

/// The site that an address belongs to.
fn holder(tables: &Tables, address: IpAddr) -> Option<SiteNumber> {
    let holding = tables.authorized.iter();
    let holding = holding.filter(|(prefix, _)| prefix.contains(address));

    holding
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, site)| *site)
}
