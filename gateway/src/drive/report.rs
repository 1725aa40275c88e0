//! Makes the [`Report`] of the moment from the core, the sessions, the data plane's counters, the
//! rulings and the zones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{Owner, Prefix, Ruling, Verdict, ZoneName};
use ringway_core::{RefuseReason, RouteStatus, TunnelState, TunnelStatus};
use ringway_dataplane::Counters;
use ringway_dns::{Moment, Origin, ZoneStatus};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::State;
use crate::admin::Report;
use crate::admin::report::{CertificateReport, RouteReport, TunnelReport, ZoneReport};

impl State {
    /// All but the packet filter's drops: whoever asks adds them, since `nft` takes its time.
    pub(super) fn report(&mut self) -> Report {
        let now = SystemTime::now();
        let status = self.drive.mesh.status(Instant::now());
        let certificates = self.drive.running.trust().certificates();
        let own = self.drive.running.identity.load();
        let own = (own.subject().to_owned(), own.not_after());
        Report {
            gateway: self.drive.running.config.id.to_string(),
            tunnels: status
                .tunnels
                .into_iter()
                .map(|tunnel| self.tunnel(tunnel, now))
                .collect(),
            routes: self.routes(&status.routes),
            zones: self.zones(),
            certificates: std::iter::once(own)
                .chain(certificates)
                .map(|(subject, not_after)| CertificateReport {
                    subject,
                    not_after: rfc3339(
                        SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()),
                    ),
                })
                .collect(),
            drops: drops(self.drive.packets.own_counters()),
            filtered: BTreeMap::new(),
            tun_mended: self.drive.plane.mended(),
        }
    }

    fn tunnel(&mut self, tunnel: TunnelStatus, now: SystemTime) -> TunnelReport {
        let peer = self.drive.packets.peer(&tunnel.peer);
        let counts = peer.counters().snapshot();
        TunnelReport {
            org: tunnel.peer.org.to_string(),
            peer: tunnel.peer.to_string(),
            state: match tunnel.state {
                TunnelState::Up => "up",
                TunnelState::Connecting => "connecting",
                TunnelState::Down => "down",
            }
            .into(),
            since: rfc3339(now - tunnel.since),
            rtt_us: tunnel.rtt.map(|rtt| rtt.as_micros() as u64),
            path_mtu: tunnel.path_mtu,
            tx_bytes: counts.tx_bytes,
            rx_bytes: counts.rx_bytes,
            drops: drops(peer.counters()),
            last_error: tunnel.last_error.map(|error| error.to_string()),
            refused: reasons(&tunnel.refused),
            refused_by_peer: reasons(&tunnel.refused_by_peer),
            records_differ: tunnel
                .records_differ
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }

    fn routes(&self, routes: &[RouteStatus]) -> Vec<RouteReport> {
        let config = &self.drive.running.config;
        let installed = self.drive.installed.load();
        let remote = |ruling: &&Ruling| ruling.org != config.own.org || ruling.site != config.site;
        let report = |ruling: &Ruling| {
            let route = routes
                .iter()
                .find(|route| route.prefix == ruling.prefix && ruling.is_available());
            RouteReport {
                prefix: ruling.prefix.to_string(),
                org: ruling.org.to_string(),
                gateway: route
                    .and_then(|route| route.gateway.as_ref())
                    .map(ToString::to_string),
                verdict: match ruling.verdict {
                    Verdict::Available => "available",
                    Verdict::Conflicted { .. } => "conflicted",
                }
                .into(),
                conflict_with: conflict(&ruling.verdict),
                installed: ruling.is_available() && installed.contains(&ruling.prefix),
            }
        };
        self.drive
            .running
            .rulings
            .iter()
            .filter(remote)
            .map(report)
            .collect()
    }

    pub(super) fn zones(&mut self) -> Vec<ZoneReport> {
        let zones = self.drive.running.names.zones.list();
        zones
            .iter()
            .map(|zone| self.zone(zone, Moment::now()))
            .collect()
    }

    fn zone(&mut self, zone: &ZoneStatus, now: Moment) -> ZoneReport {
        let apex = zone.apex.to_string();
        let name = apex.parse::<ZoneName>().ok();
        let age = match (zone.origin, &name) {
            (Origin::Replica, Some(apex)) => self.drive.replicator.silence(apex, now),
            _ => Duration::ZERO,
        };
        let refused = name
            .as_ref()
            .and_then(|apex| self.drive.replicator.refusal(apex));
        ZoneReport {
            apex,
            serial: zone.content.map(|(serial, _)| serial),
            age_s: zone.content.map(|_| age.as_secs()),
            origin: zone.origin.to_string(),
            refused: refused.map(str::to_owned),
            stale: zone.stale,
        }
    }
}

fn conflict(verdict: &Verdict) -> Option<String> {
    let Verdict::Conflicted {
        with, theirs, at, ..
    } = verdict
    else {
        return None;
    };
    Some(match with {
        Owner::Site { org, site } => format!("{theirs} (org {org}, site {site}, {at})"),
        Owner::Reserved => format!("{theirs} (reserved, {at})"),
        Owner::Connected { interface } => format!("{theirs} (connected to {interface})"),
    })
}

fn reasons(refused: &BTreeMap<Prefix, RefuseReason>) -> BTreeMap<String, String> {
    refused
        .iter()
        .map(|(prefix, reason)| (prefix.to_string(), reason.to_string()))
        .collect()
}

/// Reasons that dropped anything.
fn drops(counters: &Counters) -> BTreeMap<String, u64> {
    let counts = counters.snapshot();
    counts
        .drops()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.name().to_owned(), n))
        .collect()
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
