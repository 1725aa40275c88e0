//! Which sources pass, beside a model that walks over all prefixes: nodes with nested ranges.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use ringway_config::{Node, Prefix};

use crate::bench::{Bench, Peer, key, node, packet_between};

/// The site, and ranges of nodes in it; the last node is no WireGuard client.
const RANGES: [&[&str]; 4] = [
    &["10.1.64.0/18", "10.1.77.5/32"],
    &["10.1.77.0/24"],
    &["10.1.77.4/30", "10.1.96.0/19"],
    &["10.1.77.128/25", "10.1.64.8/29"],
];

fn nodes() -> Vec<Node> {
    let names = ["wide", "nested", "narrow", "daemon"];
    let nodes = (1..).zip(names).zip(RANGES);

    nodes
        .map(|((number, name), ranges)| {
            node(name, ranges, (name != "daemon").then_some(&key(number)))
        })
        .collect()
}

/// The node whose range holds the address most specifically, by its number.
fn holder(address: Ipv4Addr) -> Option<usize> {
    let ranges = RANGES.iter().enumerate();
    let ranges = ranges.flat_map(|(node, ranges)| ranges.iter().map(move |range| (node, range)));
    let prefixes = ranges.map(|(node, range)| (node, range.parse::<Prefix>().unwrap()));

    let holding = prefixes.filter(|(_, prefix)| prefix.contains(address.into()));
    holding
        .max_by_key(|(_, prefix)| prefix.len())
        .map(|(node, _)| node)
}

/// Few distinct bits, so that addresses fall into the ranges and beside them.
fn any_source() -> impl Strategy<Value = Ipv4Addr> {
    let third = proptest::sample::select(vec![63u8, 64, 77, 96, 100, 127, 128]);
    let fourth = proptest::sample::select(vec![0u8, 3, 4, 5, 6, 7, 8, 9, 15, 16, 127, 128, 255]);
    let second = proptest::sample::select(vec![1u8, 1, 1, 2, 3]);

    (second, third, fourth).prop_map(|(second, third, fourth)| [10, second, third, fourth].into())
}

proptest! {
    #[test]
    fn a_source_passes_from_the_node_that_holds_it_most_specifically(
        sent in proptest::collection::vec((0usize..3, any_source()), 100),
    ) {
        let mut bench = Bench::new(&nodes());
        let mut clients: Vec<Peer> = (1..=3)
            .map(|number| bench.client(&key(number), number.into()))
            .collect();

        for (client, source) in sent {
            let packet = packet_between(source, [10, 2, 0, 9].into());
            let written = bench.send(&mut clients[client], &packet);
            let passes = holder(source) == Some(client);
            prop_assert_eq!(written, if passes { vec![packet] } else { vec![] }, "{}", source);
        }
    }

    #[test]
    fn a_destination_leads_to_the_node_that_holds_it_most_specifically(
        destinations in proptest::collection::vec(any_source(), 100),
    ) {
        let mut bench = Bench::new(&nodes());
        let clients: Vec<Peer> = (1..=3)
            .map(|number| bench.client(&key(number), number.into()))
            .collect();

        for destination in destinations {
            let sent = bench.route(&packet_between([10, 2, 0, 9].into(), destination));
            let to: Vec<_> = sent.into_iter().map(|(to, _)| to).collect();
            let expected = holder(destination).and_then(|node| clients.get(node));
            let expected: Vec<_> = expected.map(|client| client.at).into_iter().collect();
            prop_assert_eq!(to, expected, "{}", destination);
        }
    }
}
