use super::*;
use crate::admin::report::{RoundTripsReport, TunnelReport};

const LINES: [&str; 23] = [
    "# TYPE ringway_tun_recreated counter",
    "ringway_tun_recreated_total 3",
    "ringway_active 1",
    "ringway_site_epoch 2",
    "ringway_takeover_gap 155",
    "ringway_takeovers_total{reason=\"silent\"} 1",
    "ringway_restored_total{kind=\"table\"} 2",
    "# TYPE ringway_tunnel_probe_seconds histogram",
    "ringway_tunnel_probe_seconds_bucket{le=\"0.0005\",peer=\"gw.org2\",org=\"org2\"} 3",
    "ringway_tunnel_probe_seconds_bucket{le=\"0.001\",peer=\"gw.org2\",org=\"org2\"} 3",
    "ringway_tunnel_probe_seconds_bucket{le=\"+Inf\",peer=\"gw.org2\",org=\"org2\"} 5",
    "ringway_tunnel_probe_seconds_sum{peer=\"gw.org2\",org=\"org2\"} 0.007",
    "ringway_tunnel_probe_seconds_count{peer=\"gw.org2\",org=\"org2\"} 5",
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
];

#[test]
fn all_metrics_are_in_one_well_formed_text() {
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
        complete: true,
        fragments: Vec::new(),
        refused_by: Vec::new(),
        left_out_by: Vec::new(),
    };

    let zones = vec![
        zone("org1.example", Some(7), true),
        zone("org2.example", None, false),
    ];
    let text = metrics
        .text(Report {
            zones,
            tun_recreated: 3,
            role: Some(RoleReport {
                role: "active".into(),
                epoch: 2,
                gap_s: Some(0.155),
                ..RoleReport::default()
            }),
            site: SiteReport {
                takeovers: BTreeMap::from([("silent".to_owned(), 1)]),
                ..SiteReport::default()
            },
            restored: BTreeMap::from([("table".to_owned(), 2)]),
            tunnels: vec![TunnelReport {
                peer: "gw.org2".into(),
                org: "org2".into(),
                round_trips: RoundTripsReport {
                    bounds_us: vec![500, 1_000],
                    counts: vec![3, 0, 2],
                    sum_us: 7_000,
                },
                ..TunnelReport::default()
            }],
            ..Report::default()
        })
        .unwrap();
    for line in LINES {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n") && !text.contains("serial{zone=\"org2"));
}
