//! The tunnel of a [`Diagnosis`]: which gateway serves the far end, and why none does.

use ringway_intent::Remedy;

use super::prefix::{claim_refused, refused_here};
use super::{Diagnosis, Step, Verdict, down, up};
use crate::admin::attention::{align, differing, fact};
use crate::admin::report::{RouteReport, TunnelReport};

impl Diagnosis<'_> {
    pub(super) fn tunnel(&self, route: &RouteReport) -> Step {
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
        let down = self
            .serving(route)
            .into_iter()
            .filter(|it| it.state != "up");

        let mut texts: Vec<String> = down.map(super::down).collect();
        texts.push(format!("{sibling}, of this site, passes packets on"));
        Step::new(Verdict::BySibling, texts.join("; "))
    }

    /// Another gateway of the far site that has no tunnel here, although the one in use has.
    pub(super) fn other_gateway(&self, route: &RouteReport) -> Option<Step> {
        let used = route.gateway.as_ref()?;
        if self.is_at_node() || route.by_sibling {
            return None;
        }
        let mut others = self.serving(route).into_iter();
        let other = others.find(|it| it.peer != *used && it.state == "down")?;

        let text = format!(
            "{}; if it is the active gateway of that site, it must pass packets of the hosts there \
             on to {used}",
            down(other)
        );
        let remedy = self.ask_there(&other.peer);
        Some(Step::new(Verdict::OtherGatewayDown, text).with(remedy))
    }

    /// Why nobody serves a prefix.
    fn no_route(&self, route: &RouteReport) -> Step {
        let prefix = &route.prefix;
        let tunnels = self.serving(route);
        let parsed = prefix.parse().ok();
        let mut asked = tunnels.iter();
        let refused =
            parsed.and_then(|it| asked.find_map(|tunnel| refused_here(self.report, tunnel, it)));
        if let Some(refused) = refused {
            return claim_refused(refused);
        }
        if let Some(tunnel) = tunnels.iter().find(|it| it.state == "up") {
            return not_announced(route, tunnel, self.report.org());
        }

        let org = serving_org(route);
        let remedy = if self.is_at_node() {
            Remedy::ringway("status")
        } else {
            Remedy::ringway(format!("status --org {org}"))
        };
        if tunnels.is_empty() {
            let text = format!("{org} has no gateway in its record");
            return Step::new(Verdict::NoGateway, text).with(remedy);
        }
        let texts: Vec<String> = tunnels.iter().map(|it| down(it)).collect();
        Step::new(Verdict::TunnelDown, texts.join("; ")).with(remedy)
    }

    /// The tunnels to the gateways that may serve the prefix.
    fn serving(&self, route: &RouteReport) -> Vec<&TunnelReport> {
        let org = serving_org(route);
        let tunnels = self.report.tunnels.iter();

        let serving = tunnels.filter(|tunnel| {
            if self.is_at_node() {
                return true;
            }
            // Gateways of the organization's other sites have nothing to do with it.
            tunnel.org == org
                && (self.far_gateways.is_empty() || self.far_gateways.contains(&tunnel.peer))
        });
        serving.collect()
    }
}

/// The step about a gateway that is up, and has not announced the prefix of `route`.
fn not_announced(route: &RouteReport, tunnel: &TunnelReport, own: &str) -> Step {
    let (peer, prefix) = (&tunnel.peer, &route.prefix);
    let text = format!("{peer} is up, but does not announce {prefix}");

    let orgs = [route.org.clone(), serving_org(route)];
    let mut differences = orgs.iter().filter_map(|org| differing(tunnel, org));
    match differences.next() {
        Some(difference) => {
            let text = format!("{text}; {}", fact(peer, difference));
            Step::new(Verdict::NotAnnounced, text).with(align(difference, tunnel, own))
        }
        None => {
            let remedy = format!("its operator sees why: ringway status, at {peer}");
            Step::new(Verdict::NotAnnounced, text).with(remedy)
        }
    }
}

/// The organization whose gateways serve the prefix: that of `via`, if there is one.
fn serving_org(route: &RouteReport) -> String {
    let via = route.via.as_deref().and_then(|via| via.split_once('/'));

    via.map_or(route.org.clone(), |(org, _)| org.to_owned())
}
