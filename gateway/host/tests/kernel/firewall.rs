//! Packets through the TUN device, and the replacement of the nftables table.
//!
//! Counters are compared with "at least": a slow machine sends a packet twice.

use std::net::UdpSocket;

use ringway_host::firewall::{DropReason, Nft, Surroundings};

use crate::site::{
    Site, arrives, connect, echoes, is_cut, is_lost, listen, spec, static_neighbour,
};
use crate::tun_name;

const BETA: &str = "10.2.0.2";
const BETA_V6: &str = "fd00:2::2";
const NOBODY: &str = "10.9.0.2";

#[test]
fn without_the_filter_everything_passes() {
    let site = Site::new();
    let _server = listen(&site.node, "[::]:7099");
    for (source, to) in [
        (BETA, "10.1.0.10:7099"),
        (NOBODY, "10.1.0.10:7099"),
        (BETA_V6, "[fd00:1::10]:7099"),
    ] {
        connect(&site.remote, source, to);
    }
    assert!(echoes(&site.remote, "10.1.0.10") && echoes(&site.remote, "fd00:1::10"));
}

#[test]
fn no_tunnel_runs_inside_the_tunnel() {
    let site = Site::new();
    site.apply();
    let _server = listen(&site.gateway, "10.1.0.1:4600");
    assert!(is_cut(&site.remote, BETA, "10.1.0.1:4600"));
    for receiver in [
        (&site.gateway, "10.1.0.1:4600"),
        (&site.node, "10.1.0.10:4600"),
    ] {
        let socket = receiver.0.enter(|| UdpSocket::bind(receiver.1)).unwrap();
        assert!(is_lost(&site.remote, BETA, &socket), "{}", receiver.1);
    }
    let endpoint = site
        .remote
        .enter(|| UdpSocket::bind("10.2.0.2:4600"))
        .unwrap();
    assert!(is_lost(&site.node, "10.1.0.10", &endpoint));
    assert!(site.dropped(DropReason::TunnelPort) >= 4);
    let other = site
        .remote
        .enter(|| UdpSocket::bind("10.2.0.2:4601"))
        .unwrap();
    assert!(arrives(&site.node, "10.1.0.10", &other));
}

#[test]
fn only_the_sites_own_addresses_enter_the_tunnel() {
    let site = Site::new();
    site.gateway.ip("addr add 203.0.113.5/32 dev lo");
    site.apply();
    let receiver = site.remote.enter(|| UdpSocket::bind("10.2.0.2:9")).unwrap();
    assert!(arrives(&site.node, "10.1.0.10", &receiver));
    assert!(
        is_lost(&site.node, "10.99.0.10", &receiver),
        "from the site"
    );
    // A packet that this host may not send is an error for its sender.
    site.gateway
        .enter(|| {
            UdpSocket::bind("203.0.113.5:0")
                .unwrap()
                .send_to(b"ping", "10.2.0.2:9")
        })
        .unwrap_err();
    assert!(site.dropped(DropReason::WrongSource) >= 2);
}

/// As Docker does it for containers on the gateway's host.
#[test]
fn what_is_translated_into_the_sites_addresses_enters_the_tunnel() {
    let site = Site::new();
    site.apply();
    let receiver = site.remote.enter(|| UdpSocket::bind("10.2.0.2:9")).unwrap();
    assert!(is_lost(&site.node, "10.99.0.10", &receiver));

    for command in [
        "nft add table ip other",
        "nft add chain ip other post { type nat hook postrouting priority 100 ; }",
        "nft add rule ip other post ip saddr 10.99.0.0/16 snat to 10.1.0.1",
    ] {
        let (code, text) = site.gateway.run(command);
        assert_eq!(code, 0, "{text}");
    }
    let before = site.dropped(DropReason::WrongSource);
    assert!(arrives(&site.node, "10.99.0.10", &receiver));
    assert_eq!(site.dropped(DropReason::WrongSource), before);
}

#[test]
fn inbound_tunnel_packets_pass_the_reverse_path_check_without_a_return_route() {
    let site = Site::new();
    let peer = crate::namespace::Namespace::new("peer");
    site.gateway.join("eth0", &peer, "eth0");
    site.gateway.ip("addr add 203.0.113.1/24 dev eth0");
    peer.ip("addr add 203.0.113.2/24 dev eth0");
    // ARP has the same check, and no mark; a router that stands between has an address elsewhere.
    static_neighbour(&peer, "eth0", &site.gateway, "eth0", "203.0.113.1");
    // The endpoint lies inside a prefix that the tunnel serves.
    site.gateway
        .ip("route add unreachable 203.0.113.0/25 table 4600");
    site.gateway
        .ip("rule add not fwmark 0x1057 lookup 4600 priority 4600");
    site.gateway.enter(|| {
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/all/src_valid_mark", "1").unwrap();
    });
    let tunnel = site
        .gateway
        .enter(|| UdpSocket::bind("203.0.113.1:4600"))
        .unwrap();
    assert!(
        is_lost(&peer, "203.0.113.2", &tunnel),
        "the check is in force"
    );
    let mut leased_line = spec();
    leased_line.marks_arrivals = true;
    site.apply_around(&leased_line, &Surroundings::default());
    assert!(arrives(&peer, "203.0.113.2", &tunnel));
}

#[test]
fn removing_deletes_the_table_and_drops_are_counted_across_replacements() {
    let site = Site::new();
    let inside = site
        .gateway
        .enter(|| UdpSocket::bind("10.1.0.1:4600"))
        .unwrap();
    site.gateway.wait(|| async {
        let mut nft = Nft::new(&tun_name());
        nft.remove().await.unwrap();
        assert!(nft.drops().await.unwrap().is_empty());
        for dropped in 1..=2 {
            nft.apply(&spec(), &Surroundings::default()).await.unwrap();
            assert!(is_lost(&site.remote, BETA, &inside));
            assert!(nft.drops().await.unwrap()[&DropReason::TunnelPort] >= dropped);
        }
        nft.remove().await.unwrap();
    });
    assert_eq!(site.gateway.run("nft list tables"), (0, String::new()));
    assert!(arrives(&site.remote, BETA, &inside));
}

#[test]
fn a_refused_transaction_changes_nothing_and_says_why() {
    let site = Site::new();
    site.apply();
    let mut broken = spec();
    broken.site.insert("a name that is too long".into());
    let error = site
        .gateway
        .wait(|| async {
            Nft::new(&tun_name())
                .apply(&broken, &Surroundings::default())
                .await
        })
        .unwrap_err();
    assert!(error.to_string().starts_with("nft refused: "), "{error}");
    let (_, table) = site.gateway.run("nft list table inet ringway0");
    assert!(table.contains("eth1"), "{table}");
}
