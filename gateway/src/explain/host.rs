//! What this host does to the packets of a [`Diagnosis`]: other programs' routes and firewalls, the
//! attached node at its near end, and the checks of our own hosts.

use std::net::SocketAddr;

use ringway_config::Asked;

use super::{Diagnosis, Step, down, up};
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

        let exact = self.obstructions.unwrap_or_default().iter();
        let exact = exact.map(|found| Step::bad("host", found.what.clone(), found.remedy.clone()));
        in_general.chain(exact).collect()
    }

    /// What needs attention on this host, as far as it may be about this way.
    fn in_general(&self, item: &AttentionReport, route: &RouteReport) -> Option<Step> {
        let is_answered = ANSWERED.iter().any(|name| item.name.starts_with(name));
        if is_answered && self.obstructions.is_some() {
            return None;
        }

        let step = match Kind::named(&item.kind) {
            Kind::KernelState if item.name == FORWARDING_OFF => Step::bad,
            // Some of them are about one prefix: those of other prefixes are not in this way.
            Kind::KernelState | Kind::ForeignFirewall | Kind::ForeignRoute | Kind::Takeover => {
                if item.what.contains(&route.prefix) {
                    Step::bad
                } else {
                    Step::unknown
                }
            }
            // Without it, no host of the site reaches anything.
            Kind::SiteNetwork => Step::bad,
            _ => return None,
        };
        Some(step("host", item.what.clone(), item.fix()))
    }

    /// Whether the near end, if it is an attached node or behind one, is attached here.
    pub(super) fn node(&self) -> Option<Step> {
        const NAME: &str = "node";
        let node = self.node?;
        let mut nodes = self.report.nodes.iter();
        let Some(tunnel) = nodes.find(|it| it.peer == node) else {
            return Some(Step::unknown(NAME, format!("{node} is not known"), ""));
        };
        if tunnel.state == "up" {
            return Some(Step::good(NAME, up(tunnel)));
        }

        let text = down(tunnel);
        Some(if tunnel.wireguard {
            // Such a client says nothing while it has nothing to send.
            let remedy = "is it on? A client without keepalives is reached once it sends something";
            Step::unknown(NAME, text, remedy)
        } else {
            Step::bad(NAME, text, format!("on the node: ringway status ({node})"))
        })
    }

    /// Whether the host at this end accepts connections, where its name has a check.
    pub(super) fn check(&self) -> Option<Step> {
        let Asked::Tcp(port) = self.opening.service else {
            return None;
        };
        let socket = SocketAddr::new(self.opening.destination, port).to_string();
        let mut checks = self.report.checks.iter();
        let failed = checks.find(|it| it.address == socket && it.state == "failed")?;

        Some(Step::bad(
            "host",
            format!(
                "{}'s check of {socket} fails: {}",
                failed.host,
                failed.error.as_deref().unwrap_or("no connection")
            ),
            "start the service there",
        ))
    }
}
