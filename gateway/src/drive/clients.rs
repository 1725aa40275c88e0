//! WireGuard clients in the report. They share its form with other attached nodes, as far as it
//! applies.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use ringway_config::NodeName;
use ringway_wireguard::{ClientStatus, Counts, MTU};

use super::Drive;
use crate::admin::daemon::rfc3339;
use crate::admin::report::TunnelReport;

impl Drive {
    /// One for each WireGuard client of the file.
    pub(super) fn clients(&self) -> Vec<TunnelReport> {
        let Some(service) = &self.wireguard else {
            return Vec::new();
        };
        let report = service.report();

        let nodes = self.in_force.config().nodes.list.iter();
        let clients = nodes.filter(|node| node.wireguard.is_some());
        clients
            .map(|node| {
                let mut known = report.clients.iter();
                let status = known.find(|status| status.name == node.name);
                self.client(&node.name, status)
            })
            .collect()
    }

    fn client(&self, name: &NodeName, status: Option<&ClientStatus>) -> TunnelReport {
        let org = &self.in_force.config().own.org;
        let since = status.and_then(|status| status.since);
        // One that was never heard of has been away since the daemon started.
        let age = since.map_or_else(
            || self.started.elapsed().unwrap_or_default(),
            |since| Instant::now().saturating_duration_since(since),
        );
        let is_up = status.is_some_and(|status| status.is_up);
        let heard = status.and_then(|status| status.last_received);
        let heard = heard.map(|heard| Instant::now().saturating_duration_since(heard));
        let remote = status.and_then(|status| status.remote);

        TunnelReport {
            peer: ringway_config::GatewayId::of_node(name, org).to_string(),
            org: org.to_string(),
            wireguard: true,
            heard: heard.map(|ago| rfc3339(SystemTime::now() - ago)),
            address: remote.map(|remote| remote.to_string()),
            age_s: age.as_secs(),
            state: if is_up { "up" } else { "down" }.into(),
            since: rfc3339(SystemTime::now() - age),
            path_mtu: MTU,
            tx_bytes: status.map_or(0, |status| status.sent),
            rx_bytes: status.map_or(0, |status| status.received),
            drops: status.map_or_else(BTreeMap::new, |status| named(&status.counts, "")),
            ..TunnelReport::default()
        }
    }

    /// What was dropped at the port of WireGuard clients and belongs to none of them.
    pub(super) fn strangers(&self) -> BTreeMap<String, u64> {
        let service = self.wireguard.as_ref();

        service.map_or_else(BTreeMap::new, |service| {
            named(&service.report().counts, "wireguard_")
        })
    }
}

fn named(counts: &Counts, before: &str) -> BTreeMap<String, u64> {
    let counts = counts.iter();

    counts
        .map(|(reason, count)| (format!("{before}{reason}"), count))
        .collect()
}
