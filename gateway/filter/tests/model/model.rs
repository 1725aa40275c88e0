//! The model: what the filter must answer, in the simplest code that says it. Lists and maps of
//! whole values, every rule tried in turn, nothing bounded, nothing compiled. It knows what a
//! packet is from its making ([`Facts`]) and never parses.

mod flow;
mod rules;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use flow::{Flow, Kind, Tuple, tuple};
use ringway_filter::RulesSpec;
use rules::Asked;

use crate::packet::{ACK, Content, FIN, Facts, Piece, Quoted, QuotedPorts, RST, SYN, Segment};

const FRAGMENTS_KEPT: Duration = Duration::from_secs(5);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Pass,
    Drop,
    /// A later fragment before its first.
    Wait,
}

/// A whole packet that came in fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fragmented {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
}

pub(crate) struct Model {
    spec: RulesSpec,
    ours: HashMap<Tuple, Flow>,
    /// When each flow that a rule let in was last seen.
    theirs: HashMap<Tuple, Instant>,
    fragments: HashMap<Fragmented, (Decision, Instant)>,
    grace_begun: Instant,
    pub(crate) endless_grace: bool,
}

impl Model {
    pub(crate) fn new(spec: RulesSpec, now: Instant) -> Model {
        Model {
            spec,
            ours: HashMap::new(),
            theirs: HashMap::new(),
            fragments: HashMap::new(),
            grace_begun: now,
            endless_grace: false,
        }
    }

    pub(crate) fn reload(&mut self, spec: RulesSpec) {
        self.spec = spec;
    }

    pub(crate) fn begin_grace(&mut self, now: Instant) {
        self.grace_begun = now;
    }

    /// A packet out of the tunnel of a gateway of site `from`.
    pub(crate) fn arrives(&mut self, from: u32, facts: &Facts, now: Instant) -> Decision {
        if !self.spec.sites.iter().any(|site| site.number == from) {
            return Decision::Drop;
        }
        if let Content::Later { protocol } = facts.content {
            return self.follow(facts, protocol, now);
        }

        let decision = self.judge_arriving(from, facts, now);
        self.remember(facts, decision, now);
        decision
    }

    /// A packet of a host of our site.
    pub(crate) fn leaves(&mut self, facts: &Facts, now: Instant) -> Decision {
        if let Content::Later { protocol } = facts.content {
            return self.follow(facts, protocol, now);
        }

        let decision = self.judge_leaving(facts, now);
        self.remember(facts, decision, now);
        decision
    }

    /// A later fragment follows the verdict of its first.
    fn follow(&self, facts: &Facts, protocol: u8, now: Instant) -> Decision {
        let Some(piece) = facts.fragment else {
            panic!("a later fragment has an offset");
        };
        match self.fragments.get(&fragmented(facts, protocol, piece)) {
            Some((decision, seen)) if now < *seen + FRAGMENTS_KEPT => *decision,
            _ => Decision::Wait,
        }
    }

    fn remember(&mut self, facts: &Facts, decision: Decision, now: Instant) {
        let Some(piece) = facts.fragment else {
            return;
        };
        // A fragment whose offset lies inside the header says nothing about the others.
        if piece.offset == 0 && piece.more {
            let protocol = facts.content.protocol(facts.source);
            self.fragments
                .insert(fragmented(facts, protocol, piece), (decision, now));
        }
    }

    fn judge_arriving(&mut self, from: u32, facts: &Facts, now: Instant) -> Decision {
        if self.is_tunnel(facts.destination, facts.content.destination_port()) {
            return Decision::Drop;
        }

        let passes = match facts.content {
            Content::Tcp(segment) => self.tcp_arrives(from, facts, &segment, now),
            Content::Udp { from: port, to } => {
                let tuple = tuple(Kind::Udp, facts.destination, to, facts.source, port);
                self.service_or_reply(from, facts, Asked::Udp(to), tuple, now)
            }
            Content::Echo { reply: false, .. } => {
                self.is_allowed(from, facts.source, facts.destination, Asked::Echo)
            }
            Content::Echo { reply: true, id } => {
                let tuple = tuple(Kind::Echo, facts.destination, id, facts.source, 0);
                self.is_ours(&tuple, now)
            }
            Content::Error(quoted) => self.error_arrives(from, facts, &quoted, now),
            Content::Protocol(number) => {
                let asked = Asked::Protocol(number);
                self.is_allowed(from, facts.source, facts.destination, asked)
            }
            Content::OtherIcmp | Content::Broken | Content::Later { .. } => false,
        };
        decision(passes)
    }

    fn tcp_arrives(&mut self, from: u32, facts: &Facts, segment: &Segment, now: Instant) -> bool {
        let tuple = tuple(
            Kind::Tcp,
            facts.destination,
            segment.to,
            facts.source,
            segment.from,
        );
        let opens = segment.flags & SYN != 0 && segment.flags & ACK == 0;
        let asked = Asked::Tcp(segment.to);
        let allowed = self.is_allowed(from, facts.source, facts.destination, asked);

        if opens && allowed {
            // A new connection: once ours, it is theirs now.
            self.ours.remove(&tuple);
        }
        if self.is_ours(&tuple, now) && !opens {
            let flow = self.ours.get_mut(&tuple).unwrap();
            flow.their_fin |= segment.flags & FIN != 0;
            flow.reset |= segment.flags & RST != 0;
            return true;
        }
        if allowed {
            self.theirs.insert(tuple, now);
            return true;
        }
        !opens && !self.theirs.contains_key(&tuple) && self.has_grace(facts, segment, now)
    }

    fn has_grace(&self, facts: &Facts, segment: &Segment, now: Instant) -> bool {
        let in_time = now < self.grace_begun + self.spec.policy.grace;
        let middle = segment.flags & (SYN | RST | ACK) == ACK;
        let answer = segment.flags & (SYN | RST | ACK) == SYN | ACK;
        let kind = (in_time && middle) || (self.endless_grace && (middle || answer));
        kind && segment.to >= self.spec.policy.grace_port
            && !self.was_allowed(facts.source, facts.destination, Asked::Tcp(segment.to))
    }

    fn service_or_reply(
        &mut self,
        from: u32,
        facts: &Facts,
        asked: Asked,
        tuple: Tuple,
        now: Instant,
    ) -> bool {
        if self.is_ours(&tuple, now) {
            return true;
        }
        let allowed = self.is_allowed(from, facts.source, facts.destination, asked);
        if allowed {
            self.theirs.insert(tuple, now);
        }
        allowed
    }

    /// An error is about a packet that its receiver sent to the sending site, in a flow that is
    /// ours, or that answered what a rule allows.
    fn error_arrives(&self, from: u32, facts: &Facts, quoted: &Quoted, now: Instant) -> bool {
        if quoted.source != facts.destination || self.site_of(quoted.destination) != Some(from) {
            return false;
        }

        let is_ours = |kind, our_port, their_port| {
            let tuple = tuple(
                kind,
                quoted.source,
                our_port,
                quoted.destination,
                their_port,
            );
            self.is_ours(&tuple, now)
        };
        let answers = |asked| self.is_allowed(from, quoted.destination, quoted.source, asked);
        match quoted.ports {
            QuotedPorts::Tcp(port, to) => is_ours(Kind::Tcp, port, to) || answers(Asked::Tcp(port)),
            QuotedPorts::Udp(port, to) => is_ours(Kind::Udp, port, to) || answers(Asked::Udp(port)),
            QuotedPorts::Echo(id) => is_ours(Kind::Echo, id, 0),
            QuotedPorts::EchoReply(_) => answers(Asked::Echo),
            QuotedPorts::Protocol(number) => answers(Asked::Protocol(number)),
            QuotedPorts::Missing => false,
        }
    }

    fn judge_leaving(&mut self, facts: &Facts, now: Instant) -> Decision {
        if self.is_tunnel(facts.source, facts.content.source_port()) {
            return Decision::Drop;
        }

        let passes = match facts.content {
            Content::Tcp(segment) => self.tcp_leaves(facts, &segment, now),
            Content::Udp { from, to } => {
                let tuple = tuple(Kind::Udp, facts.source, from, facts.destination, to);
                self.first_or_answer(facts, Asked::Udp(to), Asked::Udp(from), tuple, now)
            }
            Content::Echo { reply: false, id } => {
                let may = self.may_open(facts, Asked::Echo);
                let tuple = tuple(Kind::Echo, facts.source, id, facts.destination, 0);
                if may {
                    self.ours.insert(tuple, Flow::new(now));
                }
                may
            }
            Content::Echo { reply: true, .. } => {
                self.answers(facts, Asked::Echo) || self.may_open(facts, Asked::Echo)
            }
            Content::Error(_) => true,
            Content::Protocol(number) => {
                let asked = Asked::Protocol(number);
                self.answers(facts, asked) || self.may_open(facts, asked)
            }
            Content::OtherIcmp | Content::Broken | Content::Later { .. } => false,
        };
        decision(passes)
    }

    fn tcp_leaves(&mut self, facts: &Facts, segment: &Segment, now: Instant) -> bool {
        let tuple = tuple(
            Kind::Tcp,
            facts.source,
            segment.from,
            facts.destination,
            segment.to,
        );
        let answers = self.answers(facts, Asked::Tcp(segment.from));
        let may_open = self.may_open(facts, Asked::Tcp(segment.to));

        match segment.flags & (SYN | ACK) {
            SYN => {
                if may_open {
                    self.ours.insert(tuple, Flow::new(now));
                }
                may_open
            }
            // SYN and ACK: the answer to what somebody opened here.
            both if both == SYN | ACK => answers,
            _ if self.is_ours(&tuple, now) => {
                let flow = self.ours.get_mut(&tuple).unwrap();
                if may_open {
                    flow.seen = now;
                    flow.our_fin |= segment.flags & FIN != 0;
                    flow.reset |= segment.flags & RST != 0;
                }
                may_open
            }
            _ if answers => true,
            _ => {
                let middle = segment.flags & (ACK | RST) == ACK;
                let high = segment.from >= self.spec.policy.grace_port;
                let known = self.is_theirs(&tuple, now)
                    || self.was_allowed(facts.destination, facts.source, Asked::Tcp(segment.from));
                if may_open && middle && high && !known {
                    let mut flow = Flow::new(now);
                    flow.our_fin = segment.flags & FIN != 0;
                    self.ours.insert(tuple, flow);
                }
                may_open
            }
        }
    }

    /// UDP: the first packet that no rule and no flow of theirs covers makes a flow ours.
    fn first_or_answer(
        &mut self,
        facts: &Facts,
        asked: Asked,
        answered: Asked,
        tuple: Tuple,
        now: Instant,
    ) -> bool {
        let may_open = self.may_open(facts, asked);
        if self.is_ours(&tuple, now) {
            if may_open {
                self.ours.insert(tuple, Flow::new(now));
            }
            return may_open;
        }
        if self.answers(facts, answered) {
            return true;
        }

        let theirs = self.is_theirs(&tuple, now)
            || self.was_allowed(facts.destination, facts.source, answered);
        if may_open && !theirs {
            self.ours.insert(tuple, Flow::new(now));
        }
        may_open
    }

    fn is_ours(&self, tuple: &Tuple, now: Instant) -> bool {
        self.ours
            .get(tuple)
            .is_some_and(|flow| flow.is_alive(tuple.kind, now))
    }

    fn is_theirs(&self, tuple: &Tuple, now: Instant) -> bool {
        self.theirs
            .get(tuple)
            .is_some_and(|seen| Flow::new(*seen).is_alive(tuple.kind, now))
    }
}

fn decision(passes: bool) -> Decision {
    if passes {
        Decision::Pass
    } else {
        Decision::Drop
    }
}

fn fragmented(facts: &Facts, protocol: u8, piece: Piece) -> Fragmented {
    Fragmented {
        source: facts.source,
        destination: facts.destination,
        protocol,
        id: piece.id,
    }
}
