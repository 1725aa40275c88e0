//! Explains why a connection works or does not: checks each [`Step`] of its path, in both
//! directions, and names the cause where a step fails. For `ringway explain`.
//!
//! ```text
//!   Report, RulesReport ─► Diagnosis ─► steps: prefix, tunnel, rules of both ends, host, probe
//! ```
//! Only evaluates its inputs; it asks and tries nothing. A step that fails is a cause. Steps that
//! depend on it and cannot be judged are left out.

mod beside;
mod host;
mod probe;
mod step;
#[cfg(test)]
mod tests;
mod verdict;

use std::net::IpAddr;

use ringway_config::{Asked, Opening, Prefix};

use ringway_host::watch::Obstructions;
use ringway_intent::Remedy;

use crate::admin::Report;
use crate::admin::report::{RouteReport, TunnelReport};
use crate::admin::rules::{PeerVerdict, RulesReport};

pub use beside::{FarEnd, NearEnd, OtherSites, WithinSite, same_question};
pub use probe::{NotTried, Probe};
pub use step::{Family, State, Step};
pub use verdict::Verdict;

/// What is known about the path of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Diagnosis<'a> {
    /// The connection.
    pub opening: Opening,
    /// Direction: towards this site, or away from it.
    pub arrives: bool,
    /// Status of this gateway.
    pub report: &'a Report,
    /// What the rules of both ends say.
    pub rules: &'a RulesReport,
    /// Where the prefix of the far end is written.
    pub prefix_place: Option<&'a str>,
    /// Where the rules of this end are written, for what no single rule decides.
    pub policy_place: &'a str,
    /// What the rules of the file say; none at an attached node, which judges nothing.
    pub by_file: Option<&'a RulesReport>,
    /// What of this host stops just this connection; none if that could not be looked at.
    pub obstructions: Option<&'a Obstructions>,
    /// The attached node that has the near end.
    pub node: Option<&'a str>,
}

impl Diagnosis<'_> {
    /// Every step except the probe.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        steps.extend(self.role());
        steps.extend(self.node());
        match route_to(self.report, self.far()) {
            None => {
                let text = format!("no member's site has {}", self.far());
                let step = Step::new(Verdict::PrefixOfNobody, text);
                steps.push(step.with(Remedy::ringway("member list")));
            }
            Some(route) => {
                let prefix = self.prefix(route);
                let is_usable = prefix.state == State::Good;
                steps.push(prefix);
                if is_usable {
                    steps.push(self.tunnel(route));
                    steps.push(self.our_rules(route));
                    steps.push(self.their_rules(route));
                    let mut known = steps.iter();
                    // Where no node is known, this host has no route either.
                    if known.all(|step| step.verdict != Verdict::NodeUnlisted) {
                        steps.extend(self.host(route));
                    }
                }
            }
        }
        steps.extend(self.check());
        steps
    }

    /// The address in the other site.
    pub fn far(&self) -> IpAddr {
        if self.arrives {
            self.opening.source
        } else {
            self.opening.destination
        }
    }

    /// The address in this site.
    pub(super) fn near(&self) -> IpAddr {
        if self.arrives {
            self.opening.destination
        } else {
            self.opening.source
        }
    }

    fn prefix(&self, route: &RouteReport) -> Step {
        let mut place = route.prefix.clone();
        // An attached node does not know who owns what its gateways offer.
        if !route.org.is_empty() {
            place.push_str(&format!(" of {}/{}", route.org, route.site));
        }
        if let Some(written) = self.prefix_place {
            place.push_str(&format!(" ({written})"));
        }

        match route.verdict.as_str() {
            "available" => {
                if let Some(via) = &route.via {
                    place.push_str(&format!(", served via {via}"));
                }
                Step::new(Verdict::PrefixInUse, place)
            }
            "conflicted" => {
                let other = route.conflict_with.as_deref().unwrap_or("another one");
                let text = format!("{place} is not used: it overlaps {other}");
                Step::new(Verdict::PrefixConflicted, text).with(Remedy::ringway("check"))
            }
            _ => {
                let reason = route.refused.as_deref().unwrap_or("its site is refused");
                let text = format!("{place} is not used: {reason}");
                Step::new(Verdict::PrefixRefused, text).with(Remedy::ringway("check"))
            }
        }
    }

    /// On a standby, points to the active gateway: the site's hosts use that one.
    fn role(&self) -> Option<Step> {
        let role = self.report.role.as_ref()?;
        let active =
            self.report.site.siblings.iter().find(|sibling| {
                role.role == "standby" && sibling.role.as_deref() == Some("active")
            })?;

        let text = format!(
            "this gateway is on standby: the site's hosts use {}, which knows more",
            active.gateway
        );
        let remedy = format!("run this command at {}", active.gateway);
        Some(Step::new(Verdict::Standby, text).with(remedy))
    }

    fn tunnel(&self, route: &RouteReport) -> Step {
        let prefix = &route.prefix;
        if route.served_here {
            return Step::new(
                Verdict::ServedHere,
                format!("{prefix} lies behind this host"),
            );
        }
        let Some(gateway) = &route.gateway else {
            return self.no_route(route);
        };
        if !route.installed {
            let text = format!("{gateway} serves {prefix}, but the kernel has no route");
            let remedy = Remedy::ringway("status   # what is missing in the kernel");
            return Step::new(Verdict::RouteMissing, text).with(remedy);
        }

        if route.by_sibling {
            return self.by_sibling(route, gateway);
        }
        let tunnel = self.report.tunnels.iter().find(|it| it.peer == *gateway);
        let text = tunnel.map_or_else(|| format!("{gateway} is up"), up);
        Step::new(Verdict::TunnelUp, text)
    }

    /// Another gateway of this site has the tunnel.
    fn by_sibling(&self, route: &RouteReport, sibling: &str) -> Step {
        let org = serving_org(route);
        let tunnels = self.report.tunnels.iter();
        let down = tunnels.filter(|it| it.org == org && it.state != "up");

        let mut texts: Vec<String> = down.map(self::down).collect();
        texts.push(format!("{sibling}, of this site, passes packets on"));
        Step::new(Verdict::BySibling, texts.join("; "))
    }

    /// The same question, at the gateway of the other end.
    pub fn ask_there(&self, peer: &str) -> String {
        format!("at {peer}: {}", same_question(&self.opening))
    }

    /// Why nobody serves a prefix.
    fn no_route(&self, route: &RouteReport) -> Step {
        let prefix = &route.prefix;
        let org = serving_org(route);
        let tunnels = self.report.tunnels.iter();
        let tunnels: Vec<&TunnelReport> = tunnels.filter(|it| it.org == org).collect();
        let mut asked = tunnels.iter();
        let refused = asked.find_map(|it| Some((it, it.refused.get(prefix)?)));

        if let Some((tunnel, reason)) = refused {
            let peer = &tunnel.peer;
            let text = format!("{peer} announces {prefix}, refused: {reason}");
            let remedy = Remedy::ringway(format!("status --peer {peer}"));
            return Step::new(Verdict::ClaimRefused, text).with(remedy);
        }
        if let Some(tunnel) = tunnels.iter().find(|it| it.state == "up") {
            let peer = &tunnel.peer;
            let text = format!("{peer} is up, but does not announce {prefix}");
            let remedy = format!("its operator sees why: ringway status, at {peer}");
            return Step::new(Verdict::NotAnnounced, text).with(remedy);
        }

        let remedy = Remedy::ringway(format!("status --org {org}"));
        if tunnels.is_empty() {
            let text = format!("{org} has no gateway in its record");
            return Step::new(Verdict::NoGateway, text).with(remedy);
        }
        let texts: Vec<String> = tunnels.iter().map(|it| down(it)).collect();
        Step::new(Verdict::TunnelDown, texts.join("; ")).with(remedy)
    }

    fn our_rules(&self, route: &RouteReport) -> Step {
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

    fn their_rules(&self, route: &RouteReport) -> Step {
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
            PeerVerdict::NotTold if self.report.gateway.starts_with("node:") => {
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
}

/// The most specific prefix of `report` that has the address `far`.
pub fn route_to(report: &Report, far: IpAddr) -> Option<&RouteReport> {
    let routes = report.routes.iter();
    let parsed = routes.filter_map(|route| Some((route.prefix.parse::<Prefix>().ok()?, route)));
    let holding = parsed.filter(|(prefix, _)| prefix.contains(far));

    holding
        // Of two records with one prefix, the one whose claim stands counts.
        .max_by_key(|(prefix, route)| (prefix.len(), route.verdict == "available"))
        .map(|(_, route)| route)
}

/// The organization whose gateways serve the prefix: that of `via`, if there is one.
fn serving_org(route: &RouteReport) -> String {
    let via = route.via.as_deref().and_then(|via| via.split_once('/'));

    via.map_or(route.org.clone(), |(org, _)| org.to_owned())
}

fn up(tunnel: &TunnelReport) -> String {
    let mut text = format!("{} is up", tunnel.peer);
    if let Some(rtt) = tunnel.rtt_us {
        text.push_str(&format!(", round trip {:.1} ms", rtt as f64 / 1000.0));
    }
    text.push_str(&format!(", outer packets up to {} bytes", tunnel.path_mtu));
    if tunnel.probes_lost > 0 {
        let (lost, sent) = (tunnel.probes_lost, tunnel.probes_sent);
        text.push_str(&format!(", {lost} of the last {sent} probes lost"));
    }

    text
}

fn down(tunnel: &TunnelReport) -> String {
    match &tunnel.last_error {
        Some(error) => format!("{} is {}: {error}", tunnel.peer, tunnel.state),
        None => format!("{} is {}", tunnel.peer, tunnel.state),
    }
}
