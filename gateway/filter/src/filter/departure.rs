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
use super::parts::ByTransport;
use crate::clock::Tick;
use crate::flows::{ANSWERED, FlowKey, Hashed, Owner, Side, State, Tables};
use crate::fragments::Sender;
use crate::holders::Holder;
use crate::packet::{Bits, Header, Icmp, IcmpKind, Quote, Tcp};
use crate::record::FlowProtocol;
use crate::rules::{Rules, Wanted, can_be_named};
use crate::verdict::{Reason, Verdict};

#[derive(Clone, Copy)]
pub(super) struct Departure<'a> {
    pub(super) filter: &'a Filter,
    pub(super) tables: &'a Tables,
    pub(super) rules: &'a Rules,
    pub(super) packet: &'a [u8],
    pub(super) now: Tick,
}

/// Our host, and the other one.
#[derive(Clone, Copy)]
struct Ends {
    v6: bool,
    local: Bits,
    remote: Bits,
}

impl Ends {
    fn of(header: &Header<'_>) -> Ends {
        Ends {
            v6: header.v6,
            local: header.source,
            remote: header.destination,
        }
    }

    fn of_flow(flow: &Hashed) -> Ends {
        let key = flow.key();
        Ends {
            v6: key.v6,
            local: key.local,
            remote: key.remote,
        }
    }
}

impl ByTransport for Departure<'_> {
    fn packet(&self) -> &[u8] {
        self.packet
    }

    #[inline(always)]
    fn judge_tcp(self, header: &Header<'_>, tcp: &Tcp) -> Verdict {
        let local = tcp.source_port;
        let remote = tcp.destination_port;
        if self.is_tunnel(header, local, remote) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let flow = self.flow(header, FlowProtocol::Tcp, (local, remote));
        if tcp.is_opening() {
            return self.judge_syn(flow, Wanted::Tcp(remote));
        }
        if tcp.is_syn_ack() {
            return self.judge_syn_ack(flow, *tcp);
        }

        // The default first: it spares both lookups.
        let may_leave = self.rules.is_egress_open()
            || self.may_leave(Ends::of(header), Wanted::Tcp(local), Wanted::Tcp(remote));
        if !may_leave {
            return Verdict::Drop(Reason::Egress);
        }
        self.note_segment(flow, tcp);
        Verdict::Pass
    }

    fn judge_udp(self, header: &Header<'_>, local: u16, remote: u16) -> Verdict {
        if self.is_tunnel(header, local, remote) {
            return Verdict::Drop(Reason::TunnelPort);
        }

        let ends = Ends::of(header);
        let mirror = Wanted::Udp(local);
        if !self.rules.is_egress_open() && !self.may_leave(ends, mirror, Wanted::Udp(remote)) {
            return Verdict::Drop(Reason::Egress);
        }

        let flow = self.flow(header, FlowProtocol::Udp, (local, remote));
        if let Some(ours) = self.tables.find(Side::Ours, &flow, self.now) {
            ours.change(State::used_here);
            ours.touch(self.now);
        } else if let Some(theirs) = self.tables.find(Side::Theirs, &flow, self.now) {
            theirs.change(State::answered);
            theirs.touch(self.now);
        } else if !self.is_answer(ends, mirror) && !self.was_answer(ends, mirror) {
            // UDP has no opening packet: one that no rule has answered opens.
            self.insert_ours(&flow, State::default());
        }
        Verdict::Pass
    }

    fn judge_icmp(self, header: &Header<'_>, icmp: &Icmp<'_>) -> Verdict {
        let ends = Ends::of(header);
        let own = Wanted::Protocol(header.protocol);
        match icmp.kind {
            IcmpKind::EchoRequest => self.judge_echo_request(header, icmp.id),
            IcmpKind::EchoReply => pass_if(self.may_leave(ends, Wanted::Echo, Wanted::Echo)),
            IcmpKind::Error if self.is_about_what_came(header, icmp) => Verdict::Pass,
            IcmpKind::Error if self.is_permitted(ends, own) => Verdict::Pass,
            IcmpKind::Error => Verdict::Drop(Reason::IcmpError),
            IcmpKind::Query => pass_if(self.may_leave(ends, own, own)),
            IcmpKind::Never => Verdict::Drop(Reason::IcmpKind),
        }
    }

    fn judge_by_number(self, header: &Header<'_>) -> Verdict {
        if !can_be_named(header.v6, header.protocol) {
            return Verdict::Drop(Reason::Protocol);
        }

        let wanted = Wanted::Protocol(header.protocol);
        pass_if(self.may_leave(Ends::of(header), wanted, wanted))
    }
}

impl Departure<'_> {
    #[inline(always)]
    pub(super) fn judge(self, header: &Header<'_>) -> Verdict {
        self.filter.judge_parts(Sender::Own, header, self.now, self)
    }

    /// The site of an address, by its place in the rules.
    fn site(self, v6: bool, address: Bits) -> Option<usize> {
        match self.rules.holder(v6, address) {
            Holder::Site(site) => Some(site),
            Holder::Own | Holder::Nobody => None,
        }
    }

    /// A host opens a connection.
    fn judge_syn(self, flow: Hashed, opening: Wanted) -> Verdict {
        if !self.is_permitted(Ends::of_flow(&flow), opening) {
            return Verdict::Drop(Reason::Egress);
        }

        // Our host takes the ports over from a connection of theirs, which must be over.
        self.filter.flows.remove(self.tables, Side::Theirs, &flow);
        self.insert_ours(&flow, State::default());
        Verdict::Pass
    }

    /// A host answers a SYN. By whatever way that came, over the WAN or through a tunnel, a rule
    /// must allow it.
    fn judge_syn_ack(self, flow: Hashed, tcp: Tcp) -> Verdict {
        let ends = Ends::of_flow(&flow);
        let Some(site) = self.site(ends.v6, ends.remote) else {
            return Verdict::Drop(Reason::SynAck);
        };
        if !self.is_answer(ends, Wanted::Tcp(tcp.source_port)) {
            return Verdict::Drop(Reason::SynAck);
        }

        let begun = State::default().after_own(&tcp, ANSWERED);
        match self.tables.find(Side::Theirs, &flow, self.now) {
            Some(known) => {
                // A SYN-ACK that is sent again tells nothing new. Any other begins a new connection
                // on the same ports: what was known of the old one no longer holds.
                known.change(|state| state.begun_again(begun));
                known.touch(self.now);
            }
            None => self.insert_theirs(&flow, site, begun),
        }
        Verdict::Pass
    }

    /// Records a segment that may pass, and is neither SYN nor SYN-ACK.
    #[inline(always)]
    fn note_segment(self, flow: Hashed, tcp: &Tcp) {
        if let Some(ours) = self.tables.find(Side::Ours, &flow, self.now) {
            ours.change(|state| state.after_own(tcp, 0));
            ours.touch(self.now);
            return;
        }
        if let Some(theirs) = self.tables.find(Side::Theirs, &flow, self.now) {
            theirs.change(|state| state.after_own(tcp, ANSWERED));
            theirs.touch(self.now);
            return;
        }

        // Of what is unknown, only a segment with ACK proves that a connection exists.
        if tcp.is_midstream() {
            self.note_unknown(flow, *tcp);
        }
    }

    /// Records the middle of a connection of which nothing is known.
    #[cold]
    fn note_unknown(self, flow: Hashed, tcp: Tcp) {
        let ends = Ends::of_flow(&flow);
        let state = State::default().after_own(&tcp, 0);
        let mirror = Wanted::Tcp(tcp.source_port);

        if self.is_answer(ends, mirror) {
            // Known so that a reset can be exact.
            if let Some(site) = self.site(ends.v6, ends.remote) {
                let state = state.after_own(&tcp, ANSWERED);
                self.insert_theirs(&flow, site, state);
            }
        } else if self.filter.grace.is_about(tcp.source_port) && !self.was_answer(ends, mirror) {
            self.insert_ours(&flow, state);
        }
    }

    fn judge_echo_request(self, header: &Header<'_>, id: u16) -> Verdict {
        if !self.is_permitted(Ends::of(header), Wanted::Echo) {
            return Verdict::Drop(Reason::Egress);
        }

        let flow = self.flow(header, FlowProtocol::Echo, (id, 0));
        if let Some(ours) = self.tables.find(Side::Ours, &flow, self.now) {
            ours.change(State::used_here);
            ours.touch(self.now);
        } else {
            self.insert_ours(&flow, State::default());
        }
        Verdict::Pass
    }

    /// True for an error about a packet that its receiver sent to our site.
    fn is_about_what_came(self, header: &Header<'_>, icmp: &Icmp<'_>) -> bool {
        let v6 = header.v6;
        Quote::parse(v6, icmp.body).is_some_and(|quote| {
            quote.source == header.destination
                && self.rules.holder(v6, quote.destination) == Holder::Own
        })
    }

    /// True for what answers a service, and for what the policy lets this host open.
    fn may_leave(self, ends: Ends, mirror: Wanted, opening: Wanted) -> bool {
        self.is_permitted(ends, opening) || self.is_answer(ends, mirror)
    }

    fn is_permitted(self, ends: Ends, opening: Wanted) -> bool {
        self.rules.is_egress_open()
            || self
                .rules
                .permits(ends.v6, ends.local, ends.remote, opening)
    }

    /// True if a rule allows the other host to open `mirror` at our host.
    fn is_answer(self, ends: Ends, mirror: Wanted) -> bool {
        let Some(site) = self.site(ends.v6, ends.remote) else {
            return false;
        };
        let way_back = (ends.remote, ends.local);
        let allowing = self.rules.allowing(site, ends.v6, way_back, mirror);
        allowing.is_some()
    }

    /// True if a former rule allowed it.
    fn was_answer(self, ends: Ends, mirror: Wanted) -> bool {
        let way_back = (ends.remote, ends.local);
        self.site(ends.v6, ends.remote)
            .is_some_and(|site| self.rules.was_allowed(site, ends.v6, way_back, mirror))
    }

    fn insert_ours(self, flow: &Hashed, state: State) {
        let has_place =
            self.filter
                .flows
                .insert(self.tables, Side::Ours, flow, Owner::Local, state, self.now);
        if has_place {
            self.filter
                .share(|| super::flow_views::record(&flow.key(), state, 0));
        }
    }

    fn insert_theirs(self, flow: &Hashed, site: usize, state: State) {
        let owner = Owner::Org(self.rules.share(site));
        self.filter
            .flows
            .insert(self.tables, Side::Theirs, flow, owner, state, self.now);
    }

    /// True for this host's own outer packets: a tunnel in a tunnel.
    #[inline(always)]
    fn is_tunnel(self, header: &Header<'_>, local: u16, remote: u16) -> bool {
        let port = self.rules.tunnel_port();
        (local == port || remote == port) && self.rules.is_gateway(header.v6, header.source)
    }

    #[inline(always)]
    fn flow(
        self,
        header: &Header<'_>,
        protocol: FlowProtocol,
        (local_port, remote_port): (u16, u16),
    ) -> Hashed {
        self.filter.flows.hashed(FlowKey {
            v6: header.v6,
            protocol,
            local: header.source,
            remote: header.destination,
            local_port,
            remote_port,
        })
    }
}

fn pass_if(may_leave: bool) -> Verdict {
    if may_leave {
        Verdict::Pass
    } else {
        Verdict::Drop(Reason::Egress)
    }
}
