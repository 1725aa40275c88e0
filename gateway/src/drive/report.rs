//! Makes the [`Report`] from the shell, the data plane's counters and the zones.

use std::collections::BTreeMap;
use std::iter;
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{GatewayId, Owner, Prefix, Ruling, Verdict, ZoneName};
use ringway_core::{
    ByeCode, ConnectionError, FiledRecords, HeldRecord, OutageStatus, RecordDrift, RefuseReason,
    RoundTrips, RouteStatus, TunnelError, TunnelState, TunnelStatus,
};
use ringway_dataplane::Counters;
use ringway_dns::{Moment, Origin, ZoneStatus};
use ringway_filter::{Filter, Reason};
use ringway_identity::certificate::Certificate;
use ringway_identity::local::Age;
use rustls_pki_types::UnixTime;

use super::Drive;
use super::policy_report;
use super::prefix_owner::PrefixOwner;
use crate::admin::announcement::AnnouncementReport;
use crate::admin::daemon::rfc3339;
use crate::admin::report::{
    AttentionReport, CertificateReport, CheckReport, ConflictKind, DaemonReport, EndpointReport,
    FragmentReport, HeldRecordReport, OutageReport, PeerCertificateReport, RecordDriftReport,
    RoleReport, RoundTripsReport, RouteReport, TunnelReport, ZoneReport,
};
use crate::admin::site::SiteReport;
use crate::admin::{Report, attention};
use crate::health::Checked;
use crate::zones::FragmentStatus;

impl Drive {
    /// Everything except the guard's drop counters: reading them with `nft` takes a while, so the
    /// admin socket adds them.
    pub(super) fn report(&mut self) -> Report {
        let now = SystemTime::now();
        let status = self.shell.status(Instant::now());
        let site = SiteReport::of(&status.site);
        let (nodes, tunnels): (Vec<_>, Vec<_>) = status
            .tunnels
            .into_iter()
            .partition(|tunnel| tunnel.peer.is_node());
        let nodes = nodes.into_iter().map(|node| self.tunnel(node, now));
        let nodes = nodes.collect();
        let nodes = self.nodes(nodes, &status.routes);
        let tunnels = tunnels.into_iter().map(|tunnel| self.tunnel(tunnel, now));
        let tunnels = tunnels.collect();

        let mut report = Report {
            gateway: self.in_force.config().id.to_string(),
            state: String::new(),
            site,
            daemon: DaemonReport {
                resolver: self.in_force.resolver_line(),
                ..DaemonReport::of(self.in_force.config(), self.started)
            },
            role: Some(self.role()),
            last_reload: self.reloads.last().cloned(),
            tunnels,
            nodes,
            routes: self.routes(&status.routes),
            announce: AnnouncementReport::all(&self.shell.current().situation()),
            zones: self.zones(),
            checks: self.health.list().into_iter().map(check).collect(),
            certificates: self.certificates(),
            refusals: self
                .links
                .refusals()
                .into_iter()
                .map(|(reason, count)| (reason.to_owned(), count))
                .collect(),
            revocation_lists: self.revocation_lists(),
            drops: drops(self.packets.counters())
                .into_iter()
                .chain(self.strangers())
                .collect(),
            attention: self.attention(),
            restored: restored(self.shell.restored()),
            filtered: filtered(self.packets.filter()),
            grace_without_end: self.packets.filter().has_endless_grace(),
            tun_recreated: self.kernel.recreated(),
            policy: policy_report::of(self.packets.filter(), self.packets.rules()),
        };
        attention::complete(&mut report, &mut self.beginnings, now);
        report
    }

    fn attention(&self) -> Vec<AttentionReport> {
        self.attention
            .list()
            .into_iter()
            .map(|(name, item)| AttentionReport {
                kind: attention::Kind::of(&name).word().to_owned(),
                name,
                what: item.what,
                since: rfc3339(item.since),
                remedy: item.remedy.to_string(),
                fix: item.remedy,
            })
            .collect()
    }

    fn tunnel(&mut self, tunnel: TunnelStatus, now: SystemTime) -> TunnelReport {
        let peer = self.packets.peer(&tunnel.peer);
        let counts = peer.counters().snapshot();

        let state = match tunnel.state {
            TunnelState::Up => "up",
            TunnelState::Connecting => "connecting",
            TunnelState::Down => "down",
        };

        let me = &self.in_force.config().id;
        let record_drift = tunnel
            .records_differ
            .iter()
            .map(|drift| record_drift(drift, &tunnel.peer, me, self.shell.filed_records()))
            .collect();
        let endpoints = self.endpoints(&tunnel.peer);
        let outages = tunnel
            .outages
            .iter()
            .map(|outage| outage_report(outage, now));
        let address = tunnel.conn.and_then(|conn| self.shell.remote(conn));
        let expires = tunnel.conn.and_then(|conn| self.shell.expires(conn));

        TunnelReport {
            heard: None,
            attached_to: None,
            org: tunnel.peer.org.to_string(),
            address: address.map(|address| address.to_string()),
            endpoints,
            certificate_until: expires.map(|expires| rfc3339(SystemTime::UNIX_EPOCH + expires)),
            age_s: tunnel.since.as_secs(),
            probes_lost: tunnel.loss.lost,
            probes_sent: tunnel.loss.sent,
            outages: outages.collect(),
            peer: tunnel.peer.to_string(),
            wireguard: false,
            state: state.into(),
            since: rfc3339(now - tunnel.since),
            rtt_us: tunnel.rtt.map(|rtt| rtt.as_micros() as u64),
            round_trips: RoundTripsReport {
                bounds_us: RoundTrips::BOUNDS.to_vec(),
                counts: tunnel.round_trips.counts().to_vec(),
                sum_us: tunnel.round_trips.sum().as_micros() as u64,
            },
            path_mtu: tunnel.path_mtu,
            tx_bytes: counts.tx_bytes,
            rx_bytes: counts.rx_bytes,
            handed_over: counts.handed_over,
            drops: drops(peer.counters()),
            displaced: tunnel.last_error.as_ref().is_some_and(is_displaced),
            last_error: tunnel.last_error.map(|error| error.to_string()),
            refused: reasons(&tunnel.refused),
            refused_by_peer: reasons(&tunnel.refused_by_peer),
            records_differ: tunnel
                .records_differ
                .iter()
                .map(|drift| drift.org.to_string())
                .collect(),
            record_drift,
            certificate: tunnel
                .conn
                .and_then(|conn| self.links.certificate(conn))
                .map(peer_certificate),
        }
    }

    /// The endpoints of `peer` in its record, with the result of the last dial.
    fn endpoints(&self, peer: &GatewayId) -> Vec<EndpointReport> {
        let gateways = &self.shell.membership().gateways;
        let endpoints = gateways.get(peer).map(|info| info.endpoints.as_slice());

        endpoints
            .unwrap_or_default()
            .iter()
            .map(|endpoint| {
                let result = self.links.dialled().result(peer, endpoint);
                EndpointReport {
                    endpoint: endpoint.to_string(),
                    at: result.as_ref().map(|result| rfc3339(result.at)),
                    result: result.map(|result| result.text),
                }
            })
            .collect()
    }

    /// All prefixes of other sites.
    fn routes(&self, routes: &[RouteStatus]) -> Vec<RouteReport> {
        let current = self.shell.current();
        let config = &current.config;

        current
            .rulings
            .iter()
            .filter(|ruling| ruling.org != config.own.org || ruling.site != config.site)
            .map(|ruling| self.route(ruling, routes))
            .collect()
    }

    fn route(&self, ruling: &Ruling, routes: &[RouteStatus]) -> RouteReport {
        // If two records list the same prefix, the route belongs to the one whose claim is
        // admitted.
        let route = routes
            .iter()
            .find(|route| route.prefix == ruling.prefix && ruling.is_available());
        let verdict = match ruling.verdict {
            Verdict::Available => "available",
            Verdict::Conflicted { .. } => "conflicted",
            Verdict::Unserved(_) => "refused",
        };
        let config = &self.shell.current().config;
        let PrefixOwner { org, site, via } = PrefixOwner::of(ruling, config);

        RouteReport {
            prefix: ruling.prefix.to_string(),
            org,
            site,
            served_here: via.is_some() && config.is_served_here(&ruling.org, &ruling.site),
            via,
            refused: refused(&ruling.verdict),
            gateway: route
                .and_then(|route| route.gateway.as_ref())
                .map(ToString::to_string),
            by_sibling: route.is_some_and(|route| route.is_by_sibling),
            verdict: verdict.into(),
            conflict_with: conflict(&ruling.verdict),
            conflict_kind: conflict_kind(&ruling.verdict),
            installed: ruling.is_available() && self.shell.installed().contains(&ruling.prefix),
        }
    }

    /// The role in the site, of which an attached node has none.
    pub(super) fn role(&self) -> RoleReport {
        let mut report = self.ha.report();

        if self.in_force.config().attach.is_some() {
            report.reason = "an attached node, which has no site to share; ringway role at a \
                             gateway says which gateway is active"
                .to_owned();
        }
        report
    }

    fn zones(&mut self) -> Vec<ZoneReport> {
        // An attached node has no zones; it asks its gateways.
        if self.in_force.config().attach.is_some() {
            return Vec::new();
        }
        let now = Moment::now();

        self.in_force
            .names()
            .zones
            .list()
            .iter()
            .map(|zone| self.zone(zone, now))
            .collect()
    }

    fn zone(&mut self, zone: &ZoneStatus, now: Moment) -> ZoneReport {
        let apex = zone.apex.to_string();
        let name = apex.parse::<ZoneName>().ok();

        // Our own zone has no age.
        let org = name
            .as_ref()
            .and_then(|apex| self.replicator.org_of(apex))
            .cloned();
        let age = match (zone.origin, &org) {
            (Origin::Replica, Some(org)) => self.replicator.silence(org, now),
            _ => Duration::ZERO,
        };
        let refused = org.as_ref().and_then(|org| self.replicator.refusal(org));
        let fragments = name.as_ref().map(|apex| self.replicator.fragments(apex));
        let (refused_by, left_out_by) = match zone.origin {
            Origin::Own => (self.replicator.answers(), self.remarks()),
            Origin::Replica => (Vec::new(), Vec::new()),
        };

        ZoneReport {
            apex,
            serial: zone.content.map(|(serial, _)| serial),
            age_s: zone.content.map(|_| age.as_secs()),
            origin: zone.origin.to_string(),
            refused,
            stale: zone.stale,
            complete: zone.complete,
            fragments: fragments
                .unwrap_or_default()
                .into_iter()
                .map(fragment)
                .collect(),
            refused_by: verdict_texts(refused_by),
            left_out_by: verdict_texts(left_out_by),
        }
    }

    /// Peers that leave out names of ours, unless our file says that this is expected.
    fn remarks(&self) -> Vec<(GatewayId, String)> {
        if self.shell.current().config.dns.foreign_addresses {
            Vec::new()
        } else {
            self.replicator.remarks()
        }
    }

    /// Our certificate chain, and the members' CA certificates.
    fn certificates(&self) -> Vec<CertificateReport> {
        let own = self.in_force.identity().load();
        let authorities = self.in_force.trust().load().certificates();

        let is_due = own.age(UnixTime::now()) >= Age::ThreeQuarters;
        let ours = CertificateReport {
            subject: own.subject().to_owned(),
            not_after: unix_rfc3339(own.not_after()),
            is_due,
        };
        let theirs = authorities
            .into_iter()
            .map(|(subject, not_after)| CertificateReport {
                subject,
                not_after: unix_rfc3339(not_after),
                is_due: false,
            });
        iter::once(ours).chain(theirs).collect()
    }
}

fn check(checked: Checked) -> CheckReport {
    let state = if checked.has_failed { "failed" } else { "good" };

    CheckReport {
        host: checked.target.name,
        address: checked.target.address.to_string(),
        state: state.into(),
        since: rfc3339(checked.since),
        error: checked.error,
    }
}

fn fragment(status: FragmentStatus) -> FragmentReport {
    FragmentReport {
        gateway: status.gateway.to_string(),
        state: status.state.into(),
        records: status.records,
        refused: status.refused,
        left_out: status.left_out,
    }
}

fn peer_certificate(certificate: Certificate) -> PeerCertificateReport {
    PeerCertificateReport {
        serial: certificate.serial,
        fingerprint: certificate.fingerprint.to_string(),
        not_after: unix_rfc3339(certificate.not_after),
    }
}

fn record_drift(
    drift: &RecordDrift,
    peer: &GatewayId,
    me: &GatewayId,
    files: Option<&FiledRecords>,
) -> RecordDriftReport {
    RecordDriftReport {
        org: drift.org.to_string(),
        kind: drift.kind().name().to_owned(),
        ours: drift.ours.map(held_record),
        theirs: drift.theirs.map(held_record),
        what: drift.describe(peer, me, files),
    }
}

fn held_record(held: HeldRecord) -> HeldRecordReport {
    HeldRecordReport {
        serial: held.serial,
        digest: held.digest.to_string(),
    }
}

fn outage_report(outage: &OutageStatus, now: SystemTime) -> OutageReport {
    OutageReport {
        began: rfc3339(now - outage.began),
        lasted_s: outage.lasted.map(|lasted| lasted.as_secs_f64()),
        reason: outage.reason.to_string(),
    }
}

fn refused(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Unserved(reason) => Some(reason.to_string()),
        Verdict::Available | Verdict::Conflicted { .. } => None,
    }
}

fn verdict_texts(answers: Vec<(GatewayId, String)>) -> Vec<String> {
    let answers = answers.into_iter();

    answers
        .map(|(peer, what)| format!("{peer}: {what}"))
        .collect()
}

/// True if a peer closed our session because another daemon has our identity.
fn is_displaced(error: &TunnelError) -> bool {
    matches!(
        error,
        TunnelError::Connection(ConnectionError::ClosedByPeer(ByeCode::DuplicateIdentity))
    )
}

fn conflict_kind(verdict: &Verdict) -> ConflictKind {
    match verdict {
        Verdict::Conflicted { with, .. } => match with {
            Owner::Site { .. } => ConflictKind::Site,
            Owner::Reserved => ConflictKind::Reserved,
            Owner::Connected { .. } => ConflictKind::Host,
        },
        Verdict::Available | Verdict::Unserved(_) => ConflictKind::None,
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

fn restored(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect()
}

/// Packets dropped by the policy, by reason.
fn filtered(filter: &Filter) -> BTreeMap<String, u64> {
    let counts = filter.counts();

    Reason::ALL
        .iter()
        .map(|reason| (reason.name().to_owned(), counts.drops(*reason)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Reasons with at least one drop.
fn drops(counters: &Counters) -> BTreeMap<String, u64> {
    counters
        .snapshot()
        .drops()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.name().to_owned(), n))
        .collect()
}

fn unix_rfc3339(time: UnixTime) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}
