//! The guard: packets with addresses of the mesh enter and leave only through the TUN device, and
//! interfaces that forward because of the daemon forward only for the mesh. Each test first shows
//! that the packets pass without the guard.
//!
//! ```text
//!   wan  203.0.113.2, and whatever it claims ── eth0 ── gateway ── eth1 ── node
//! ```

use std::net::UdpSocket;

use ringway_host::firewall::{DropReason, Restriction, Surroundings};
use ringway_host::tun::TUN_GROUP;
use ringway_intent::GuardSpec;

use crate::namespace::Namespace;
use crate::site::{Site, arrives, connect, is_cut, is_lost, listen, spec, static_neighbour};

const BETA: &str = "10.2.0.2";
const BETA_V6: &str = "fd00:2::2";
/// Inside our own site.
const OURS: &str = "10.1.7.7";
const STRANGER: &str = "203.0.113.2";

/// A site whose gateway has a card in the WAN, and forwards everything.
fn site_and_wan() -> (Site, Namespace) {
    let site = Site::new();
    let wan = Namespace::new("wan");
    site.gateway.join("eth0", &wan, "eth0");
    site.gateway.ip("addr add 203.0.113.1/24 dev eth0");
    site.gateway.ip("addr add fd00:9::1/64 dev eth0 nodad");
    wan.ip("addr add fd00:9::2/64 dev eth0 nodad");
    for address in ["203.0.113.2/24", "10.2.0.2/32", "10.1.7.7/32"] {
        wan.ip(&format!("addr add {address} dev eth0"));
    }
    wan.ip("addr add fd00:2::2/128 dev eth0 nodad");
    wan.ip("route add 10.1.0.0/24 via 203.0.113.1");
    wan.ip("route add fd00:1::/64 via fd00:9::1");
    // The answer may take any way: only what arrives counts.
    site.gateway.enter(|| {
        for key in ["all", "eth0", "eth1"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{key}/rp_filter"), "0").unwrap();
        }
    });
    (site, wan)
}

fn bind(namespace: &Namespace, address: &str) -> UdpSocket {
    namespace.enter(|| UdpSocket::bind(address)).unwrap()
}

#[test]
fn addresses_of_the_mesh_do_not_enter_from_the_wan() {
    let (site, wan) = site_and_wan();
    let node = bind(&site.node, "10.1.0.10:9");
    let node6 = bind(&site.node, "[fd00:1::10]:9");
    let here = bind(&site.gateway, "10.1.0.1:9");
    for (source, to) in [
        (BETA, &node),
        (OURS, &node),
        (BETA, &here),
        (BETA_V6, &node6),
    ] {
        assert!(arrives(&wan, source, to), "{source} without the guard");
    }

    site.apply_around(&spec(), &Surroundings::default());
    for (source, to) in [
        (BETA, &node),
        (OURS, &node),
        (BETA, &here),
        (OURS, &here),
        (BETA_V6, &node6),
    ] {
        assert!(is_lost(&wan, source, to), "{source}");
    }
    assert!(site.dropped(DropReason::Spoofed) >= 5);
    assert!(arrives(&wan, STRANGER, &node), "not ours to judge");
    assert!(arrives(&site.gateway, "10.1.0.1", &here), "from this host");
    // Nor with a lookup of connections: a SYN that came this way has opened nothing.
    assert!(is_cut(&wan, BETA, "10.1.0.10:9"));
}

#[test]
fn the_tunnels_own_packets_may_have_any_source() {
    let (site, wan) = site_and_wan();
    site.apply_around(&spec(), &Surroundings::default());
    let tunnel = bind(&site.gateway, "203.0.113.1:4600");
    let other = bind(&site.gateway, "203.0.113.1:4601");
    wan.ip("route add 10.9.0.0/16 via 203.0.113.1");
    assert!(arrives(&wan, BETA, &tunnel), "an endpoint on a leased line");
    assert!(is_lost(&wan, BETA, &other));
}

#[test]
fn packets_of_members_enter_from_the_sites_network_only_for_a_host_with_a_sibling() {
    let (site, wan) = site_and_wan();
    site.node.ip("addr add 10.2.0.9/32 dev eth0");
    let here = bind(&site.gateway, "10.1.0.1:9");
    let beyond = bind(&site.remote, "10.3.0.2:9");

    site.apply_around(&spec(), &Surroundings::default());
    assert!(is_lost(&site.node, "10.2.0.9", &here));
    assert!(arrives(&site.node, "10.1.0.10", &here));

    let with_sibling = GuardSpec {
        has_siblings: true,
        ..spec()
    };
    site.apply_around(&with_sibling, &Surroundings::default());
    assert!(arrives(&site.node, "10.2.0.9", &here));
    assert!(
        is_lost(&site.node, "10.2.0.9", &beyond),
        "through this host"
    );
    assert!(is_lost(&wan, BETA, &here), "from the WAN");
}

#[test]
fn a_restricted_interface_forwards_between_our_prefixes_and_nothing_from_members() {
    let (site, _wan) = site_and_wan();
    // Another host on the same wire, which the node reaches by the gateway.
    let other = Namespace::new("other");
    site.node.ip(&format!(
        "link add link eth0 name mv0 netns {} type macvlan mode bridge",
        other.name()
    ));
    other.ip("link set mv0 name eth0");
    other.ip("link set eth0 up");
    other.ip("addr add 10.1.0.20/24 dev eth0");
    site.node.ip("route add 10.1.0.20/32 via 10.1.0.1");
    site.node.ip("addr add 10.2.0.9/32 dev eth0");
    let receiver = bind(&other, "10.1.0.20:9");
    assert!(arrives(&site.node, "10.2.0.9", &receiver), "the control");

    let restricted = Surroundings {
        restriction: Restriction {
            v4: ["eth1".to_owned()].into(),
            ..Restriction::default()
        },
        untracks: false,
    };
    site.apply_around(&spec(), &restricted);
    assert!(arrives(&site.node, "10.1.0.10", &receiver));
    assert!(is_lost(&site.node, "10.99.0.10", &receiver));
    // Enters and leaves by one interface, but that is no bridge.
    assert!(is_lost(&site.node, "10.2.0.9", &receiver));
}

#[test]
fn the_device_of_another_daemon_on_this_host_is_a_part_of_the_mesh() {
    let (site, _wan) = site_and_wan();
    let beyond = Namespace::new("beyond");
    site.gateway.join("other0", &beyond, "eth0");
    site.gateway.ip("addr add 192.0.2.1/24 dev other0");
    site.gateway.ip("addr add fd00:8::1/64 dev other0 nodad");
    site.gateway.ip("route add 10.2.9.0/24 via 192.0.2.2");
    beyond.ip("addr add 192.0.2.2/24 dev eth0");
    beyond.ip("addr add fd00:8::2/64 dev eth0 nodad");
    beyond.ip("addr add 10.2.9.9/32 dev eth0");
    beyond.ip("route add default via 192.0.2.1");
    beyond.ip("-6 route add default via fd00:8::1");
    let there = bind(&beyond, "10.2.9.9:9");
    let node = bind(&site.node, "10.1.0.10:9");
    let node6 = bind(&site.node, "[fd00:1::10]:9");
    let here = bind(&site.gateway, "10.1.0.1:9");
    site.gateway.enter(|| {
        std::fs::write("/proc/sys/net/ipv4/conf/other0/rp_filter", "0").unwrap();
    });

    let everything_ours = Surroundings {
        restriction: Restriction {
            v4: ["eth1".to_owned()].into(),
            v6: ["eth1".to_owned()].into(),
            everywhere_v6: true,
        },
        untracks: false,
    };
    site.apply_around(&spec(), &everything_ours);
    assert!(is_lost(&beyond, "10.2.9.9", &node), "the control");
    assert!(is_lost(&site.node, "10.1.0.10", &there), "the control");
    assert!(is_lost(&beyond, "fd00:8::2", &node6), "the control");

    site.gateway
        .ip(&format!("link set other0 group {TUN_GROUP}"));
    assert!(arrives(&beyond, "10.2.9.9", &node));
    assert!(arrives(&beyond, "10.2.9.9", &here));
    assert!(arrives(&site.node, "10.1.0.10", &there));
    assert!(arrives(&site.gateway, "10.1.0.1", &there));
    assert!(arrives(&beyond, "fd00:8::2", &node6));
}

#[test]
fn only_what_arrives_at_this_hosts_tunnel_port_gets_the_mark() {
    let (site, wan) = site_and_wan();
    let leased_line = GuardSpec {
        marks_arrivals: true,
        ..spec()
    };
    site.apply_around(&leased_line, &Surroundings::default());
    let (code, text) = site.gateway.run(
        "nft add table inet seen ; add counter inet seen c ; \
         add chain inet seen p { type filter hook prerouting priority 0 ; } ; \
         add rule inet seen p meta mark 0x1057 counter name c",
    );
    assert_eq!(code, 0, "{text}");
    let is_marked = || {
        let (_, text) = site.gateway.run("nft reset counters table inet seen");
        !text.contains("packets 0 ")
    };

    // With the mark, these would pass by our routes.
    let inside = bind(&site.gateway, "10.1.0.1:4600");
    assert!(is_lost(&site.remote, BETA, &inside));
    let endpoint = bind(&site.remote, "10.2.0.2:4600");
    assert!(is_lost(&site.node, "10.1.0.10", &endpoint));
    let other = bind(&site.gateway, "203.0.113.1:4601");
    assert!(arrives(&wan, STRANGER, &other));
    assert!(!is_marked());

    let tunnel = bind(&site.gateway, "203.0.113.1:4600");
    assert!(arrives(&wan, STRANGER, &tunnel));
    assert!(is_marked());
}

#[test]
fn announcements_into_the_tun_are_dropped_and_not_counted() {
    let (site, _wan) = site_and_wan();
    site.gateway.ip("addr add 203.0.113.5/32 dev ringway0");
    site.gateway.ip("route add 224.0.0.251/32 dev ringway0");
    site.apply_around(&spec(), &Surroundings::default());
    let sent = site.gateway.enter(|| {
        let socket = UdpSocket::bind("203.0.113.5:0").unwrap();
        socket.send_to(b"ping", "224.0.0.251:5353")
    });
    assert!(sent.is_err());
    assert_eq!(site.dropped(DropReason::WrongSource), 0);
}

#[test]
fn packets_to_members_leave_by_the_tun_or_not_at_all() {
    let (site, wan) = site_and_wan();
    // The routes into the TUN are gone; the default route leads to the WAN.
    for prefix in ["10.2.0.0/16", "10.3.0.0/16", "fd00:2::/48"] {
        site.gateway.ip(&format!("route del {prefix}"));
    }
    site.gateway.ip("route add default via 203.0.113.2");
    site.gateway.ip("-6 route add default via fd00:9::2");
    assert_members_are_reached_by_the_tun_alone(&site, &wan);
}

#[test]
fn what_comes_out_of_the_tun_is_forwarded_to_the_site_alone() {
    let (site, wan) = site_and_wan();
    let node = bind(&site.node, "10.1.0.10:9");
    let elsewhere = bind(&wan, "10.1.7.7:9");
    wan.ip("addr add fd00:1:0:7::7/128 dev eth0 nodad");
    let elsewhere6 = bind(&wan, "[fd00:1:0:7::7]:9");
    // The WAN's node claims the addresses of beta, so another member sends.
    site.remote.ip("addr add fd00:2::9/128 dev tunnel nodad");
    // Another program's default route takes what the main table does not.
    site.gateway
        .ip("rule add priority 30 to 10.1.7.0/24 lookup 77");
    site.gateway
        .ip("route add default via 203.0.113.2 table 77");
    site.gateway
        .ip("-6 rule add priority 30 to fd00:1:0:7::/64 lookup 77");
    site.gateway
        .ip("-6 route add default via fd00:9::2 table 77");
    assert!(
        arrives(&site.remote, "10.3.0.2", &elsewhere),
        "without the guard"
    );
    assert!(
        arrives(&site.remote, "fd00:2::9", &elsewhere6),
        "without the guard"
    );

    site.apply();
    assert!(is_lost(&site.remote, "10.3.0.2", &elsewhere));
    assert!(is_lost(&site.remote, "fd00:2::9", &elsewhere6));
    assert!(site.dropped(DropReason::Leak) >= 2);
    assert!(arrives(&site.remote, "10.3.0.2", &node));
}

#[test]
fn packets_to_members_do_not_leave_by_a_bridge() {
    let (site, wan) = site_and_wan();
    site.gateway.ip("addr flush dev eth0");
    site.gateway.ip("link add br0 type bridge");
    site.gateway.ip("link set br0 up");
    site.gateway.ip("link set eth0 master br0");
    site.gateway.ip("addr add 203.0.113.1/24 dev br0");
    site.gateway.ip("addr add fd00:9::1/64 dev br0 nodad");
    for prefix in ["10.2.0.0/16", "10.3.0.0/16", "fd00:2::/48"] {
        site.gateway.ip(&format!("route del {prefix}"));
    }
    site.gateway.ip("route add default via 203.0.113.2");
    site.gateway.ip("-6 route add default via fd00:9::2");
    assert_members_are_reached_by_the_tun_alone(&site, &wan);
}

/// There is no TUN, and the default route leads to `wan`, which claims to be a member.
fn assert_members_are_reached_by_the_tun_alone(site: &Site, wan: &Namespace) {
    let beta = bind(wan, "10.2.0.2:9");
    let beta6 = bind(wan, "[fd00:2::2]:9");
    assert!(arrives(&site.node, "10.1.0.10", &beta), "without the guard");
    assert!(
        arrives(&site.gateway, "203.0.113.1", &beta),
        "without the guard"
    );

    site.apply_around(&spec(), &Surroundings::default());
    assert!(is_lost(&site.node, "10.1.0.10", &beta));
    assert!(is_lost(&site.node, "fd00:1::10", &beta6));
    let denied = site.gateway.enter(|| {
        let socket = UdpSocket::bind("203.0.113.1:0").unwrap();
        socket.send_to(b"ping", "10.2.0.2:9")
    });
    assert!(denied.is_err(), "from this host itself");
    assert!(site.dropped(DropReason::Leak) >= 3);

    let marked = site.gateway.enter(|| {
        let socket = UdpSocket::bind("203.0.113.1:0").unwrap();
        let raw = socket2::SockRef::from(&socket);
        raw.set_mark(0x1057).unwrap();
        socket.send_to(b"ping", "10.2.0.2:9")
    });
    assert!(marked.is_ok(), "the tunnel's own packets");
}

#[test]
fn an_interface_that_forwards_for_the_mesh_forwards_nowhere_else() {
    let (site, wan) = site_and_wan();
    let servers = (
        listen(&wan, "203.0.113.2:80"),
        listen(&site.node, "10.1.0.10:7050"),
    );
    connect(&site.node, "10.1.0.10", "203.0.113.2:80");

    let restricted = Surroundings {
        restriction: Restriction {
            v4: ["eth1".to_owned()].into(),
            ..Restriction::default()
        },
        untracks: false,
    };
    site.apply_around(&spec(), &restricted);
    assert!(is_cut(&site.node, "10.1.0.10", "203.0.113.2:80"));
    assert!(site.dropped(DropReason::Transit) >= 1);
    let remote = bind(&site.remote, "10.2.0.2:9");
    assert!(arrives(&site.node, "10.1.0.10", &remote), "into the mesh");
    connect(&site.remote, BETA, "10.1.0.10:7050");

    // Somebody has switched forwarding on for all.
    site.apply_around(&spec(), &Surroundings::default());
    connect(&site.node, "10.1.0.10", "203.0.113.2:80");
    drop(servers);
}

#[test]
fn where_every_interface_had_to_forward_ipv6_only_the_sites_do() {
    let (site, wan) = site_and_wan();
    let beyond = Namespace::new("beyond");
    site.gateway.join("eth2", &beyond, "eth0");
    site.gateway.ip("addr add fd00:8::1/64 dev eth2 nodad");
    beyond.ip("addr add fd00:8::2/64 dev eth0 nodad");
    beyond.ip("-6 route add default via fd00:8::1");
    wan.ip("-6 route add fd00:8::/64 via fd00:9::1");
    let receiver = bind(&beyond, "[fd00:8::2]:9");
    assert!(arrives(&wan, "fd00:9::2", &receiver), "without the guard");

    let everywhere = Surroundings {
        restriction: Restriction {
            v6: ["eth1".to_owned()].into(),
            everywhere_v6: true,
            ..Restriction::default()
        },
        untracks: false,
    };
    site.apply_around(&spec(), &everywhere);
    assert!(is_lost(&wan, "fd00:9::2", &receiver));
    let remote = bind(&site.remote, "[fd00:2::2]:9");
    assert!(arrives(&site.node, "fd00:1::10", &remote), "into the mesh");
}

#[test]
fn bridged_frames_are_nobodys_business() {
    let site = Site::new();
    // The gateway's card in the site is a bridge; another host hangs on it.
    let other = Namespace::new("other");
    site.gateway.ip("addr flush dev eth1");
    site.gateway.ip("link add br0 type bridge");
    site.gateway.ip("link set br0 up");
    site.gateway.ip("link set eth1 master br0");
    site.gateway.ip("addr add 10.1.0.1/24 dev br0");
    site.gateway.join("port1", &other, "eth0");
    site.gateway.ip("link set port1 master br0");
    for address in ["10.1.0.20/24", "10.2.0.9/32", "192.0.2.9/24"] {
        other.ip(&format!("addr add {address} dev eth0"));
    }
    site.node.ip("addr add 192.0.2.10/24 dev eth0");
    let filtered = site
        .gateway
        .enter(|| std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"));
    assert!(filtered.is_ok(), "no bridge netfilter here");

    let mut spec = spec();
    spec.site = ["br0".to_owned()].into();
    let restricted = Surroundings {
        restriction: Restriction {
            v4: spec.site.clone(),
            ..Restriction::default()
        },
        untracks: false,
    };
    site.apply_around(&spec, &restricted);
    let node = bind(&site.node, "10.1.0.10:9");
    let elsewhere = bind(&site.node, "192.0.2.10:9");
    static_neighbour(&site.node, "eth0", &other, "eth0", "10.2.0.9");
    assert!(arrives(&other, "10.1.0.20", &node));
    assert!(
        arrives(&other, "192.0.2.9", &elsewhere),
        "other networks on the same wire"
    );
    assert!(
        arrives(&other, "10.2.0.9", &node),
        "what another gateway has delivered"
    );

    // Nor between bridges, or ports of one, that are none of the site's.
    let strangers = [Namespace::new("one"), Namespace::new("two")];
    site.gateway.ip("link add br1 type bridge");
    site.gateway.ip("link set br1 up");
    for (number, host) in (1..).zip(&strangers) {
        let port = format!("other{number}");
        site.gateway.join(&port, host, "eth0");
        site.gateway.ip(&format!("link set {port} master br1"));
        host.ip(&format!("addr add 10.2.0.{number}/24 dev eth0"));
    }
    let second = bind(&strangers[1], "10.2.0.2:9");
    assert!(arrives(&strangers[0], "10.2.0.1", &second));

    // But what is meant for the gateway itself is its business.
    let here = bind(&site.gateway, "10.1.0.1:9");
    assert!(arrives(&other, "10.1.0.20", &here));
    assert!(is_lost(&other, "10.2.0.9", &here));
}

#[test]
fn the_tunnel_port_is_untracked_where_that_is_asked_for() {
    let (site, wan) = site_and_wan();
    let tracked = || {
        let (code, text) = site.gateway.run("nft -j list counters table inet seen");
        assert_eq!(code, 0, "{text}");
        !text.contains("\"packets\": 0,")
    };
    let (code, text) = site.gateway.run(
        "nft add table inet seen ; add counter inet seen c ; \
         add chain inet seen i { type filter hook input priority 10; } ; \
         add rule inet seen i udp dport 4600 ct state new,established counter name c",
    );
    assert_eq!(code, 0, "{text}");
    let tunnel = bind(&site.gateway, "203.0.113.1:4600");
    let untracking = Surroundings {
        untracks: true,
        ..Surroundings::default()
    };

    site.apply_around(&spec(), &untracking);
    assert!(arrives(&wan, STRANGER, &tunnel));
    assert!(!tracked());
    site.apply_around(&spec(), &Surroundings::default());
    assert!(arrives(&wan, STRANGER, &tunnel));
    assert!(tracked(), "the counter counts nothing");
}
