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
use crate::clock::Tick;
use crate::flows::{ANSWERED, FlowKey, Hashed, Owner, Side, State, Tables};
use crate::fragments::Sender;
use crate::grace::Mercy;
use crate::holders::Holder;
use crate::packet::{Header, Icmp, IcmpKind, Quote, Quoted, Tcp, Transport};
use crate::record::FlowProtocol;
use crate::rules::{Rules, Wanted, can_be_named};
use crate::verdict::{Reason, Verdict};

pub(super) struct Arrival<'a> {
    pub(super) filter: &'a Filter,
    pub(super) tables: &'a Tables,
    pub(super) rules: &'a Rules,
    /// The number of the sending gateway's site.
    pub(super) from: u32,
    /// The place of the source's site in the rules: that one, or one that it serves.
    pub(super) site: usize,
    pub(super) header: &'a Header<'a>,
    pub(super) now: Tick,
    /// Another gateway of our site has received it: only flows of ours let it in.
    pub(super) is_handed: bool,
}

impl Arrival<'_> {
    #[inline]
    pub(super) fn judge(&self) -> Verdict {
        let sender = Sender::Site(self.from);
        let filter = self.filter;
        filter.judge_parts(sender, self.header, self.now, |transport| {
            self.judge_transport(transport)
        })
    }

    #[inline]
    fn judge_transport(&self, transport: &Transport<'_>) -> Verdict {
        match transport {
            Transport::Tcp(tcp) => self.judge_tcp(tcp),
            Transport::Udp {
                source_port,
                destination_port,
            } => self.judge_udp(*source_port, *destination_port),
            Transport::Icmp(icmp) => self.judge_icmp(icmp),
            Transport::Other => self.judge_other(),
        }
    }

    #[inline]
    fn judge_tcp(&self, tcp: &Tcp) -> Verdict {
        // No rule opens this port: what came would be a tunnel within a tunnel.
        if self.is_tunnel_port(tcp.destination_port) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let flow = self.flow(FlowProtocol::Tcp, tcp.destination_port, tcp.source_port);
        // A SYN needs a rule even on the ports of a flow of ours. Otherwise a member could connect
        // to any port from which it has been called.
        if !tcp.is_opening()
            && let Some(found) = self.tables.find(Side::Ours, &flow, self.now)
        {
            found.change(|state| state.after_far(tcp, ANSWERED));
            return Verdict::Pass;
        }

        let wanted = Wanted::Tcp(tcp.destination_port);
        if let Some(rule) = self.allowing(wanted) {
            self.note_theirs_tcp(&flow, tcp, rule);
            return Verdict::Pass;
        }
        // Grace is for connections from before the start; a SYN begins a new one.
        if tcp.is_opening() {
            return Verdict::Drop(Reason::Denied);
        }

        self.judge_unknown(&flow, tcp)
    }

    /// Records what a rule lets in.
    #[inline]
    fn note_theirs_tcp(&self, flow: &Hashed, tcp: &Tcp, rule: usize) {
        match self.tables.find(Side::Theirs, flow, self.now) {
            Some(known) if !tcp.is_opening() => known.change(|state| state.after_far(tcp, 0)),
            known => self.begin_theirs_tcp(flow, tcp, rule, known.is_some()),
        }
    }

    fn begin_theirs_tcp(&self, flow: &Hashed, tcp: &Tcp, rule: usize, is_known: bool) {
        if tcp.is_opening() {
            // A new connection with the addresses and ports of an old one, once ours too.
            self.filter.flows.remove(self.tables, Side::Ours, flow);
        }

        let state = State::default().after_far(tcp, 0);
        self.insert_theirs(flow, state);
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

    /// A segment that belongs to no flow of ours, and that no rule allows.
    #[inline]
    fn judge_unknown(&self, flow: &Hashed, tcp: &Tcp) -> Verdict {
        let grace = &self.filter.grace;
        // A flow of theirs is known: its rule was taken away, be it in this run or before it.
        let has_grace = !self.is_handed
            && grace.covers(tcp, self.now)
            && self.tables.find(Side::Theirs, flow, self.now).is_none()
            && !self.was_allowed(Wanted::Tcp(tcp.destination_port));
        if !has_grace {
            return Verdict::Drop(Reason::NoFlow);
        }

        match grace.grant(self.from, self.now) {
            Mercy::Granted => Verdict::Pass,
            Mercy::TooMany => Verdict::Drop(Reason::GraceRate),
        }
    }

    fn judge_udp(&self, source_port: u16, destination_port: u16) -> Verdict {
        if self.is_tunnel_port(destination_port) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let flow = self.flow(FlowProtocol::Udp, destination_port, source_port);
        if let Some(found) = self.tables.find(Side::Ours, &flow, self.now) {
            found.change(State::answered);
            return Verdict::Pass;
        }

        let Some(rule) = self.allowing(Wanted::Udp(destination_port)) else {
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

    fn judge_icmp(&self, icmp: &Icmp<'_>) -> Verdict {
        match icmp.kind {
            IcmpKind::EchoRequest => self.pass_if_allowed(Wanted::Echo, Reason::Denied),
            IcmpKind::EchoReply => {
                // RFC 792, RFC 4443, section 4.2: a reply repeats the identifier of its request.
                let flow = self.flow(FlowProtocol::Echo, icmp.id, 0);
                match self.tables.find(Side::Ours, &flow, self.now) {
                    Some(found) => {
                        found.change(State::answered);
                        Verdict::Pass
                    }
                    None => Verdict::Drop(Reason::NoFlow),
                }
            }
            IcmpKind::Error if self.is_about_our_flow(icmp) => Verdict::Pass,
            IcmpKind::Error => Verdict::Drop(Reason::IcmpError),
            IcmpKind::Query => {
                self.pass_if_allowed(Wanted::Protocol(self.header.protocol), Reason::Denied)
            }
            IcmpKind::Never => Verdict::Drop(Reason::IcmpKind),
        }
    }

    /// True for an error about a packet that the receiver has sent to the sending gateway's site,
    /// of a flow of ours, or of a service that a rule allows.
    fn is_about_our_flow(&self, icmp: &Icmp<'_>) -> bool {
        let v6 = self.header.v6;
        let Some(quote) = Quote::parse(v6, icmp.body) else {
            return false;
        };

        // The error goes to the sender of the packet, and to nobody else in its name.
        let is_from_us = quote.source == self.header.destination
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

    fn judge_other(&self) -> Verdict {
        let protocol = self.header.protocol;
        if can_be_named(self.header.v6, protocol) {
            self.pass_if_allowed(Wanted::Protocol(protocol), Reason::Protocol)
        } else {
            Verdict::Drop(Reason::Protocol)
        }
    }

    fn pass_if_allowed(&self, wanted: Wanted, reason: Reason) -> Verdict {
        match self.allowing(wanted) {
            Some(_) => Verdict::Pass,
            None => Verdict::Drop(reason),
        }
    }

    #[inline]
    fn allowing(&self, wanted: Wanted) -> Option<usize> {
        // The gateway that received it has asked the rules already.
        if self.is_handed {
            return None;
        }

        let ends = (self.header.source, self.header.destination);
        self.rules.allowing(self.site, self.header.v6, ends, wanted)
    }

    fn was_allowed(&self, wanted: Wanted) -> bool {
        let ends = (self.header.source, self.header.destination);
        self.rules
            .was_allowed(self.site, self.header.v6, ends, wanted)
    }

    #[inline]
    fn is_tunnel_port(&self, port: u16) -> bool {
        port == self.rules.tunnel_port()
            && self
                .rules
                .is_gateway(self.header.v6, self.header.destination)
    }

    #[inline]
    fn flow(&self, protocol: FlowProtocol, local_port: u16, remote_port: u16) -> Hashed {
        self.filter.flows.hashed(FlowKey {
            v6: self.header.v6,
            protocol,
            local: self.header.destination,
            remote: self.header.source,
            local_port,
            remote_port,
        })
    }
}
