//! The rules of both ends of a [`Diagnosis`].

use ringway_config::Asked;
use ringway_intent::Remedy;

use super::{Diagnosis, Step, Verdict};
use crate::admin::report::RouteReport;
use crate::admin::rules::{PeerNode, PeerVerdict};

impl Diagnosis<'_> {
    pub(super) fn our_rules(&self, route: &RouteReport) -> Step {
        let rules = self.rules;
        let is_by_policy = !rules.is_allowed || rules.reason.contains("[policy]");
        let policy = is_by_policy.then_some(self.policy_place);
        let text = match rules.rule.as_deref().or(policy) {
            Some(place) => format!("{} ({place})", rules.reason),
            None => rules.reason.clone(),
        };

        if rules.is_allowed {
            return Step::new(Verdict::OursAllow, text);
        }
        if let Some(by_file) = self.by_file.filter(|by_file| by_file.is_allowed) {
            let place = by_file.rule.as_deref().unwrap_or(self.policy_place);
            let text = format!(
                "gateway.toml allows it ({place}), but the running gateway has not read it: {}",
                rules.reason
            );
            return Step::new(Verdict::OursUnread, text).with(Remedy::ringway("reload"));
        }
        if !self.arrives {
            return Step::new(Verdict::OursDenyExit, text).with("add a [[policy.allow-egress]]");
        }
        let allow = match self.opening.service {
            Asked::Tcp(port) => format!("--port {port}/tcp"),
            Asked::Udp(port) => format!("--port {port}/udp"),
            Asked::Echo => "--proto icmp".to_owned(),
            Asked::Protocol(number) => format!("--proto {number}"),
        };
        let (from, to) = (&route.org, self.opening.destination);
        let remedy = Remedy::ringway(format!("policy allow --from {from} --to {to} {allow}"));
        Step::new(Verdict::OursDenyEntry, text).with(remedy)
    }

    pub(super) fn their_rules(&self, route: &RouteReport) -> Step {
        let org = &route.org;
        let peer = self.rules.peer.as_deref().unwrap_or(org);

        match self.rules.theirs {
            PeerVerdict::Allowed => Step::new(Verdict::TheirsAllow, format!("{peer} allows it")),
            PeerVerdict::Denied if self.arrives => {
                let text = format!("{peer} does not let it leave");
                let remedy = format!("{org}'s operator can add a [[policy.allow-egress]]");
                Step::new(Verdict::TheirsDenyExit, text).with(remedy)
            }
            PeerVerdict::Denied => {
                let text = format!("{peer} does not let it in");
                let remedy = format!("{org}'s operator can add a rule: ringway policy allow");
                Step::new(Verdict::TheirsDenyEntry, text).with(remedy)
            }
            PeerVerdict::NotTold if self.is_at_node() => {
                let text = format!("{peer} judges for this node, and tells it nothing");
                Step::new(Verdict::TheirsUntoldToNodes, text).with(self.ask_there(peer))
            }
            PeerVerdict::NotTold => {
                let text = format!("{peer} does not tell");
                Step::new(Verdict::TheirsUntold, text).with(self.ask_there(peer))
            }
            PeerVerdict::NoTunnel if route.served_here => {
                Step::new(Verdict::TheirsNone, "its site has no gateway of its own")
            }
            PeerVerdict::NoTunnel if route.by_sibling => {
                let sibling = route.gateway.as_deref().unwrap_or_default();
                let text = format!("only {sibling} has a tunnel there to ask");
                Step::new(Verdict::TheirsUnreachable, text).with(self.ask_there(sibling))
            }
            PeerVerdict::NoTunnel => {
                Step::new(Verdict::TheirsUnreachable, "no tunnel leads there to ask")
            }
            PeerVerdict::Older => {
                let text = format!("{peer} runs a version that answers no such questions");
                let remedy = format!("{org}'s operator can ask: ringway policy test");
                Step::new(Verdict::TheirsOlder, text).with(remedy)
            }
            PeerVerdict::NoAnswer => {
                let text = format!("{peer} did not answer in 2 s");
                Step::new(Verdict::TheirsSilent, text).with(self.ask_there(peer))
            }
        }
    }
    /// What the gateway of the far end says about the host there.
    pub(super) fn their_node(&self) -> Option<Step> {
        let peer = self.rules.peer.as_deref()?;
        let far = self.far();

        let step = match self.rules.their_node? {
            PeerNode::Down => {
                let text = format!("{peer} says that {far} is an attached node that is down");
                Step::new(Verdict::FarNodeDown, text)
            }
            PeerNode::Silent => {
                let text = format!(
                    "{peer} says that {far} is a WireGuard client that has been silent lately"
                );
                Step::new(Verdict::FarNodeQuiet, text)
            }
        };
        Some(step.with(self.ask_there(peer)))
    }
}
