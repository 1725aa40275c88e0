//! Explains why a connection works or does not: checks each [`Step`] of its path, in both
//! directions, and names the cause where a step fails. For `ringway explain`.
//!
//! ```text
//!   Report, RulesReport ─► Diagnosis ─► steps: prefix, tunnel, rules of both ends, host, probe
//! ```
//! Only evaluates its inputs; it asks and tries nothing. A step that fails is a cause. Steps that
//! depend on it and cannot be judged are left out.

mod host;
mod probe;
mod step;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ringway_config::{Asked, Opening, Prefix};

use ringway_intent::{Finding, Remedy};

use crate::admin::Report;
use crate::admin::report::{RouteReport, TunnelReport};
use crate::admin::rules::{PeerVerdict, RulesReport};

pub use probe::Probe;
pub use step::{State, Step};

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
    /// What of this host stops just this connection; none if that could not be looked at.
    pub obstructions: Option<&'a [Finding]>,
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
            None => steps.push(Step::bad(
                "prefix",
                format!("no member's site has {}", self.far()),
                Remedy::ringway("member list"),
            )),
            Some(route) => {
                let prefix = self.prefix(route);
                let is_usable = prefix.state == State::Good;
                steps.push(prefix);
                if is_usable {
                    steps.push(self.tunnel(route));
                    steps.push(self.our_rules(route));
                    steps.push(self.their_rules(route));
                    steps.extend(self.host(route));
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

    fn prefix(&self, route: &RouteReport) -> Step {
        let mut place = format!("{} of {}/{}", route.prefix, route.org, route.site);
        if let Some(written) = self.prefix_place {
            place.push_str(&format!(" ({written})"));
        }

        match route.verdict.as_str() {
            "available" => match &route.via {
                Some(via) => Step::good("prefix", format!("{place}, served via {via}")),
                None => Step::good("prefix", place),
            },
            "conflicted" => Step::bad(
                "prefix",
                format!(
                    "{place} is not used: it overlaps {}",
                    route.conflict_with.as_deref().unwrap_or("another one")
                ),
                Remedy::ringway("check"),
            ),
            _ => Step::bad(
                "prefix",
                format!(
                    "{place} is not used: {}",
                    route.refused.as_deref().unwrap_or("its site is refused")
                ),
                Remedy::ringway("check"),
            ),
        }
    }

    /// On a standby, points to the active gateway: the site's hosts use that one.
    fn role(&self) -> Option<Step> {
        let role = self.report.role.as_ref()?;
        let active =
            self.report.site.siblings.iter().find(|sibling| {
                role.role == "standby" && sibling.role.as_deref() == Some("active")
            })?;

        Some(Step::unknown(
            "role",
            format!(
                "this gateway is on standby: the site's hosts use {}, which knows more",
                active.gateway
            ),
            format!("run this command at {}", active.gateway),
        ))
    }

    fn tunnel(&self, route: &RouteReport) -> Step {
        if route.served_here {
            return Step::good("tunnel", format!("{} lies behind this host", route.prefix));
        }
        let Some(gateway) = &route.gateway else {
            return self.no_route(route);
        };
        if !route.installed {
            return Step::bad(
                "tunnel",
                format!(
                    "{gateway} serves {}, but the kernel has no route",
                    route.prefix
                ),
                Remedy::ringway("status   # what is missing in the kernel"),
            );
        }

        let tunnel = self.report.tunnels.iter().find(|it| it.peer == *gateway);
        match tunnel {
            Some(tunnel) => Step::good("tunnel", up(tunnel)),
            None => Step::good("tunnel", format!("{gateway} is up")),
        }
    }

    /// The same question, at the gateway of the other end.
    pub fn ask_there(&self, peer: &str) -> String {
        let Opening {
            source,
            destination,
            service,
        } = self.opening;
        let port = match service {
            Asked::Tcp(port) => format!(" --port {port}"),
            Asked::Udp(port) => format!(" --port {port}/udp"),
            Asked::Echo | Asked::Protocol(_) => String::new(),
        };

        format!("at {peer}: ringway explain {source} {destination}{port}")
    }

    /// Why nobody serves a prefix.
    fn no_route(&self, route: &RouteReport) -> Step {
        let org = serving_org(route);
        let tunnels = self.report.tunnels.iter();
        let tunnels: Vec<&TunnelReport> = tunnels.filter(|it| it.org == org).collect();
        let mut asked = tunnels.iter();
        let refused = asked.find_map(|it| Some((it, it.refused.get(&route.prefix)?)));

        if let Some((tunnel, reason)) = refused {
            return Step::bad(
                "tunnel",
                format!(
                    "{} announces {}, refused: {reason}",
                    tunnel.peer, route.prefix
                ),
                Remedy::ringway(format!("status --peer {}", tunnel.peer)),
            );
        }
        if let Some(tunnel) = tunnels.iter().find(|it| it.state == "up") {
            return Step::bad(
                "tunnel",
                format!(
                    "{} is up, but does not announce {}",
                    tunnel.peer, route.prefix
                ),
                format!("its operator sees why: ringway status, at {}", tunnel.peer),
            );
        }

        let mut texts: Vec<String> = tunnels.iter().map(|it| down(it)).collect();
        if texts.is_empty() {
            texts.push(format!("{org} has no gateway in its record"));
        }
        Step::bad(
            "tunnel",
            texts.join("; "),
            Remedy::ringway(format!("status --org {org}")),
        )
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
            Step::good("our rules", text)
        } else if self.arrives {
            let Opening {
                destination,
                service,
                ..
            } = self.opening;
            let allow = match service {
                Asked::Tcp(port) => format!("--port {port}/tcp"),
                Asked::Udp(port) => format!("--port {port}/udp"),
                Asked::Echo => "--proto icmp".to_owned(),
                Asked::Protocol(number) => format!("--proto {number}"),
            };
            let from = &route.org;
            let remedy = Remedy::ringway(format!(
                "policy allow --from {from} --to {destination} {allow}"
            ));
            Step::bad("our rules", text, remedy)
        } else {
            Step::bad("our rules", text, "add a [[policy.allow-egress]]")
        }
    }

    fn their_rules(&self, route: &RouteReport) -> Step {
        const NAME: &str = "their rules";
        let org = &route.org;
        let peer = self.rules.peer.as_deref().unwrap_or(org);

        match self.rules.theirs {
            PeerVerdict::Allowed => Step::good(NAME, format!("{peer} allows it")),
            PeerVerdict::Denied if self.arrives => Step::bad(
                NAME,
                format!("{peer} does not let it leave"),
                format!("{org}'s operator can add a [[policy.allow-egress]]"),
            ),
            PeerVerdict::Denied => Step::bad(
                NAME,
                format!("{peer} does not let it in"),
                format!("{org}'s operator can add a rule: ringway policy allow"),
            ),
            PeerVerdict::NotTold if self.report.gateway.starts_with("node:") => Step::unknown(
                NAME,
                format!("{peer} judges for this node, and tells it nothing"),
                self.ask_there(peer),
            ),
            PeerVerdict::NotTold => {
                Step::unknown(NAME, format!("{peer} does not tell"), self.ask_there(peer))
            }
            PeerVerdict::NoTunnel if route.served_here => {
                Step::good(NAME, "its site has no gateway of its own")
            }
            PeerVerdict::NoTunnel => Step::unknown(NAME, "no tunnel leads there to ask", ""),
            PeerVerdict::Older => Step::unknown(
                NAME,
                format!("{peer} runs a version that answers no such questions"),
                format!("{org}'s operator can ask: ringway policy test"),
            ),
            PeerVerdict::NoAnswer => Step::unknown(
                NAME,
                format!("{peer} did not answer in 2 s"),
                self.ask_there(peer),
            ),
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
