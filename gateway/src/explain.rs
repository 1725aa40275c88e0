//! Explains why a connection works or does not: checks each [`Step`] of its path, in both
//! directions, and names the cause where a step fails. For `ringway explain`.
//!
//! ```text
//!   Report, RulesReport ─► Diagnosis ─► steps: prefixes, tunnel, rules of both ends, host, probe
//! ```
//! Only evaluates its inputs; it asks and tries nothing. A step that fails is a cause. Steps that
//! depend on it and cannot be judged are left out.

mod answers;
mod beside;
mod host;
mod prefix;
mod probe;
mod rules;
mod step;
#[cfg(test)]
mod tests;
mod tunnel;
mod verdict;

use std::net::IpAddr;

use crate::admin::Report;
use crate::admin::report::{RouteReport, TunnelReport};
use crate::admin::rules::RulesReport;
use ringway_config::{Opening, Prefix};
use ringway_host::watch::Obstructions;

pub use beside::{FarEnd, NearEnd, OtherSites, WithinSite, same_question};
pub use host::is_quiet;
pub use prefix::announced_by;
pub use probe::{NotTried, Probe, has_answered};
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
    /// The prefix of this site that has the near end, by the files.
    pub near_prefix: Option<Prefix>,
    /// The gateways of the site with the far end, `<gateway>.<org>`; none if they are not known.
    pub far_gateways: &'a [String],
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
                let announced = announced_by(self.report, Prefix::host(self.far()));
                steps.push(announced.unwrap_or_else(|| self.no_prefix()));
            }
            Some(route) => {
                let prefix = self.prefix(route);
                let is_usable = prefix.state == State::Good;
                steps.push(prefix);
                if is_usable {
                    steps.push(self.tunnel(route));
                    steps.extend(self.other_gateway(route));
                    steps.extend(self.our_prefix(route));
                    steps.push(self.our_rules(route));
                    steps.push(self.their_rules(route));
                    steps.extend(self.their_node());
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

    /// True at an attached node, which knows no members and judges nothing.
    fn is_at_node(&self) -> bool {
        self.report.gateway.starts_with("node:")
    }

    /// On a standby, points to the active gateway: the site's hosts use that one.
    fn role(&self) -> Option<Step> {
        let active = self.active_sibling()?;

        let text =
            format!("this gateway is on standby: the site's hosts use {active}, which knows more");
        let remedy = format!("run this command at {active}");
        Some(Step::new(Verdict::Standby, text).with(remedy))
    }

    /// The active gateway of this site, if this one is on standby.
    fn active_sibling(&self) -> Option<&str> {
        let role = self.report.role.as_ref()?;
        let mut siblings = self.report.site.siblings.iter();
        let active = siblings
            .find(|sibling| role.role == "standby" && sibling.role.as_deref() == Some("active"))?;

        Some(&active.gateway)
    }

    /// The same question, at the gateway of the other end.
    pub fn ask_there(&self, peer: &str) -> String {
        format!("at {peer}: {}", same_question(&self.opening))
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
