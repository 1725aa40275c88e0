//! [`Arrival`]: the verdict about one packet that came out of a tunnel.
//!
//! ```text
//! tunnel port ─► flow of ours ─► rule ─► grace ─► denied
//!   drop          pass, but no    pass:    pass,
//!                 SYN             theirs   counted
//! ```
//! A packet that both a flow of ours and a rule let in needs no look at the rule, unless it opens a
//! connection.

use super::Filter;
use super::parts::ByTransport;
use crate::clock::Tick;
use crate::flows::{ANSWERED, FlowKey, Hashed, Owner, Side, State, Tables};
use crate::fragments::Sender;
use crate::grace::Mercy;
use crate::holders::Holder;
use crate::packet::{Header, Icmp, IcmpKind, Quote, Quoted, Tcp};
use crate::record::FlowProtocol;
use crate::rules::{Rules, Wanted, can_be_named};
use crate::verdict::{Reason, Verdict};

#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) filter: &'a Filter,
    pub(super) tables: &'a Tables,
    pub(super) rules: &'a Rules,
    /// The number of the sending gateway's site.
    pub(super) from: u32,
    /// The place of the source's site in the rules: that one, or one that it serves.
    pub(super) site: usize,
    pub(super) packet: &'a [u8],
    pub(super) now: Tick,
    /// Another gateway of our site has received it: only flows of ours let it in.
    pub(super) is_handed: bool,
}

impl Arrival<'_> {
    #[inline(always)]
    pub(super) fn judge(self, header: &Header<'_>) -> Verdict {
        let sender = Sender::Site(self.from);
        self.filter.judge_parts(sender, header, self.now, self)
    }
}

impl ByTransport for Arrival<'_> {
    fn packet(&self) -> &[u8] {
        self.packet
    }

    #[inline(always)]
    fn judge_tcp(self, header: &Header<'_>, tcp: &Tcp) -> Verdict {
        // No rule opens this port: what came would be a tunnel within a tunnel.
        if self.is_tunnel_port(header, tcp.destination_port) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let ports = (tcp.destination_port, tcp.source_port);
        let flow = self.flow(header, FlowProtocol::Tcp, ports);
        // A SYN needs a rule even on the ports of a flow of ours. Otherwise a member could connect
        // to any port from which it has been called.
        if !tcp.is_opening()
            && let Some(found) = self.tables.find(Side::Ours, &flow, self.now)
        {
            found.change(|state| state.after_far(tcp, ANSWERED));
            return Verdict::Pass;
        }

        let wanted = Wanted::Tcp(tcp.destination_port);
        if let Some(rule) = self.allowing(header, wanted) {
            self.note_theirs_tcp(flow, tcp, rule);
            return Verdict::Pass;
        }
        // Grace is for connections from before the start; a SYN begins a new one.
        if tcp.is_opening() {
            return Verdict::Drop(Reason::Denied);
        }
        if self.is_handed || !self.filter.grace.covers(tcp, self.now) {
            return Verdict::Drop(Reason::NoFlow);
        }
        self.judge_by_grace(flow, wanted)
    }

    fn judge_udp(self, header: &Header<'_>, source_port: u16, destination_port: u16) -> Verdict {
        if self.is_tunnel_port(header, destination_port) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let ports = (destination_port, source_port);
        let flow = self.flow(header, FlowProtocol::Udp, ports);
        if let Some(found) = self.tables.find(Side::Ours, &flow, self.now) {
            found.change(State::answered);
            return Verdict::Pass;
        }

        let Some(rule) = self.allowing(header, Wanted::Udp(destination_port)) else {
            return Verdict::Drop(Reason::Denied);
        };
        // Recorded, so that our host's answers do not make the flow ours: it would outlive its
        // rule.
        if self.tables.find(Side::Theirs, &flow, self.now).is_none() {
            self.insert_theirs(&flow, State::default());
            self.rules.count_opened(rule);
        }
        Verdict::Pass
    }

    fn judge_icmp(self, header: &Header<'_>, icmp: &Icmp<'_>) -> Verdict {
        match icmp.kind {
            IcmpKind::EchoRequest => self.pass_if_allowed(header, Wanted::Echo, Reason::Denied),
            IcmpKind::EchoReply => {
                // RFC 792, RFC 4443, section 4.2: a reply repeats the identifier of its request.
                let flow = self.flow(header, FlowProtocol::Echo, (icmp.id, 0));
                match self.tables.find(Side::Ours, &flow, self.now) {
                    Some(found) => {
                        found.change(State::answered);
                        Verdict::Pass
                    }
                    None => Verdict::Drop(Reason::NoFlow),
                }
            }
            IcmpKind::Error if self.is_about_our_flow(header, icmp) => Verdict::Pass,
            IcmpKind::Error => Verdict::Drop(Reason::IcmpError),
            IcmpKind::Query => {
                self.pass_if_allowed(header, Wanted::Protocol(header.protocol), Reason::Denied)
            }
            IcmpKind::Never => Verdict::Drop(Reason::IcmpKind),
        }
    }

    fn judge_by_number(self, header: &Header<'_>) -> Verdict {
        let protocol = header.protocol;
        if can_be_named(header.v6, protocol) {
            self.pass_if_allowed(header, Wanted::Protocol(protocol), Reason::Protocol)
        } else {
            Verdict::Drop(Reason::Protocol)
        }
    }
}

impl Arrival<'_> {
    /// Records what a rule lets in.
    #[inline(always)]
    fn note_theirs_tcp(self, flow: Hashed, tcp: &Tcp, rule: usize) {
        match self.tables.find(Side::Theirs, &flow, self.now) {
            Some(known) if !tcp.is_opening() => known.change(|state| state.after_far(tcp, 0)),
            known => self.begin_theirs_tcp(flow, *tcp, rule, known.is_some()),
        }
    }

    fn begin_theirs_tcp(self, flow: Hashed, tcp: Tcp, rule: usize, is_known: bool) {
        if tcp.is_opening() {
            // A new connection with the addresses and ports of an old one, once ours too.
            self.filter.flows.remove(self.tables, Side::Ours, &flow);
        }

        let state = State::default().after_far(&tcp, 0);
        self.insert_theirs(&flow, state);
        if !is_known {
            self.rules.count_opened(rule);
        }
    }

    fn insert_theirs(&self, flow: &Hashed, state: State) {
        let owner = Owner::Org(self.rules.share(self.site));
        self.filter
            .flows
            .insert(self.tables, Side::Theirs, flow, owner, state, self.now);
    }

    /// A segment that belongs to no flow of ours, that no rule allows, and that grace covers.
    #[cold]
    fn judge_by_grace(self, flow: Hashed, wanted: Wanted) -> Verdict {
        let key = flow.key();
        let ends = (key.remote, key.local);
        // A flow of theirs is known: its rule was taken away, be it in this run or before it.
        let lost_its_rule = self.tables.find(Side::Theirs, &flow, self.now).is_some()
            || self.rules.was_allowed(self.site, key.v6, ends, wanted);
        if lost_its_rule {
            return Verdict::Drop(Reason::NoFlow);
        }

        match self.filter.grace.grant(self.from, self.now) {
            Mercy::Granted => Verdict::Pass,
            Mercy::TooMany => Verdict::Drop(Reason::GraceRate),
        }
    }

    /// True for an error about a packet that the receiver has sent to the sending gateway's site,
    /// of a flow of ours, or of a service that a rule allows.
    fn is_about_our_flow(&self, header: &Header<'_>, icmp: &Icmp<'_>) -> bool {
        let v6 = header.v6;
        let Some(quote) = Quote::parse(v6, icmp.body) else {
            return false;
        };

        // The error goes to the sender of the packet, and to nobody else in its name.
        let is_from_us = quote.source == header.destination
            && self.rules.holder(v6, quote.source) == Holder::Own;
        let Holder::Site(to) = self.rules.holder(v6, quote.destination) else {
            return false;
        };
        if !is_from_us || !self.rules.may_report(self.site, to) {
            return false;
        }

        match quote.flow {
            Quoted::Tcp {
                source_port,
                destination_port,
            } => {
                let ports = (source_port, destination_port);
                let mirror = Wanted::Tcp(source_port);
                self.is_ours_or_allowed(&quote, to, FlowProtocol::Tcp, ports, mirror)
            }
            Quoted::Udp {
                source_port,
                destination_port,
            } => {
                let ports = (source_port, destination_port);
                let mirror = Wanted::Udp(source_port);
                self.is_ours_or_allowed(&quote, to, FlowProtocol::Udp, ports, mirror)
            }
            Quoted::EchoRequest { id } => {
                let flow = self.quoted_flow(&quote, FlowProtocol::Echo, (id, 0));
                self.tables.find(Side::Ours, &flow, self.now).is_some()
            }
            Quoted::EchoReply => self.is_mirror_allowed(&quote, to, Wanted::Echo),
            Quoted::Other { protocol } => {
                self.is_mirror_allowed(&quote, to, Wanted::Protocol(protocol))
            }
        }
    }

    fn is_ours_or_allowed(
        &self,
        quote: &Quote,
        to: usize,
        protocol: FlowProtocol,
        ports: (u16, u16),
        mirror: Wanted,
    ) -> bool {
        let flow = self.quoted_flow(quote, protocol, ports);

        // A flow of theirs lets nothing in by itself: its rule may have been taken away.
        self.tables.find(Side::Ours, &flow, self.now).is_some()
            || self.is_mirror_allowed(quote, to, mirror)
    }

    /// True if a rule allows what the quoted packet of ours, to a host of site `to`, would answer.
    fn is_mirror_allowed(&self, quote: &Quote, to: usize, wanted: Wanted) -> bool {
        let ends = (quote.destination, quote.source);
        let allowing = self.rules.allowing(to, quote.v6, ends, wanted);

        !self.is_handed && allowing.is_some()
    }

    fn quoted_flow(&self, quote: &Quote, protocol: FlowProtocol, ports: (u16, u16)) -> Hashed {
        self.filter.flows.hashed(FlowKey {
            v6: quote.v6,
            protocol,
            local: quote.source,
            remote: quote.destination,
            local_port: ports.0,
            remote_port: ports.1,
        })
    }

    fn pass_if_allowed(&self, header: &Header<'_>, wanted: Wanted, reason: Reason) -> Verdict {
        match self.allowing(header, wanted) {
            Some(_) => Verdict::Pass,
            None => Verdict::Drop(reason),
        }
    }

    #[inline(always)]
    fn allowing(&self, header: &Header<'_>, wanted: Wanted) -> Option<usize> {
        // The gateway that received it has asked the rules already.
        if self.is_handed {
            return None;
        }

        let ends = (header.source, header.destination);
        self.rules.allowing(self.site, header.v6, ends, wanted)
    }

    #[inline(always)]
    fn is_tunnel_port(&self, header: &Header<'_>, port: u16) -> bool {
        port == self.rules.tunnel_port() && self.rules.is_gateway(header.v6, header.destination)
    }

    #[inline(always)]
    fn flow(
        &self,
        header: &Header<'_>,
        protocol: FlowProtocol,
        (local_port, remote_port): (u16, u16),
    ) -> Hashed {
        self.filter.flows.hashed(FlowKey {
            v6: header.v6,
            protocol,
            local: header.destination,
            remote: header.source,
            local_port,
            remote_port,
        })
    }
}
