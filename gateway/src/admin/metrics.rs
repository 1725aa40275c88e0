//! [`Metrics`]: the gateway's and the DNS server's counts in the OpenMetrics text format. Read when
//! asked for; nothing is kept.

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
use super::report::ZoneReport;

/// Where the counts are.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The server's.
    pub counters: Arc<Counters>,
    /// Of cookies.
    pub cookies: Arc<CookieJar>,
    /// Of names outside the consortium.
    pub forwarder: Arc<Forwarder>,
}

impl Metrics {
    /// All of them, and those that are in `report`.
    pub fn text(&self, report: Report) -> Result<String, Error> {
        let Report {
            zones,
            tun_recreated,
            ..
        } = report;
        let mut registry = Registry::with_prefix("ringway");
        registry.register_collector(Box::new(Host { tun_recreated }));
        let dns = registry.sub_registry_with_prefix("dns");
        dns.register_collector(Box::new(Scrape {
            metrics: self.clone(),
            zones,
        }));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// What the kernel was found to need.
#[derive(Debug)]
struct Host {
    tun_recreated: u64,
}

impl Collector for Host {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let help = "How often the TUN device was found down or gone, and brought back";
        let metric = encoder.encode_descriptor("tun_recreated", help, None, MetricType::Counter)?;
        ConstCounter::new(self.tun_recreated).encode(metric)
    }
}

#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    zones: Vec<ZoneReport>,
}

type Labels<const N: usize> = [(&'static str, String); N];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let out = &mut encoder;
        let Metrics {
            counters,
            cookies,
            forwarder,
        } = &self.metrics;
        let by_class = |what| {
            move |counted: Counted| {
                let Counted {
                    locality,
                    transport,
                    what: word,
                    count,
                } = counted;
                let labels = [
                    ("asker", locality.to_owned()),
                    ("transport", transport.to_owned()),
                    (what, word.to_owned()),
                ];
                (labels, count)
            }
        };
        counts(
            out,
            "questions",
            "Questions of those who may ask",
            counters.questions().map(by_class("qtype")),
        )?;
        counts(
            out,
            "answers",
            "Answers, those of others included",
            counters.answers().map(by_class("rcode")),
        )?;
        let dropped = [
            ("foreign", counters.foreign.get()),
            ("silent", counters.silent.get()),
            ("unsent", counters.unsent.get()),
            ("crowded", counters.crowded.get()),
        ];
        let reasons = dropped.map(|(reason, n)| ([("reason", reason.to_owned())], n));
        counts(
            out,
            "dropped",
            "Messages without an answer, and connections closed to make room",
            reasons,
        )?;
        let limited = [
            ("dropped", counters.dropped.get()),
            ("cut", counters.truncated.get()),
        ];
        let limited = limited.map(|(what, n)| ([("what", what.to_owned())], n));
        counts(
            out,
            "limited",
            "Messages over UDP above the rate: dropped, or told to ask over TCP",
            limited,
        )?;
        let cookies = cookies
            .counts()
            .map(|(what, n)| ([("what", what.to_owned())], n));
        counts(out, "cookies", "Cookies that came with questions", cookies)?;
        let forwarded = forwarder
            .counts()
            .map(|(what, n)| ([("what", what.to_owned())], n));
        counts(
            out,
            "forwarded",
            "Questions for others, and what became of them",
            forwarded,
        )?;
        times(
            out,
            "latency_seconds",
            "From a message's receipt to its answer: a sample",
            &counters.latency,
        )?;
        times(
            out,
            "forward_seconds",
            "The same where others were asked: all",
            &counters.forwarded,
        )?;
        self.zones(out)
    }
}

impl Scrape {
    fn zones(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let by = |value: fn(&ZoneReport) -> Option<u64>| {
            let one = move |zone: &ZoneReport| Some(([("zone", zone.apex.clone())], value(zone)?));
            self.zones.iter().filter_map(one).collect::<Vec<_>>()
        };
        gauges(
            out,
            "zone_serial",
            "Serial of the zone as it is served",
            by(|zone| zone.serial.map(u64::from)),
        )?;
        gauges(
            out,
            "zone_age_seconds",
            "Since the zone's owner was last heard",
            by(|zone| zone.age_s),
        )?;
        let stale = by(|zone| Some(zone.stale.into()));
        gauges(
            out,
            "zone_stale",
            "1: the owner was silent for too long, and the zone's names fail",
            stale,
        )
    }
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
        // Serials and ages are far below 2^63.
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
    let bounds = BUCKETS
        .iter()
        .map(|micros| *micros as f64 / 1e6)
        .chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(counts).collect();
    metric.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_in_one_well_formed_text() {
        let cookies = Arc::new(CookieJar::new().unwrap());
        let metrics = Metrics {
            counters: Arc::default(),
            cookies,
            forwarder: Arc::default(),
        };
        let zone = |apex: &str, serial, stale| ZoneReport {
            apex: apex.into(),
            serial,
            age_s: serial.map(|_| 9),
            origin: "replica".into(),
            refused: None,
            stale,
        };
        let zones = vec![
            zone("org1.example", Some(7), true),
            zone("org2.example", None, false),
        ];
        let text = metrics
            .text(Report {
                zones,
                tun_recreated: 3,
                ..Report::default()
            })
            .unwrap();
        for line in [
            "# TYPE ringway_tun_recreated counter",
            "ringway_tun_recreated_total 3",
            "# TYPE ringway_dns_questions counter",
            "ringway_dns_dropped_total{reason=\"foreign\"} 0",
            "ringway_dns_limited_total{what=\"cut\"} 0",
            "ringway_dns_cookies_total{what=\"good\"} 0",
            "ringway_dns_forwarded_total{what=\"joined\"} 0",
            "ringway_dns_latency_seconds_bucket{le=\"+Inf\"} 0",
            "ringway_dns_zone_serial{zone=\"org1.example\"} 7",
            "ringway_dns_zone_age_seconds{zone=\"org1.example\"} 9",
            "ringway_dns_zone_stale{zone=\"org1.example\"} 1",
            "ringway_dns_zone_stale{zone=\"org2.example\"} 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("serial{zone=\"org2"));
    }
}
