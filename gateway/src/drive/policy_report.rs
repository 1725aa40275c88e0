//! Makes the [`PolicyReport`] from the filter and its rules.

use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use ringway_filter::{DeniedPacket, Direction, Filter, Reason, Rules};

use crate::admin::daemon::rfc3339;
use crate::admin::report::{DeniedReport, PolicyReport, RuleReport};

/// IANA, Assigned Internet Protocol Numbers.
mod protocol {
    pub(super) const ICMP: u8 = 1;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const ICMPV6: u8 = 58;
}

pub(super) fn of(filter: &Filter, rules: Option<&Rules>) -> PolicyReport {
    let counts = filter.counts();
    let drops = Reason::ALL
        .iter()
        .map(|reason| (reason.name().to_owned(), counts.drops(*reason)))
        .filter(|(_, dropped)| *dropped > 0);
    let now = (Instant::now(), SystemTime::now());
    let denied = rules.map(|rules| filter.denied(rules)).unwrap_or_default();

    PolicyReport {
        flows_ours: counts.ours,
        flows_theirs: counts.theirs,
        flows_evicted: counts.evicted,
        flows_unrecorded: counts.unrecorded,
        grace: counts.grace,
        drops: drops.collect(),
        orgs: rules.map(orgs).unwrap_or_default(),
        rules: rules.map(rule_reports).unwrap_or_default(),
        denied: denied.iter().map(|packet| report(packet, now)).collect(),
    }
}

fn orgs(rules: &Rules) -> std::collections::BTreeMap<String, u64> {
    rules
        .orgs()
        .into_iter()
        .filter(|org| org.denied > 0)
        .map(|org| (org.org.to_string(), org.denied))
        .collect()
}

fn rule_reports(rules: &Rules) -> Vec<RuleReport> {
    let mut reports = RuleReport::all(&rules.spec().policy);
    // Both have the order of the file, and only rules for arriving packets are counted.
    for (report, counts) in reports.iter_mut().zip(rules.rules()) {
        report.opened = Some(counts.opened);
    }

    reports
}

fn report(packet: &DeniedPacket, (now, clock): (Instant, SystemTime)) -> DeniedReport {
    let at = clock - now.saturating_duration_since(packet.at);
    DeniedReport {
        at: rfc3339(at),
        arrives: packet.direction == Direction::Arriving,
        org: packet.org.as_ref().map(ToString::to_string),
        reason: packet.reason.name().to_owned(),
        source: end(packet, packet.source, packet.source_port),
        destination: end(packet, packet.destination, packet.destination_port),
        service: service(packet),
    }
}

fn end(packet: &DeniedPacket, address: IpAddr, port: u16) -> String {
    match packet.protocol {
        protocol::TCP | protocol::UDP => SocketAddr::new(address, port).to_string(),
        _ => address.to_string(),
    }
}

/// The service of a denied packet, in the notation of a policy.
pub(crate) fn service(packet: &DeniedPacket) -> String {
    match packet.protocol {
        protocol::TCP => format!("tcp {}", packet.destination_port),
        protocol::UDP => format!("udp {}", packet.destination_port),
        protocol::ICMP | protocol::ICMPV6 => format!(
            "icmp type {} code {}",
            packet.source_port, packet.destination_port
        ),
        number => format!("protocol {number}"),
    }
}
