//! What this host does to the packets of a [`Diagnosis`]: other programs' routes and firewalls, the
//! attached node at its near end, and the checks of our own hosts.

use std::net::SocketAddr;

use ringway_config::{Asked, Opening};

use super::{Diagnosis, Step, Verdict, down, up};
use crate::admin::Report;
use crate::admin::attention::Kind;
use crate::admin::report::{AttentionReport, RouteReport};

/// How the attention of others' rules is named that [`Diagnosis::obstructions`] answers exactly.
const ANSWERED: [&str; 3] = ["foreign filter ", "route IPv4 ", "route IPv6 "];

/// The name of what needs attention while nothing is forwarded at all.
const FORWARDING_OFF: &str = "forwarding off";

impl Diagnosis<'_> {
    /// What other programs on this host do to packets.
    pub(super) fn host(&self, route: &RouteReport) -> Vec<Step> {
        let items = self.report.attention.iter();
        let in_general = items.filter_map(|item| self.in_general(item, route));

        let exact = self.obstructions.into_iter().flat_map(|found| {
            let certain = found.certain.iter().map(|it| (Verdict::HostStops, it));
            let possible = found.possible.iter().map(|it| (Verdict::HostMayStop, it));
            certain.chain(possible)
        });
        let exact = exact.map(|(verdict, found)| {
            Step::new(verdict, found.what.clone()).with(found.remedy.clone())
        });
        in_general.chain(exact).collect()
    }

    /// What needs attention on this host, as far as it may be about this way.
    fn in_general(&self, item: &AttentionReport, route: &RouteReport) -> Option<Step> {
        let is_answered = ANSWERED.iter().any(|name| item.name.starts_with(name));
        if is_answered && self.obstructions.is_some() {
            return None;
        }

        let verdict = match Kind::named(&item.kind) {
            Kind::KernelState if item.name == FORWARDING_OFF => Verdict::HostStops,
            // Some of them are about one prefix: those of other prefixes are not in this way.
            Kind::KernelState | Kind::ForeignFirewall | Kind::ForeignRoute | Kind::Takeover => {
                if item.what.contains(&route.prefix) {
                    Verdict::HostStops
                } else {
                    Verdict::HostMayStop
                }
            }
            // Without it, no host of the site reaches anything.
            Kind::SiteNetwork => Verdict::HostStops,
            _ => return None,
        };
        Some(Step::new(verdict, item.what.clone()).with(item.fix()))
    }

    /// Whether the near end, if it is an attached node or behind one, is attached here.
    pub(super) fn node(&self) -> Option<Step> {
        self.node.map(|node| attached(self.report, node))
    }

    /// Whether the host at this end accepts connections, where its name has a check.
    pub(super) fn check(&self) -> Option<Step> {
        check(self.report, &self.opening)
    }
}

/// Whether `node` is attached to this gateway.
pub(super) fn attached(report: &Report, node: &str) -> Step {
    let mut nodes = report.nodes.iter();
    let Some(tunnel) = nodes.find(|it| it.peer == node) else {
        return Step::new(Verdict::NodeUnknown, format!("{node} is not known"));
    };
    if tunnel.state == "up" {
        return Step::new(Verdict::NodeUp, up(tunnel));
    }

    if tunnel.wireguard {
        // Such a client says nothing while it has nothing to send.
        let remedy = "is it on? A client without keepalives is reached once it sends something";
        return Step::new(Verdict::NodeQuiet, down(tunnel)).with(remedy);
    }
    let remedy = format!("on the node: ringway status ({node})");
    Step::new(Verdict::NodeDown, down(tunnel)).with(remedy)
}

/// Whether the host that `opening` is to accepts connections, where its name has a check.
pub(super) fn check(report: &Report, opening: &Opening) -> Option<Step> {
    let Asked::Tcp(port) = opening.service else {
        return None;
    };
    let socket = SocketAddr::new(opening.destination, port).to_string();
    let mut checks = report.checks.iter();
    let failed = checks.find(|it| it.address == socket && it.state == "failed")?;

    let error = failed.error.as_deref().unwrap_or("no connection");
    let text = format!("{}'s check of {socket} fails: {error}", failed.host);
    Some(Step::new(Verdict::CheckFails, text).with("start the service there"))
}
