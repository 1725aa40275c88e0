//! Connections within this site, and between other sites.

use ringway_host::watch::Reach;

use super::*;

const NODE: &str = "node:db1.acme";

fn within(source: &str, destination: &str) -> Opening {
    Opening {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        service: Asked::Tcp(7051),
    }
}

fn near(address: IpAddr) -> NearEnd<'static> {
    NearEnd {
        address,
        site: "acme/east",
        node: None,
        reach: None,
    }
}

/// A connection between two hosts of the site, with `change` made to its ends.
fn lines<'a>(
    opening: Opening,
    report: &'a Report,
    change: impl Fn(&mut [NearEnd<'a>; 2]),
) -> Vec<String> {
    let mut ends: [NearEnd<'a>; 2] = [opening.source, opening.destination].map(near);
    change(&mut ends);
    let diagnosis = WithinSite {
        opening,
        report,
        ends,
        nodes_reach_each_other: false,
    };

    let steps = diagnosis.steps();
    let lines = steps
        .iter()
        .map(|step| format!("{:?}: {}", step.verdict, step.text));
    lines.collect()
}

#[test]
fn of_two_hosts_of_the_site_it_says_how_this_host_reaches_them() {
    for (source, destination, router) in [
        ("10.1.0.11", "10.1.0.12", "10.1.0.254"),
        ("fd00:1::11", "fd00:1::12", "fe80::1"),
    ] {
        let by = Reach::Interface {
            name: "lan0".into(),
            router: Some(router.parse().unwrap()),
        };
        let opening = within(source, destination);
        let lines = lines(opening, &report(), |ends| {
            ends[0].reach = Some(&Reach::Local);
            ends[1].reach = Some(&by);
        });
        assert_eq!(
            lines,
            [
                "WithinSite: both ends are in acme/east, the site of this gateway: their packets \
                 need not pass it, and no rule judges them"
                    .to_owned(),
                format!("OwnAddress: {source} is this host's own address"),
                format!("SiteRoute: {destination} is reached by lan0, through {router}"),
            ]
        );
    }
}

#[test]
fn a_host_of_the_site_without_a_route_is_named_and_not_blamed() {
    let lines = lines(within("10.1.0.11", "10.1.0.12"), &report(), |ends| {
        ends[1].reach = Some(&Reach::NoRoute);
    });

    assert_eq!(
        lines[1],
        "NoSiteRoute: this host has no route to 10.1.0.12: no member reaches it"
    );
    assert_eq!(Verdict::NoSiteRoute.state(), State::Unknown);
}

#[test]
fn attached_nodes_count_as_hosts_of_the_site_that_are_reached_by_their_tunnels() {
    let node = |peer: &str, state: &str| TunnelReport {
        peer: peer.into(),
        state: state.into(),
        path_mtu: 1420,
        ..TunnelReport::default()
    };
    let mut report = report();
    report.nodes = vec![node(NODE, "up"), node("node:db2.acme", "up")];
    let opening = within("10.1.0.11", "10.1.0.12");

    let one = lines(opening, &report, |ends| ends[1].node = Some(NODE));
    assert_eq!(
        one,
        [
            "WithinSite: this gateway serves both ends, 10.1.0.11 in acme/east and 10.1.0.12 \
             (node:db1.acme): no rule judges packets between them",
            "NodeUp: node:db1.acme is up, outer packets up to 1420 bytes",
        ]
    );
    let both = lines(opening, &report, |ends| {
        ends[0].node = Some(NODE);
        ends[1].node = Some("node:db2.acme");
    });
    assert_eq!(
        both[3],
        "NodesApart: attached nodes do not reach each other"
    );
    let same = lines(opening, &report, |ends| {
        ends[0].node = Some(NODE);
        ends[1].node = Some(NODE);
    });
    assert_eq!(
        same,
        ["WithinSite: both ends are behind node:db1.acme: their packets do not pass this gateway"]
    );
}

#[test]
fn of_two_ends_in_other_sites_it_says_which_gateways_to_ask() {
    let opening = within("fd00:2::21", "fd00:3::31");
    let [beta, gamma] = ["gw.beta", "gw.gamma"].map(|gateway| [gateway.to_owned()]);
    let end = |address, site, gateways| FarEnd {
        address,
        site,
        gateways,
    };
    let mut between = OtherSites {
        opening,
        here: "acme/east",
        ends: [
            end(opening.source, "beta/west", &beta[..]),
            end(opening.destination, "gamma/west", &gamma[..]),
        ],
    };

    let step = between.step();
    assert_eq!(
        format!("{:?}: {}", step.verdict, step.text),
        "OtherSites: neither end is in acme/east, the site of this gateway: fd00:2::21 is in \
         beta/west, and fd00:3::31 in gamma/west"
    );
    assert_eq!(
        step.remedy,
        "at gw.beta or gw.gamma: ringway explain fd00:2::21 fd00:3::31 --port 7051"
    );

    between.ends[1] = end(opening.destination, "beta/west", &beta[..]);
    let step = between.step();
    assert_eq!(step.verdict, Verdict::OtherSite);
    assert!(
        step.remedy.starts_with("at gw.beta: ringway explain "),
        "{step:?}"
    );
}
