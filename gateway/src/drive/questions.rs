//! [`Questions`]: what the rules of both ends say about a connection, for `ringway explain`. Our
//! rules answer at once; the gateway at the far end is asked over its session.
//!
//! A peer learns a verdict, never a rule, and only about connections of its own organization.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ringway_config::{Asked, GatewayId, Opening};
use ringway_core::message::POLICY_QUESTIONS;
use ringway_core::{
    ConnId, Message, NodeAway, PolicyEnvelope, PolicyMessage, PolicyVerdict, RouteStatus,
};
use ringway_filter::{Explanation, Rules};
use tokio::sync::oneshot;

use super::Drive;
use crate::admin::rules::{PeerNode, PeerVerdict, RulesReport};

/// Maximum number of our questions that wait for an answer.
const MAX_WAITING: usize = 64;
/// How long a question waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Questions of one peer that are answered in a second; the rest is ignored.
const MAX_PER_SECOND: u32 = 10;

/// Questions to peers that are pending, and the rate of each peer's questions to us.
#[derive(Default)]
pub struct Questions {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    askers: BTreeMap<GatewayId, Asker>,
}

struct Waiting {
    conn: ConnId,
    until: Instant,
    report: RulesReport,
    reply: oneshot::Sender<RulesReport>,
}

/// A peer that asks us.
struct Asker {
    second: Instant,
    asked: u32,
}

impl Questions {
    /// Stores a question that waits for the answer of the peer on `conn`. Returns its number.
    fn add(
        &mut self,
        conn: ConnId,
        report: RulesReport,
        reply: oneshot::Sender<RulesReport>,
        now: Instant,
    ) -> u64 {
        self.last += 1;
        let waiting = Waiting {
            conn,
            until: now + TIMEOUT,
            report,
            reply,
        };
        self.waiting.insert(self.last, waiting);
        self.last
    }

    /// Handles an answer. It counts only if it comes from the peer that was asked.
    fn handle_answer(
        &mut self,
        conn: ConnId,
        number: u64,
        verdict: PolicyVerdict,
        node: Option<NodeAway>,
    ) {
        let is_asked = self
            .waiting
            .get(&number)
            .is_some_and(|waiting| waiting.conn == conn);
        if !is_asked {
            return;
        }

        if let Some(mut waiting) = self.waiting.remove(&number) {
            waiting.report.their_node = node.map(|node| match node {
                NodeAway::Down => PeerNode::Down,
                NodeAway::Silent => PeerNode::Silent,
            });
            waiting.finish(match verdict {
                PolicyVerdict::Allowed => PeerVerdict::Allowed,
                PolicyVerdict::Denied => PeerVerdict::Denied,
                PolicyVerdict::NotTold => PeerVerdict::NotTold,
            });
        }
    }

    /// When to call [`Questions::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// Ends the questions that have waited too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        // Numbers grow with time and all questions have the same time limit, so the first is the
        // oldest.
        while let Some(first) = self.waiting.first_entry()
            && first.get().until <= now
        {
            first.remove().finish(PeerVerdict::NoAnswer);
        }
    }

    /// True if `asker` is within its rate limit.
    fn may_answer(&mut self, asker: &GatewayId, now: Instant) -> bool {
        // Peers that have not asked for a second need no entry.
        self.askers
            .retain(|_, asker| now.duration_since(asker.second) < Duration::from_secs(1));

        let asker = self.askers.entry(asker.clone()).or_insert(Asker {
            second: now,
            asked: 0,
        });
        asker.asked = asker.asked.saturating_add(1);
        asker.asked <= MAX_PER_SECOND
    }
}

impl Waiting {
    fn finish(self, theirs: PeerVerdict) {
        // The client may have disconnected.
        let _ = self.reply.send(RulesReport {
            theirs,
            ..self.report
        });
    }
}

impl Drive {
    /// Asks the rules of both ends about `opening`, for a client.
    pub(super) fn ask_rules(&mut self, opening: &Opening, reply: oneshot::Sender<RulesReport>) {
        let explanation = self.packets.rules().map(|rules| rules.explain(opening));
        let far = self.far_end(opening);
        let asked = far.and_then(|far| self.gateway_of(far));
        let report = RulesReport {
            peer: asked.as_ref().map(|(peer, _)| peer.to_string()),
            unanswered: self.unanswered(opening),
            ..RulesReport::of(explanation.unwrap_or(Explanation::NotOurs))
        };

        let Some((_, conn)) = asked else {
            return answer(reply, report, PeerVerdict::NoTunnel);
        };
        let session = self.shell.peer_session(conn);
        // A gateway answers no question of a node.
        if self.in_force.config().attach.is_some() {
            return answer(reply, report, PeerVerdict::NotTold);
        }
        if session.is_none_or(|session| session.features & POLICY_QUESTIONS == 0) {
            return answer(reply, report, PeerVerdict::Older);
        }

        if self.questions.waiting.len() >= MAX_WAITING {
            return answer(reply, report, PeerVerdict::NoAnswer);
        }

        let number = self.questions.add(conn, report, reply, Instant::now());
        let question = PolicyMessage::Question {
            number,
            opening: *opening,
        };
        self.links.send(conn, &Message::Policy(question));
    }

    fn unanswered(&self, opening: &Opening) -> u64 {
        let Asked::Tcp(port) = opening.service else {
            return 0;
        };

        let local = SocketAddr::new(opening.destination, port);
        self.packets
            .filter()
            .unanswered(opening.source, local, Instant::now())
    }

    /// Handles a peer's question about our rules, or its answer about its own.
    pub(super) fn handle_policy_message(&mut self, letter: &PolicyEnvelope) {
        let PolicyEnvelope {
            peer,
            conn,
            message,
        } = letter;

        match message {
            PolicyMessage::Question { number, opening } => {
                if !self.questions.may_answer(peer, Instant::now()) {
                    return;
                }
                let verdict = verdict_for(peer, self.packets.rules(), opening);
                let node = told(verdict, || self.node_away(opening));
                let answer = PolicyMessage::Answer {
                    number: *number,
                    verdict,
                    node,
                };
                self.links.send(*conn, &Message::Policy(answer));
            }
            PolicyMessage::Answer {
                number,
                verdict,
                node,
            } => {
                self.questions
                    .handle_answer(*conn, *number, *verdict, *node);
            }
        }
    }

    /// The address of `opening` that is not in this site.
    fn far_end(&self, opening: &Opening) -> Option<IpAddr> {
        let own = &self.packets.rules()?.spec().own;

        [opening.source, opening.destination]
            .into_iter()
            .find(|address| own.iter().all(|prefix| !prefix.contains(*address)))
    }

    /// The gateway that packets to `address` are sent to, and its session.
    fn gateway_of(&self, address: IpAddr) -> Option<(GatewayId, ConnId)> {
        let status = self.shell.status(Instant::now());
        let routes = status.routes.iter();
        let holding = routes.filter(|route| route.prefix.contains(address));
        let route = holding.max_by_key(|route| route.prefix.len())?;
        // Another gateway of our site does not know the rules there.
        let RouteStatus { gateway, .. } = Some(route).filter(|route| !route.is_by_sibling)?;

        let gateway = gateway.clone()?;
        let mut tunnels = status.tunnels.into_iter();
        let tunnel = tunnels.find(|tunnel| tunnel.peer == gateway)?;
        Some((gateway, tunnel.conn?))
    }
}

fn answer(reply: oneshot::Sender<RulesReport>, report: RulesReport, theirs: PeerVerdict) {
    // The client may have disconnected.
    let _ = reply.send(RulesReport { theirs, ..report });
}

/// The verdict that `peer` may learn: whether our rules allow a connection that a host of its
/// organization opens here, or one that a host of ours opens there.
fn verdict_for(peer: &GatewayId, rules: Option<&Rules>, opening: &Opening) -> PolicyVerdict {
    let Some(rules) = rules else {
        return PolicyVerdict::NotTold;
    };
    let ends = [opening.source, opening.destination];
    let concerns_it = ends
        .iter()
        .any(|address| rules.org_at(*address) == Some(&peer.org));
    if !concerns_it {
        return PolicyVerdict::NotTold;
    }

    match rules.explain(opening) {
        Explanation::NotOurs => PolicyVerdict::NotTold,
        explanation if explanation.is_allowed() => PolicyVerdict::Allowed,
        _ => PolicyVerdict::Denied,
    }
}

/// What a peer may learn about our host: nothing, unless it may open the connection, and could
/// find out by trying.
fn told(verdict: PolicyVerdict, node_away: impl FnOnce() -> Option<NodeAway>) -> Option<NodeAway> {
    match verdict {
        PolicyVerdict::Allowed => node_away(),
        PolicyVerdict::Denied | PolicyVerdict::NotTold => None,
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::{Asked, Policy, Prefix};
    use ringway_filter::{RemoteSite, RulesSpec};

    use super::*;

    fn rules() -> Rules {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let site = |number, org: &str, held: &str| RemoteSite {
            number,
            org: org.parse().unwrap(),
            site: "east".parse().unwrap(),
            prefixes: vec![prefix(held)],
            has_gateways: true,
            via: None,
        };

        Rules::compile(&RulesSpec {
            // The default policy allows echo only.
            policy: Policy::default(),
            former: Vec::new(),
            site: 0,
            own: vec![prefix("10.1.0.0/16")],
            sites: vec![
                site(1, "beta", "10.2.0.0/16"),
                site(2, "gamma", "10.3.0.0/16"),
            ],
            names: BTreeMap::new(),
            dns: Vec::new(),
            gateway: Vec::new(),
            tunnel_port: 4600,
        })
    }

    fn opening(source: &str, destination: &str, service: Asked) -> Opening {
        Opening {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            service,
        }
    }

    #[test]
    fn a_peer_learns_only_what_concerns_its_organization_and_this_site() {
        let (peer, rules) = ("gw.beta".parse().unwrap(), rules());
        let verdict = |source, destination, service| {
            verdict_for(&peer, Some(&rules), &opening(source, destination, service))
        };

        let echo = Asked::Echo;
        let tcp = Asked::Tcp(7051);
        assert_eq!(
            verdict("10.2.0.1", "10.1.0.1", echo),
            PolicyVerdict::Allowed
        );
        assert_eq!(verdict("10.2.0.1", "10.1.0.1", tcp), PolicyVerdict::Denied);
        assert_eq!(verdict("10.1.0.1", "10.2.0.1", tcp), PolicyVerdict::Allowed);
        for (source, destination) in [
            ("10.3.0.1", "10.1.0.1"),
            ("10.1.0.1", "10.3.0.1"),
            ("10.2.0.1", "10.3.0.1"),
            ("10.1.0.1", "10.1.0.2"),
            ("192.0.2.1", "10.1.0.1"),
        ] {
            assert_eq!(
                verdict(source, destination, echo),
                PolicyVerdict::NotTold,
                "{source} to {destination}"
            );
        }
    }

    #[test]
    fn a_peer_learns_about_a_node_only_if_it_may_reach_it() {
        for (verdict, expected) in [
            (PolicyVerdict::Allowed, Some(NodeAway::Down)),
            (PolicyVerdict::Denied, None),
            (PolicyVerdict::NotTold, None),
        ] {
            assert_eq!(told(verdict, || Some(NodeAway::Down)), expected);
        }
    }

    #[test]
    fn a_peer_that_asks_without_end_is_answered_a_few_times_a_second() {
        let mut questions = Questions::default();
        let (one, other) = ("gw.beta".parse().unwrap(), "gw2.beta".parse().unwrap());
        let now = Instant::now();

        let answered = (0..1000)
            .filter(|_| questions.may_answer(&one, now))
            .count();
        assert_eq!(answered, MAX_PER_SECOND as usize);
        assert!(questions.may_answer(&other, now), "each has its own pace");
        assert!(questions.may_answer(&one, now + Duration::from_secs(1)));
    }

    #[test]
    fn only_the_peer_that_was_asked_answers_and_silence_ends() {
        let mut questions = Questions::default();
        let now = Instant::now();
        let mut ask = |conn| {
            let (reply, answer) = oneshot::channel();
            let number = questions.add(ConnId(conn), RulesReport::default(), reply, now);
            (number, answer)
        };
        let (number, mut first) = ask(1);
        let (_, mut second) = ask(2);
        questions.handle_answer(ConnId(2), number, PolicyVerdict::Allowed, None);
        assert!(first.try_recv().is_err(), "that one was not asked");
        let away = Some(NodeAway::Silent);
        questions.handle_answer(ConnId(1), number, PolicyVerdict::Allowed, away);
        let first = first.try_recv().unwrap();
        assert_eq!(first.theirs, PeerVerdict::Allowed);
        assert_eq!(first.their_node, Some(PeerNode::Silent));

        let due = questions.poll_timeout().unwrap();
        questions.handle_timeout(due - Duration::from_millis(1));
        assert!(second.try_recv().is_err());
        questions.handle_timeout(due);
        assert_eq!(second.try_recv().unwrap().theirs, PeerVerdict::NoAnswer);
        assert_eq!(questions.poll_timeout(), None);
    }
}
