//! What this host does to the packets of a [`Diagnosis`]: other programs' routes and firewalls, the
//! attached node at its near end, and the checks of our own hosts.

use std::net::{IpAddr, SocketAddr};

use ringway_config::{Asked, Opening, Prefix};
use ringway_core::RefuseReason;

use super::{Diagnosis, Step, Verdict, down, up};
use crate::admin::Report;
use crate::admin::attention::{Kind, add_to_nodes};
use crate::admin::report::{AttentionReport, RouteReport};
use crate::ipv6;

/// How the attention of others' rules is named that [`Diagnosis::obstructions`] answers exactly.
const ANSWERED: [&str; 3] = ["foreign filter ", "route IPv4 ", "route IPv6 "];

/// How the names of exact answers about routes begin.
const WAYS: [&str; 3] = ["route IPv4 ", "route IPv6 ", "way to "];

/// Prefixes of the names of what needs attention, each followed by an address family.
const OF_A_FAMILY: [&str; 3] = ["foreign filter ", "route ", "site network "];

/// How the names of findings about the files of the site's gateways begin.
const DIFFERING: &str = "takeover ";

/// The name of what needs attention while nothing is forwarded at all.
const FORWARDING_OFF: &str = "forwarding off";

impl Diagnosis<'_> {
    /// What other programs on this host do to packets.
    pub(super) fn host(&self, route: &RouteReport) -> Vec<Step> {
        let items = self.report.attention.iter();
        let in_general = items.filter_map(|item| self.in_general(item, route));

        let is_cut_off = self.is_cut_off();
        let exact = self.obstructions.into_iter().flat_map(move |found| {
            let certain = found.certain.iter();
            // That there is no way to the site's hosts follows from that of the site's interface.
            let certain = certain.filter(move |it| {
                !is_cut_off || WAYS.iter().all(|name| !it.name.starts_with(name))
            });
            let certain = certain.map(|it| (Verdict::HostStops, it));
            let possible = found.possible.iter().map(|it| (Verdict::HostMayStop, it));
            certain.chain(possible)
        });
        let exact = exact.map(|(verdict, found)| {
            Step::new(verdict, found.what.clone()).with(found.remedy.clone())
        });
        in_general.chain(exact).collect()
    }

    /// True if the site's network is not reached, which is a finding already.
    fn is_cut_off(&self) -> bool {
        let mut items = self.report.attention.iter();

        items.any(|item| {
            Kind::named(&item.kind) == Kind::SiteNetwork
                && !is_of_other_family(&item.name, self.far())
        })
    }

    /// What needs attention on this host, as far as it may be about this way.
    fn in_general(&self, item: &AttentionReport, route: &RouteReport) -> Option<Step> {
        let is_answered = ANSWERED.iter().any(|name| item.name.starts_with(name));
        if is_answered && self.obstructions.is_some() {
            return None;
        }

        if is_of_other_family(&item.name, self.far()) {
            return None;
        }

        // It stops nothing as long as the role stays.
        if item.name.starts_with(DIFFERING) {
            return None;
        }

        let verdict = match Kind::named(&item.kind) {
            Kind::KernelState if item.name == FORWARDING_OFF => Verdict::HostStops,
            Kind::KernelState if item.name == ipv6::NAME => Verdict::HostStops,
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
        match self.node {
            Some(node) => Some(attached(self.report, node)),
            None => unlisted(self.report, self.near()),
        }
    }

    /// Whether the host at this end accepts connections, where its name has a check.
    pub(super) fn check(&self) -> Option<Step> {
        check(self.report, &self.opening)
    }
}

/// True if the name of a finding says that it is about the address family that `address` has not.
fn is_of_other_family(name: &str, address: IpAddr) -> bool {
    // As the kernel's tools and the findings call it.
    let other: &[&str] = if address.is_ipv4() {
        &["IPv6", "ip6", "ip6tables-legacy"]
    } else {
        &["IPv4", "ip", "iptables-legacy"]
    };

    if name == ipv6::NAME {
        return address.is_ipv4();
    }
    let mut prefixes = OF_A_FAMILY.iter();
    let rest = prefixes.find_map(|prefix| name.strip_prefix(prefix));
    let family = rest.and_then(|rest| rest.split(' ').next());
    family.is_some_and(|family| other.contains(&family))
}

/// The step about a host that no `[[node]]` here has, although another gateway of the site
/// announces it as an attached node's.
pub(super) fn unlisted(report: &Report, host: IpAddr) -> Option<Step> {
    // Only another gateway of this site knows its nodes.
    let siblings = report.tunnels.iter().filter(|tunnel| {
        let mut siblings = report.site.siblings.iter();
        siblings.any(|sibling| sibling.gateway == tunnel.peer)
    });
    let reason = RefuseReason::LocalSite.to_string();
    let refused = siblings.flat_map(|tunnel| {
        let refused = tunnel.refused.iter().filter(|(_, why)| **why == reason);
        refused.map(move |(prefix, _)| (&tunnel.peer, prefix))
    });
    let mut holding = refused.filter(|(_, prefix)| {
        let prefix = prefix.parse::<Prefix>();
        prefix.is_ok_and(|prefix| prefix.contains(host))
    });

    let (sibling, prefix) = holding.next()?;
    let text = format!(
        "no [[node]] here has {host}, and {sibling} announces {prefix} as an attached node's: the \
         files of the site's gateways differ"
    );
    let remedy = add_to_nodes(sibling, prefix);
    Some(Step::new(Verdict::NodeUnlisted, text).with(remedy))
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
    if let Some(gateway) = &tunnel.attached_to {
        let text = format!("{node} is connected to {gateway}, which this gateway sends to");
        return Step::new(Verdict::NodeElsewhere, text);
    }

    if tunnel.wireguard {
        // Such a client says nothing while it has nothing to send.
        let remedy = "is it on? A client without keepalives is reached once it sends something";
        return Step::new(Verdict::NodeQuiet, down(tunnel)).with(remedy);
    }
    let remedy = format!("on the node: ringway status ({node})");
    Step::new(Verdict::NodeDown, down(tunnel)).with(remedy)
}

/// True for a WireGuard client from which nothing has come lately: its gateway answers in its
/// place.
pub fn is_quiet(report: &Report, node: Option<&str>) -> bool {
    node.is_some_and(|node| attached(report, node).verdict == Verdict::NodeQuiet)
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
