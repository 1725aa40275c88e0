//! The prefixes of a member that was removed: its hosts are not reachable any more, and packets to
//! them never leave by the default route, also after a restart and after other programs have
//! removed rules and routes.

use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Capture, Scene};

use crate::{PRIVATE, RINGWAY};

const GATEWAY: &str = "gw.org1";

/// Hosts of the removed member.
const HOSTS: [(Family, &str); 2] = [(Family::V4, "10.10.2.11"), (Family::V6, "fd00:10:2::11")];

#[test]
fn packets_to_a_removed_members_prefixes_never_leave_by_the_default_route() {
    let mut scene = Scene::without_wan_filter("removed", RINGWAY);
    // A host that forwards anyway, and answers each packet.
    scene.sh(
        GATEWAY,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
         sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
    );
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    let pings = HOSTS.map(|(_, to)| ping_steadily(&scene, to));

    let mut remove = scene.ringway(GATEWAY, &["member", "remove", "org2"]);
    program::output(&mut remove).expect("org2 is a member");
    scene.reload(GATEWAY);
    eventually("the tunnel to be gone", 5, || {
        scene.tunnel(GATEWAY, "gw.org2").is_none()
    });
    assert_refused(&scene);

    scene.stop(GATEWAY);
    assert_refused(&scene);
    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("the other tunnel", 15, || scene.is_up("gw.org0", GATEWAY));
    assert_refused(&scene);

    scene.kill(GATEWAY).expect("gw.org1 runs");
    scene.start(GATEWAY).expect("gw.org1 starts");
    eventually("the other tunnel", 15, || scene.is_up("gw.org0", GATEWAY));
    scene.reload(GATEWAY);
    scene.sh(
        GATEWAY,
        "ip route flush table 4600; ip -6 route flush table 4600",
    );
    assert_refused(&scene);
    for ping in pings {
        ping.stop(Signal::SIGINT);
    }
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);

    assert_purged_leaks(&scene);
    scene.close();
}

/// The control: without what the gateway leaves behind, the same packets leave.
fn assert_purged_leaks(scene: &Scene) {
    scene.stop(GATEWAY);
    program::output(&mut scene.ringway(GATEWAY, &["purge"])).expect("no gateway runs");

    let outside = Capture::headers(scene, GATEWAY, "wan0");
    for (family, to) in HOSTS {
        scene.ping("peer0.org1", to, family);
    }
    let outside = outside.stop();
    for (_, to) in HOSTS {
        assert!(
            !outside.matching(&format!("dst host {to}")).is_empty(),
            "{to}"
        );
    }
}

/// From another host than those whose answers count: the kernel limits how many errors it sends to
/// one host.
fn ping_steadily(scene: &Scene, to: &str) -> Background {
    let label = format!("pings-{}", to.replace(':', "-"));
    Background::start(
        scene,
        "peer1.org1",
        &label,
        "ping",
        &["-n", "-i", "0.02", to],
    )
}

fn assert_refused(scene: &Scene) {
    for (family, to) in HOSTS {
        let limit = Duration::from_secs(3);
        scene.ping_until("peer0.org1", to, family, &Outcome::Unreachable, limit);
    }
}
