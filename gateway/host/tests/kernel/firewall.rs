//! The packet filter: what passes between a remote organization, the gateway and a node.
//!
//! Counters are compared with "at least": a slow machine sends a packet twice.

use std::io::Write;
use std::net::UdpSocket;

use ringway_config::Service;
use ringway_host::firewall::{DropReason, Nft, Surroundings};

use crate::site::{
    Site, allow, arrives, connect, echoes, guard, is_cut, is_lost, is_mute, is_silent, listen,
    passes, policy, static_neighbour, tcp,
};
use crate::tun_name;

const BETA: &str = "10.2.0.2";
const BETA_V6: &str = "fd00:2::2";
const GAMMA: &str = "10.3.0.2";
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
fn a_listed_port_passes_both_ways_and_an_unlisted_one_is_dropped() {
    let site = Site::new();
    site.apply(&policy(Some(vec![allow(
        "beta",
        tcp(&[(7050, 7052), (7051, 7054)]),
    )])));
    let (listed, unlisted) = (
        listen(&site.node, "[::]:7053"),
        listen(&site.node, "[::]:7099"),
    );
    for (source, node) in [(BETA, "10.1.0.10"), (BETA_V6, "[fd00:1::10]")] {
        let mut client = connect(&site.remote, source, &format!("{node}:7053"));
        let mut server = listed.accept().unwrap().0;
        assert!(passes(&mut client, &mut server) && passes(&mut server, &mut client));
        assert!(is_cut(&site.remote, source, &format!("{node}:7099")));
    }
    drop(unlisted);
    assert!(site.dropped(DropReason::Denied) >= 2);
    assert!(
        is_mute(&site.remote, "10.1.0.10"),
        "echo needs a rule of its own"
    );
}

#[test]
fn rules_hold_for_the_gateway_itself_too() {
    let site = Site::new();
    site.apply(&policy(Some(vec![allow("beta", tcp(&[(7050, 7050)]))])));
    let _servers = [
        listen(&site.gateway, "10.1.0.1:7050"),
        listen(&site.gateway, "10.1.0.1:22"),
    ];
    connect(&site.remote, BETA, "10.1.0.1:7050");
    assert!(is_cut(&site.remote, BETA, "10.1.0.1:22"));
}

#[test]
fn a_rule_for_one_organization_is_none_for_another() {
    let site = Site::new();
    site.apply(&policy(Some(vec![allow("beta", tcp(&[(7050, 7050)]))])));
    let _server = listen(&site.node, "10.1.0.10:7050");
    connect(&site.remote, BETA, "10.1.0.10:7050");
    assert!(is_cut(&site.remote, GAMMA, "10.1.0.10:7050"));
    assert!(site.dropped(DropReason::Denied) >= 1);

    site.apply(&policy(Some(vec![allow("all", tcp(&[(7050, 7050)]))])));
    connect(&site.remote, GAMMA, "10.1.0.10:7050");
    assert!(is_cut(&site.remote, NOBODY, "10.1.0.10:7050"));
    assert!(site.dropped(DropReason::Stranger) >= 1);
}

#[test]
fn without_a_policy_only_echo_and_dns_pass() {
    let site = Site::new();
    site.apply(&policy(None));
    let _servers = [
        listen(&site.node, "10.1.0.10:7050"),
        listen(&site.gateway, "10.1.0.1:53"),
    ];
    assert!(echoes(&site.remote, "10.1.0.10") && echoes(&site.remote, "10.1.0.1"));
    assert!(echoes(&site.remote, "fd00:1::10"));
    connect(&site.remote, BETA, "10.1.0.1:53");
    for address in ["10.1.0.1:53", "[fd00:1::1]:53"] {
        let dns = site.gateway.enter(|| UdpSocket::bind(address)).unwrap();
        let source = if dns.local_addr().unwrap().is_ipv4() {
            BETA
        } else {
            BETA_V6
        };
        assert!(arrives(&site.remote, source, &dns), "{address}");
    }
    let other = site
        .gateway
        .enter(|| UdpSocket::bind("10.1.0.1:54"))
        .unwrap();
    assert!(is_lost(&site.remote, BETA, &other));
    assert!(is_cut(&site.remote, BETA, "10.1.0.10:7050"));
}

#[test]
fn an_empty_list_denies_all_but_return_traffic() {
    let site = Site::new();
    site.apply(&policy(Some(Vec::new())));
    let _server = listen(&site.gateway, "10.1.0.1:53");
    assert!(is_mute(&site.remote, "10.1.0.10"));
    assert!(is_cut(&site.remote, BETA, "10.1.0.1:53"));

    let remote = listen(&site.remote, "10.2.0.2:7050");
    let mut client = connect(&site.node, "10.1.0.10", "10.2.0.2:7050");
    let mut server = remote.accept().unwrap().0;
    assert!(passes(&mut client, &mut server) && passes(&mut server, &mut client));
    assert!(echoes(&site.node, "10.2.0.2") && echoes(&site.node, "fd00:2::2"));
}

#[test]
fn errors_about_a_connection_pass() {
    let site = Site::new();
    site.apply(&policy(Some(Vec::new())));
    // Only ICMP reports a closed UDP port.
    let refused = site.node.enter(|| {
        let socket = UdpSocket::bind("10.1.0.10:0").unwrap();
        socket.connect("10.2.0.2:9").unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        socket.send(b"ping").unwrap();
        socket.recv(&mut [0; 8]).unwrap_err().kind()
    });
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_new_policy_keeps_established_connections_and_ends_those_of_a_removed_member() {
    let site = Site::new();
    site.apply(&policy(Some(vec![allow("beta", tcp(&[(7050, 7050)]))])));
    let listener = listen(&site.node, "10.1.0.10:7050");
    let mut client = connect(&site.remote, BETA, "10.1.0.10:7050");
    let mut server = listener.accept().unwrap().0;

    site.apply(&policy(Some(Vec::new())));
    assert!(passes(&mut client, &mut server) && passes(&mut server, &mut client));
    assert!(is_cut(&site.remote, BETA, "10.1.0.10:7050"));

    let mut without_beta = policy(Some(Vec::new()));
    without_beta.orgs.remove(&"beta".parse().unwrap());
    site.apply(&without_beta);
    client.write_all(b"ping\n").unwrap();
    assert!(is_silent(&mut server));
    assert!(site.dropped(DropReason::Stranger) > 0);
}

#[test]
fn no_tunnel_runs_inside_the_tunnel() {
    let site = Site::new();
    site.apply(&policy(Some(vec![
        allow("beta", Service::Udp(Vec::new())),
        allow("beta", tcp(&[])),
    ])));
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
    site.apply(&policy(Some(Vec::new())));
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

#[test]
fn arriving_tunnel_packets_pass_the_reverse_path_check_although_their_source_is_unreachable() {
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
    site.apply(&policy(None));
    assert!(arrives(&peer, "203.0.113.2", &tunnel));
}

#[test]
fn removing_deletes_the_table_and_drops_are_counted_across_policies() {
    let site = Site::new();
    let _server = listen(&site.node, "10.1.0.10:7050");
    site.gateway.wait(|| async {
        let mut nft = Nft::new(&tun_name());
        nft.remove().await.unwrap();
        assert!(nft.drops().await.unwrap().is_empty());
        for dropped in 1..=2 {
            nft.apply(&guard(&policy(None)), &Surroundings::default())
                .await
                .unwrap();
            assert!(is_cut(&site.remote, BETA, "10.1.0.10:7050"));
            assert!(nft.drops().await.unwrap()[&DropReason::Denied] >= dropped);
        }
        nft.remove().await.unwrap();
    });
    assert_eq!(site.gateway.run("nft list tables"), (0, String::new()));
    connect(&site.remote, BETA, "10.1.0.10:7050");
}

#[test]
fn a_refused_transaction_changes_nothing_and_says_why() {
    let site = Site::new();
    site.apply(&policy(None));
    let mut broken = policy(Some(vec![allow("all", tcp(&[(9, 8)]))]));
    broken.dns.clear();
    let broken = guard(&broken);
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
    assert!(table.contains("echo-request"), "{table}");
}
