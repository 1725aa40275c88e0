//! [`Departure`]: the verdict about one packet of our site's hosts, and the flow that it makes.
//!
//! | packet | needs | makes |
//! |---|---|---|
//! | TCP: SYN without ACK | egress | a flow of ours |
//! | TCP: SYN-ACK | a rule that allows what it answers | |
//! | TCP: any other | egress, or such a rule | a flow of ours: see below |
//! | UDP | egress, or such a rule | a flow of ours, unless there is such a rule |
//! | echo request | egress | a flow of ours |
//! | ICMP error | to be about what came, or egress | |
//! | others | egress, or such a rule | |
//!
//! What belongs to a flow already makes none. The middle of a connection makes one of ours if it
//! comes from a port of grace and no rule, former ones included, allows what it would answer.

use super::Filter;
use crate::clock::Tick;
use crate::flows::{FlowKey, Hashed, Owner, Side, State, Tables};
use crate::fragments::Sender;
use crate::holders::Holder;
use crate::packet::{Header, Icmp, IcmpKind, Quote, Tcp, Transport};
use crate::record::FlowProtocol;
use crate::rules::{Rules, Wanted, can_be_named};
use crate::verdict::{Reason, Verdict};

pub(super) struct Departure<'a> {
    pub(super) filter: &'a Filter,
    pub(super) tables: &'a Tables,
    pub(super) rules: &'a Rules,
    pub(super) header: &'a Header<'a>,
    pub(super) now: Tick,
}

impl Departure<'_> {
    #[inline]
    pub(super) fn judge(&self) -> Verdict {
        let filter = self.filter;
        filter.judge_parts(Sender::Own, self.header, self.now, |transport| {
            self.judge_transport(transport)
        })
    }

    /// The site of the destination, by its place in the rules.
    pub(super) fn site(&self) -> Option<usize> {
        match self.rules.holder(self.header.v6, self.header.destination) {
            Holder::Site(site) => Some(site),
            Holder::Own | Holder::Nobody => None,
        }
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
        let local = tcp.source_port;
        let remote = tcp.destination_port;
        if self.is_tunnel(local, remote) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let flow = self.flow(FlowProtocol::Tcp, local, remote);
        // What it would answer, and what it would open.
        let mirror = Wanted::Tcp(local);
        let opening = Wanted::Tcp(remote);

        if tcp.is_opening() {
            if !self.is_permitted(opening) {
                return Verdict::Drop(Reason::Egress);
            }
            // Our host takes the ports over from a connection of theirs, which must be over.
            self.filter.flows.remove(self.tables, Side::Theirs, &flow);
            self.insert_ours(&flow, State::default());
            return Verdict::Pass;
        }
        if tcp.is_syn_ack() {
            return self.judge_syn_ack(&flow, tcp);
        }

        // The default first: it spares both lookups.
        if !self.rules.is_egress_open() && !self.is_answer(mirror) && !self.is_permitted(opening) {
            return Verdict::Drop(Reason::Egress);
        }
        self.note_segment(&flow, tcp);
        Verdict::Pass
    }

    /// A host answers a SYN. By whatever way that came, over the WAN or through a tunnel, a rule
    /// must allow it.
    fn judge_syn_ack(&self, flow: &Hashed, tcp: &Tcp) -> Verdict {
        let Some(site) = self.site() else {
            return Verdict::Drop(Reason::SynAck);
        };
        if !self.is_answer(Wanted::Tcp(tcp.source_port)) {
            return Verdict::Drop(Reason::SynAck);
        }

        let begun = State::default().after_own(tcp, crate::flows::ANSWERED);
        match self.tables.find(Side::Theirs, flow, self.now) {
            Some(known) => {
                // A SYN-ACK that is sent again tells nothing new. Any other begins a new connection
                // on the same ports: what was known of the old one no longer holds.
                known.change(|state| state.begun_again(begun));
                known.touch(self.now);
            }
            None => self.insert_theirs(flow, site, begun),
        }
        Verdict::Pass
    }

    /// Records a segment that may pass, and is neither SYN nor SYN-ACK.
    #[inline]
    fn note_segment(&self, flow: &Hashed, tcp: &Tcp) {
        if let Some(ours) = self.tables.find(Side::Ours, flow, self.now) {
            ours.change(|state| state.after_own(tcp, 0));
            ours.touch(self.now);
            return;
        }
        if let Some(theirs) = self.tables.find(Side::Theirs, flow, self.now) {
            theirs.change(|state| state.after_own(tcp, crate::flows::ANSWERED));
            theirs.touch(self.now);
            return;
        }

        // Of what is unknown, only a segment with ACK proves that a connection exists.
        if !tcp.is_midstream() {
            return;
        }
        let state = State::default().after_own(tcp, 0);
        let site = self.site();
        if self.is_answer(Wanted::Tcp(tcp.source_port)) {
            // Known so that a reset can be exact.
            if let Some(site) = site {
                let state = state.after_own(tcp, crate::flows::ANSWERED);
                self.insert_theirs(flow, site, state);
            }
        } else if self.filter.grace.is_about(tcp.source_port)
            && !self.was_answer(Wanted::Tcp(tcp.source_port))
        {
            self.insert_ours(flow, state);
        }
    }

    fn judge_udp(&self, local: u16, remote: u16) -> Verdict {
        if self.is_tunnel(local, remote) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let mirror = Wanted::Udp(local);
        let opening = Wanted::Udp(remote);
        let is_open = self.rules.is_egress_open();
        if !is_open && !self.is_answer(mirror) && !self.is_permitted(opening) {
            return Verdict::Drop(Reason::Egress);
        }

        let flow = self.flow(FlowProtocol::Udp, local, remote);
        if let Some(ours) = self.tables.find(Side::Ours, &flow, self.now) {
            ours.change(State::used_here);
            ours.touch(self.now);
        } else if let Some(theirs) = self.tables.find(Side::Theirs, &flow, self.now) {
            theirs.change(State::answered);
            theirs.touch(self.now);
        } else if !self.is_answer(mirror) && !self.was_answer(mirror) {
            // UDP has no opening packet: one that no rule has answered opens.
            self.insert_ours(&flow, State::default());
        }
        Verdict::Pass
    }

    fn judge_icmp(&self, icmp: &Icmp<'_>) -> Verdict {
        let own = Wanted::Protocol(self.header.protocol);
        match icmp.kind {
            IcmpKind::EchoRequest => self.judge_echo_request(icmp.id),
            IcmpKind::EchoReply => self.pass_if(self.may_leave(Wanted::Echo, Wanted::Echo)),
            IcmpKind::Error if self.is_about_what_came(icmp) => Verdict::Pass,
            IcmpKind::Error if self.is_permitted(own) => Verdict::Pass,
            IcmpKind::Error => Verdict::Drop(Reason::IcmpError),
            IcmpKind::Query => self.pass_if(self.may_leave(own, own)),
            IcmpKind::Never => Verdict::Drop(Reason::IcmpKind),
        }
    }

    fn judge_echo_request(&self, id: u16) -> Verdict {
        if !self.is_permitted(Wanted::Echo) {
            return Verdict::Drop(Reason::Egress);
        }

        let flow = self.flow(FlowProtocol::Echo, id, 0);
        if let Some(ours) = self.tables.find(Side::Ours, &flow, self.now) {
            ours.change(State::used_here);
            ours.touch(self.now);
        } else {
            self.insert_ours(&flow, State::default());
        }
        Verdict::Pass
    }

    /// True for an error about a packet that its receiver sent to our site.
    fn is_about_what_came(&self, icmp: &Icmp<'_>) -> bool {
        let v6 = self.header.v6;
        Quote::parse(v6, icmp.body).is_some_and(|quote| {
            quote.source == self.header.destination
                && self.rules.holder(v6, quote.destination) == Holder::Own
        })
    }

    fn judge_other(&self) -> Verdict {
        let protocol = self.header.protocol;
        if !can_be_named(self.header.v6, protocol) {
            return Verdict::Drop(Reason::Protocol);
        }

        let wanted = Wanted::Protocol(protocol);
        self.pass_if(self.may_leave(wanted, wanted))
    }

    fn pass_if(&self, may_leave: bool) -> Verdict {
        if may_leave {
            Verdict::Pass
        } else {
            Verdict::Drop(Reason::Egress)
        }
    }

    /// True for what answers a service, and for what the policy lets this host open.
    fn may_leave(&self, mirror: Wanted, opening: Wanted) -> bool {
        self.is_permitted(opening) || self.is_answer(mirror)
    }

    fn is_permitted(&self, opening: Wanted) -> bool {
        let header = self.header;
        self.rules.is_egress_open()
            || self
                .rules
                .permits(header.v6, header.source, header.destination, opening)
    }

    /// True if a rule allows the destination to open `mirror` at our host.
    fn is_answer(&self, mirror: Wanted) -> bool {
        let ends = (self.header.destination, self.header.source);
        self.site().is_some_and(|site| {
            self.rules
                .allowing(site, self.header.v6, ends, mirror)
                .is_some()
        })
    }

    /// True if a former rule allowed it.
    fn was_answer(&self, mirror: Wanted) -> bool {
        let ends = (self.header.destination, self.header.source);
        self.site()
            .is_some_and(|site| self.rules.was_allowed(site, self.header.v6, ends, mirror))
    }

    fn insert_ours(&self, flow: &Hashed, state: State) {
        let has_place =
            self.filter
                .flows
                .insert(self.tables, Side::Ours, flow, Owner::Local, state, self.now);
        if has_place {
            self.filter
                .share(|| super::flow_views::record(&flow.key, state, 0));
        }
    }

    fn insert_theirs(&self, flow: &Hashed, site: usize, state: State) {
        let owner = Owner::Org(self.rules.share(site));
        self.filter
            .flows
            .insert(self.tables, Side::Theirs, flow, owner, state, self.now);
    }

    /// True for this host's own outer packets: a tunnel in a tunnel.
    fn is_tunnel(&self, local: u16, remote: u16) -> bool {
        let port = self.rules.tunnel_port();
        (local == port || remote == port)
            && self.rules.is_gateway(self.header.v6, self.header.source)
    }

    #[inline]
    fn flow(&self, protocol: FlowProtocol, local_port: u16, remote_port: u16) -> Hashed {
        self.filter.flows.hashed(FlowKey {
            v6: self.header.v6,
            protocol,
            local: self.header.source,
            remote: self.header.destination,
            local_port,
            remote_port,
        })
    }
}
