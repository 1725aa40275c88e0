//! [`Mesh`]: tunnels, prefixes, certificates and findings, as metrics. Labels are names from member
//! records and constants of ours, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Labels, counts, gauges};
use crate::admin::Report;
use crate::admin::attention::Kind;
use crate::admin::report::TunnelReport;

/// The part of a report that concerns the mesh.
#[derive(Debug)]
pub(super) struct Mesh(pub(super) Report);

impl Collector for Mesh {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let out = &mut encoder;

        self.daemon(out)?;
        self.tunnels(out)?;
        self.nodes(out)?;
        self.traffic(out)?;
        self.prefixes(out)?;
        self.announcements(out)?;
        self.certificates(out)?;
        self.attention(out)
    }
}

impl Mesh {
    fn daemon(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let daemon = &self.0.daemon;
        let labels = [
            ("version", daemon.version.clone()),
            ("gateway", self.0.gateway.clone()),
            ("site", daemon.site.clone()),
        ];
        gauges(
            out,
            "build",
            "1; its labels say what runs",
            vec![(labels, 1)],
        )?;

        let Some(reload) = &self.0.last_reload else {
            return Ok(());
        };
        let adopted = [([("what", "adopted".to_owned())], reload.adopted.into())];
        gauges(
            out,
            "last_reload",
            "1: the files are in force since the last reload; 0: it was refused",
            adopted.into(),
        )
    }

    /// Attached nodes are counted, without a series for each: there may be thousands.
    fn nodes(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let nodes = self.0.nodes.iter();
        let up = nodes.filter(|node| node.state == "up").count();
        let down = self.0.nodes.len() - up;
        let by_state = [("up", up), ("down", down)];
        let by_state = by_state.map(|(state, count)| ([("state", state.to_owned())], count as u64));

        gauges(
            out,
            "nodes",
            "Attached nodes of this site, by whether packets pass",
            by_state.into(),
        )
    }

    fn tunnels(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        gauges(
            out,
            "tunnel_up",
            "1: packets pass",
            self.by_tunnel(|tunnel| Some((tunnel.state == "up").into())),
        )?;
        gauges(
            out,
            "tunnel_path_mtu_bytes",
            "The largest outer packet that is known to reach the peer whole",
            self.by_tunnel(|tunnel| Some(tunnel.path_mtu.into())),
        )?;
        seconds(
            out,
            "tunnel_round_trip_seconds",
            "Of the last probe on the data path",
            self.by_tunnel(|tunnel| Some(tunnel.rtt_us? as f64 / 1e6)),
        )?;
        seconds(
            out,
            "tunnel_loss_ratio",
            "How many of the last probes were lost",
            self.by_tunnel(|tunnel| {
                let sent = tunnel.probes_sent;
                (sent > 0).then(|| tunnel.probes_lost as f64 / sent as f64)
            }),
        )?;
        self.round_trips(out)
    }

    fn round_trips(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Round trips of the probes on the data path";
        let name = "tunnel_probe_seconds";
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Histogram)?;

        for tunnel in &self.0.tunnels {
            let counts = &tunnel.round_trips.counts;
            let bounds = tunnel.round_trips.bounds_us.iter();
            let bounds = bounds.map(|micros| *micros as f64 / 1e6);
            // The encoder adds up the counts, and OpenMetrics requires a bucket for `+Inf`.
            let buckets = bounds.chain([f64::INFINITY]).zip(counts.iter().copied());
            let buckets: Vec<_> = buckets.collect();
            let sum = tunnel.round_trips.sum_us as f64 / 1e6;

            let labels = labels(tunnel);
            let mut series = metric.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)?;
        }
        Ok(())
    }

    fn traffic(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        counts(
            out,
            "tunnel_sent_bytes",
            "Sealed bytes, headers included",
            self.by_tunnel(|tunnel| Some(tunnel.tx_bytes)),
        )?;
        counts(
            out,
            "tunnel_received_bytes",
            "Opened bytes, headers included",
            self.by_tunnel(|tunnel| Some(tunnel.rx_bytes)),
        )?;
        counts(
            out,
            "tunnel_handed_over",
            "Packets of flows unknown here, given to another gateway of our site",
            self.by_tunnel(|tunnel| Some(tunnel.handed_over)),
        )?;
        counts(
            out,
            "tunnel_dropped",
            "Packets of a tunnel, by reason",
            self.drops(),
        )?;
        counts(
            out,
            "packets_dropped",
            "Packets that belong to no tunnel, by reason",
            super::by_name("reason", &self.0.drops),
        )
    }

    /// Drops of each tunnel, by reason.
    fn drops(&self) -> Vec<(Labels<3>, u64)> {
        let mut drops = Vec::new();
        for tunnel in &self.0.tunnels {
            let [peer, org] = labels(tunnel);
            for (reason, count) in &tunnel.drops {
                let reason = ("reason", reason.clone());
                drops.push(([peer.clone(), org.clone(), reason], *count));
            }
        }

        let mut of_nodes: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in self.0.nodes.iter().flat_map(|node| &node.drops) {
            *of_nodes.entry(reason).or_default() += count;
        }
        let nodes = self.0.nodes.first().map(|node| node.org.clone());
        for (reason, count) in of_nodes {
            let org = nodes.clone().unwrap_or_default();
            let peer = ("peer", "nodes".to_owned());
            drops.push(([peer, ("org", org), ("reason", reason.to_owned())], count));
        }
        drops
    }

    fn prefixes(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let series = self.0.routes.iter().map(|route| {
            let labels = [("prefix", route.prefix.clone()), ("org", route.org.clone())];
            (labels, u64::from(route.installed))
        });

        gauges(
            out,
            "prefix_reachable",
            "1: packets go through a tunnel; 0: hosts get an ICMP error",
            series.collect(),
        )
    }

    fn announcements(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let series = self.0.announce.iter().map(|site| {
            let labels = [("site", site.site.clone()), ("org", site.org.clone())];
            (labels, site.missing.len() as u64)
        });

        gauges(
            out,
            "site_unannounced_prefixes",
            "Prefixes of a site with [[announce]] that are not announced, for want of a route",
            series.collect(),
        )
    }

    fn certificates(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        // The report lists ours first, then the members' CAs.
        let listed = self.0.certificates.iter().enumerate();
        let listed = listed.map(|(place, certificate)| {
            let of = if place == 0 { "gateway" } else { "ca" };
            (subject(of, &certificate.subject), &certificate.not_after)
        });
        let shown = self.0.tunnels.iter().filter_map(|tunnel| {
            let until = tunnel.certificate_until.as_ref()?;
            Some((subject("peer", &tunnel.peer), until))
        });

        let ends = listed.chain(shown);
        gauges(
            out,
            "certificate_not_after_seconds",
            "When our chain, a member's CA or a peer's certificate expires, Unix time",
            ends.filter_map(|(labels, date)| Some((labels, unix(date)?)))
                .collect(),
        )
    }

    fn attention(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        // Every kind has a series, so that an alert sees the change from 0 to 1.
        let mut found: BTreeMap<&str, u64> =
            Kind::ALL.iter().map(|kind| (kind.word(), 0)).collect();
        for item in &self.0.attention {
            *found.entry(item.kind.as_str()).or_default() += 1;
        }

        let series = found
            .into_iter()
            .map(|(kind, count)| ([("kind", kind.to_owned())], count));
        gauges(
            out,
            "attention",
            "What an operator should look at, by kind; ringway status says more",
            series.collect(),
        )
    }

    fn by_tunnel<T>(&self, value: impl Fn(&TunnelReport) -> Option<T>) -> Vec<(Labels<2>, T)> {
        let tunnels = self.0.tunnels.iter();
        tunnels
            .filter_map(|tunnel| Some((labels(tunnel), value(tunnel)?)))
            .collect()
    }
}

fn labels(tunnel: &TunnelReport) -> Labels<2> {
    [("peer", tunnel.peer.clone()), ("org", tunnel.org.clone())]
}

/// Labels of a certificate: whose it is, and its subject.
fn subject(of: &str, subject: &str) -> Labels<2> {
    [("of", of.to_owned()), ("subject", subject.to_owned())]
}

/// Parses a date of a report as Unix time.
fn unix(date: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(date, &Rfc3339).ok()?;
    time.unix_timestamp().try_into().ok()
}

fn seconds<const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Labels<N>, f64)>,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
