//! [`Metrics`]: the gateway's and the DNS server's counters in the OpenMetrics text format. They
//! are read when a client asks; no copy is kept.

#[cfg(test)]
mod documented;
mod mesh;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use ringway_dns::cookie::CookieJar;
use ringway_dns::server::{BUCKETS, Counted, Histogram};
use ringway_dns::{Counters, Forwarder};

use super::Report;
use super::report::{CheckReport, PolicyReport, RoleReport, ZoneReport};
use super::site::SiteReport;

/// Counters that are not part of a [`Report`].
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Counters of the DNS server.
    pub counters: Arc<Counters>,
    /// Counters of DNS cookies (RFC 7873).
    pub cookies: Arc<CookieJar>,
    /// Counters of queries for names outside the consortium.
    pub forwarder: Arc<Forwarder>,
}

impl Metrics {
    /// These counters and those in `report`, in the OpenMetrics text format.
    pub fn text(&self, report: Report) -> Result<String, Error> {
        let host = Host {
            tun_recreated: report.tun_recreated,
            restored: report.restored.clone(),
            refusals: report.refusals.clone(),
            role: report.role.clone().unwrap_or_default(),
            site: report.site.clone(),
        };
        let scrape = Scrape {
            metrics: self.clone(),
            zones: report.zones.clone(),
            checks: report.checks.clone(),
        };

        // A new registry for each scrape, because all values are read now.
        let mut registry = Registry::with_prefix("ringway");
        registry.register_collector(Box::new(host));
        let filter = registry.sub_registry_with_prefix("policy");
        filter.register_collector(Box::new(Policy(report.policy.clone())));
        let dns = registry.sub_registry_with_prefix("dns");
        dns.register_collector(Box::new(scrape));
        registry.register_collector(Box::new(mesh::Mesh(report)));

        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// Counters of restored kernel objects and of refused handshakes, and the role in the site.
#[derive(Debug)]
struct Host {
    tun_recreated: u64,
    restored: BTreeMap<String, u64>,
    refusals: BTreeMap<String, u64>,
    role: RoleReport,
    site: SiteReport,
}

impl Host {
    fn encode_site(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let role = &self.role;
        let is_active = role.role == "active";
        let help = "1 if this gateway is the active one of its site";
        let metric = out.encode_descriptor("active", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(is_active)).encode(metric)?;

        let help = "The epoch of this gateway's claims; it grows with every takeover";
        let metric = out.encode_descriptor("site_epoch", help, None, MetricType::Gauge)?;
        let epoch = i64::try_from(role.epoch).unwrap_or(i64::MAX);
        ConstGauge::new(epoch).encode(metric)?;

        // Without siblings there is no gap, and the value is 0.
        let gap = (role.gap_s.unwrap_or_default() * 1000.0).round() as i64;
        let help = "Milliseconds for which no active gateway was heard of before the last takeover";
        let metric = out.encode_descriptor("takeover_gap", help, None, MetricType::Gauge)?;
        ConstGauge::new(gap).encode(metric)?;

        counts(
            out,
            "takeovers",
            "How often this gateway became the active one of its site, by reason",
            by_name("reason", &self.site.takeovers),
        )
    }
}

impl Collector for Host {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let help = "How often the TUN device was found down or gone, and brought back";
        let metric = encoder.encode_descriptor("tun_recreated", help, None, MetricType::Counter)?;
        ConstCounter::new(self.tun_recreated).encode(metric)?;
        self.encode_site(&mut encoder)?;

        counts(
            &mut encoder,
            "restored",
            "Kernel objects that another program changed and the gateway restored, by kind",
            self.restored
                .iter()
                .map(|(kind, count)| ([("kind", kind.clone())], *count)),
        )?;
        counts(
            &mut encoder,
            "refused_handshakes",
            "Handshakes of others that came to nothing, by reason",
            by_name("reason", &self.refusals),
        )
    }
}

/// Counters of the filter. Labels are reasons, organizations and places of rules, all bounded.
#[derive(Debug)]
struct Policy(PolicyReport);

impl Collector for Policy {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let out = &mut encoder;
        let Policy(report) = self;

        let flows = [("ours", report.flows_ours), ("theirs", report.flows_theirs)];
        gauges(
            out,
            "flows",
            "Flows that are remembered, by who opened them",
            labelled("opener", flows).collect(),
        )?;
        let lost = [
            ("evicted", report.flows_evicted),
            ("unrecorded", report.flows_unrecorded),
        ];
        counts(
            out,
            "flows_lost",
            "Flows given up for others, and flows for which there was no place",
            labelled("what", lost),
        )?;
        let grace = [("passed", report.grace)];
        counts(
            out,
            "grace",
            "Packets that passed because a connection may be older than the gateway",
            labelled("what", grace),
        )?;

        counts(
            out,
            "dropped",
            "Packets that the filter dropped, by reason",
            by_name("reason", &report.drops),
        )?;
        counts(
            out,
            "denied",
            "Packets that the rules denied, by the organization at the far end",
            by_name("org", &report.orgs),
        )?;
        counts(
            out,
            "opened",
            "Flows that others opened, by the rule that allows it",
            report
                .rules
                .iter()
                .filter_map(|rule| Some(([("rule", rule.place.clone())], rule.opened?))),
        )
    }
}

fn by_name<'a>(
    label: &'static str,
    counts: &'a BTreeMap<String, u64>,
) -> impl Iterator<Item = (Labels<1>, u64)> + 'a {
    counts
        .iter()
        .map(move |(name, count)| ([(label, name.clone())], *count))
}

#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    zones: Vec<ZoneReport>,
    checks: Vec<CheckReport>,
}

type Labels<const N: usize> = [(&'static str, String); N];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let out = &mut encoder;

        self.queries(out)?;
        self.losses(out)?;
        self.cookies_and_forwarding(out)?;
        self.latencies(out)?;
        self.zones(out)?;
        self.checks(out)
    }
}

impl Scrape {
    fn queries(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let counters = &self.metrics.counters;

        counts(
            out,
            "questions",
            "Queries from clients that the ACL admits, by type",
            counters
                .questions()
                .map(|counted| by_class("qtype", counted)),
        )?;
        counts(
            out,
            "answers",
            "Responses by response code, forwarded queries included",
            counters.answers().map(|counted| by_class("rcode", counted)),
        )
    }

    /// Queries without a response, or with a truncated one.
    fn losses(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let counters = &self.metrics.counters;
        let dropped = [
            ("foreign", counters.foreign.get()),
            ("silent", counters.silent.get()),
            ("unsent", counters.unsent.get()),
            ("crowded", counters.crowded.get()),
        ];
        let limited = [
            ("dropped", counters.dropped.get()),
            ("cut", counters.truncated.get()),
        ];

        counts(
            out,
            "dropped",
            "Messages without a response, and TCP connections closed for new ones, by reason",
            labelled("reason", dropped),
        )?;
        counts(
            out,
            "limited",
            "Queries over UDP above the client's rate: dropped, or cut to make it use TCP",
            labelled("what", limited),
        )
    }

    fn cookies_and_forwarding(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        counts(
            out,
            "cookies",
            "DNS cookies in queries: fresh (without a server cookie), good or bad",
            labelled("what", self.metrics.cookies.counts()),
        )?;
        counts(
            out,
            "forwarded",
            "Queries for names outside the consortium, by outcome",
            labelled("what", self.metrics.forwarder.counts()),
        )
    }

    fn latencies(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        times(
            out,
            "latency_seconds",
            "From the receipt of a query over UDP to its response: a sample",
            &self.metrics.counters.latency,
        )?;
        times(
            out,
            "forward_seconds",
            "From the receipt of a forwarded query to its response: every one",
            &self.metrics.counters.forwarded,
        )
    }

    fn zones(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        gauges(
            out,
            "zone_serial",
            "Serial of the zone as it is served",
            self.by_zone(|zone| zone.serial.map(u64::from)),
        )?;
        gauges(
            out,
            "zone_age_seconds",
            "Time since the last contact with the zone's owner",
            self.by_zone(|zone| zone.age_s),
        )?;
        gauges(
            out,
            "zone_stale",
            "1: the owner was silent for longer than the hold, and the zone's names fail",
            self.by_zone(|zone| Some(zone.stale.into())),
        )
    }

    /// The label is an address from our own configuration, so it is bounded.
    fn checks(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let series = self.checks.iter().map(|check| {
            let labels = [
                ("host", check.host.clone()),
                ("address", check.address.clone()),
            ];
            (labels, u64::from(check.state == "good"))
        });

        gauges(
            out,
            "host_good",
            "1: the address of our host passes its check; 0: it is left out",
            series.collect(),
        )
    }

    /// One value for each zone that has one: a zone that was never received has no serial.
    fn by_zone(&self, value: impl Fn(&ZoneReport) -> Option<u64>) -> Vec<(Labels<1>, u64)> {
        self.zones
            .iter()
            .filter_map(|zone| Some(([("zone", zone.apex.clone())], value(zone)?)))
            .collect()
    }
}

/// Labels of a counted class; `what` names the class: a query type or a response code.
fn by_class(what: &'static str, counted: Counted) -> (Labels<3>, u64) {
    let labels = [
        ("asker", counted.locality.to_owned()),
        ("transport", counted.transport.to_owned()),
        (what, counted.what.to_owned()),
    ];

    (labels, counted.count)
}

fn labelled(
    label: &'static str,
    counts: impl IntoIterator<Item = (&'static str, u64)>,
) -> impl Iterator<Item = (Labels<1>, u64)> {
    counts
        .into_iter()
        .map(move |(value, count)| ([(label, value.to_owned())], count))
}

fn counts<const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Labels<N>, u64)>,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series {
        ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauges<const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Labels<N>, u64)>,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        // Serials and ages stay far below 2^63.
        ConstGauge::new(value as i64).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn times(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    times: &Histogram,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let (sum, counts) = times.get();

    // The encoder adds no bucket by itself, and OpenMetrics requires one for `+Inf`.
    let bounds = BUCKETS
        .iter()
        .map(|micros| *micros as f64 / 1e6)
        .chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(counts).collect();
    metric.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
}
