//! What is left when a gateway has ended, and while its TUN device bears another name: the site's
//! hosts get an answer at once, nothing leaves, nothing that was denied opens, and forwarding stays
//! for others.

use std::time::{Duration, Instant};

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::inside::connects;
use ringway_tests::{Background, Capture, Container, Scene};

use crate::{PRIVATE, RINGWAY};

const GATEWAY: &str = "gw.org1";

/// No rule allows it.
const DENIED: u16 = 2222;
/// A rule for Fabric allows it.
const ALLOWED: u16 = 7051;

#[test]
fn after_a_gateways_end_its_site_fails_fast_and_leaks_nothing() {
    let mut scene = Scene::without_wan_filter("ended", RINGWAY);
    let outside = Capture::headers(&scene, GATEWAY, "wan0");

    for _ in 0..2 {
        scene.stop(GATEWAY);
        assert_fails_fast(&scene);
        scene.start(GATEWAY).expect("gw.org1 starts");
        scene.wait_until_joined().expect("the tunnels come up");
    }
    scene.stop(GATEWAY);
    // On a host that forwards anyway, too.
    scene.sh(
        GATEWAY,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
         sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
    );
    assert_fails_fast(&scene);
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    scene.close();
}

/// A host of the site gets an answer within a second: no connection hangs.
fn assert_fails_fast(scene: &Scene) {
    for (family, to) in [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")] {
        let begin = Instant::now();
        let outcome = scene.ping("peer0.org1", to, family);
        assert_eq!(outcome, Outcome::Unreachable, "{to}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{to}");
    }
}

#[test]
fn after_a_gateways_end_others_on_its_host_keep_forwarding() {
    let scene = Scene::new("ended-others", RINGWAY);
    scene.sh(
        GATEWAY,
        "ip link add cni0 type bridge; ip address add 172.18.0.1/16 dev cni0; \
         ip link set cni0 up; echo 1 >/proc/sys/net/ipv4/ip_forward; \
         iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o cni0 -j MASQUERADE",
    );
    let container = Container::start(&scene, GATEWAY, "cni0", "172.18.0.2/16", "172.18.0.1");
    ringway_tests::scene::eventually("the container's network", 3, || {
        container.reaches(&scene, "203.0.113.5")
    });

    scene.stop(GATEWAY);
    assert!(container.reaches(&scene, "203.0.113.5"));
    assert_fails_fast(&scene);
    let purge = || program::output(&mut scene.ringway(GATEWAY, &["purge"])).expect("none runs");
    let purged = purge();
    assert!(
        purged.starts_with("removed from the kernel: nftables table inet ringway0, "),
        "{purged}"
    );
    assert!(container.reaches(&scene, "203.0.113.5"), "purged");
    assert_eq!(purge(), "nothing of this gateway is in the kernel\n");
    scene.close();
}

#[test]
fn a_denied_port_stays_closed_while_the_tun_device_bears_another_name() {
    let scene = Scene::new("renamed-tun", RINGWAY);
    let mut servers = Vec::new();
    for node in ["peer0.org1", GATEWAY] {
        let port = DENIED.to_string();
        let arguments = ["-s", "-p", &port];
        servers.push(Background::server(
            &scene, node, DENIED, "iperf3", &arguments,
        ));
    }
    let port = ALLOWED.to_string();
    let arguments = ["-s", "-p", &port];
    servers.push(Background::server(
        &scene,
        "peer0.org1",
        ALLOWED,
        "iperf3",
        &arguments,
    ));
    assert!(
        connects(&scene, "peer1.org1", "10.10.1.11", DENIED),
        "the control"
    );

    for turn in 0..3 {
        scene.sh(GATEWAY, &format!("ip link set ringway0 name other{turn}"));
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert!(!connects(&scene, "orderer0.org0", "10.10.1.11", DENIED));
            assert!(!connects(&scene, "orderer0.org0", "10.10.1.1", DENIED));
        }
        ringway_tests::scene::eventually("the allowed port", 5, || {
            connects(&scene, "orderer0.org0", "10.10.1.11", ALLOWED)
        });
        ringway_tests::scene::eventually("the name", 5, || {
            let shown = scene.output_of_any_exit(GATEWAY, "ip", &["-br", "link"]);
            shown.contains("ringway0")
        });
    }
    scene.close();
}
