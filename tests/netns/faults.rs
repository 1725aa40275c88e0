//! The devices under a running gateway are taken away: the daemon goes on, its sessions live on, and packets flow
//! again soon.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::time::Duration;

use anyhow::bail;
use ringway_lab::ping::{self, Family, Outcome};
use ringway_tests::scene::{eventually, eventually_ok};
use ringway_tests::{Flow, Scene};
use serde_json::Value;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// From the fault to the first reply.
const CONTRACT: Duration = Duration::from_secs(2);

/// What happens to the TUN device of gw.org1, by `ip`, and what its log calls it.
const FAULTS: [(&str, &str); 5] = [
    ("link set ringway0 down", "set down"),
    ("link delete ringway0", "deleted"),
    ("link set ringway0 carrier off", "set down"),
    ("link set ringway0 name stolen0", "renamed"),
    (
        "link set ringway0 netns AWAY",
        "moved to another network namespace",
    ),
];

#[test]
fn a_tun_device_that_is_taken_away_is_back_within_two_seconds() {
    let scene = Scene::new("tun", RINGWAY);
    let (daemon, since) = (
        scene.process("gw.org1").expect("it was started"),
        since(&scene, "gw.org1"),
    );
    let flow = Flow::start(&scene, "peer0.org2", "peer0.org1");
    let routes = settled_routes(&scene);
    for (mended, (fault, reason)) in (1..).zip(FAULTS) {
        let logged = scene.logged("gw.org1").len();
        assert!(ip(&scene, "gw.org1", fault), "{fault}");
        reaches_both_ways(&scene, fault);
        eventually_ok("the routes as before", 10, || match self::routes(&scene) {
            now if now == routes => Ok(()),
            now => bail!("{fault}: {routes:?} before, {now:?} now"),
        });
        assert_eq!(scene.status("gw.org1")["tun_mended"], mended, "{fault:?}");
        let said = scene.logged("gw.org1").split_off(logged);
        assert!(
            said.contains(&format!("reason=\"{reason}\"")),
            "{fault}: {said}"
        );
    }
    let denied = || {
        scene.status("gw.org1")["filtered"]["denied"]
            .as_u64()
            .unwrap_or(0)
    };
    let before = denied();
    scene.output("peer0.org2", "bash", &["-c", "echo >/dev/udp/10.10.1.11/9"]);
    eventually("the policy to drop what it does not allow", 5, || {
        denied() > before
    });
    assert!(daemon.is_alive(), "the daemon goes on");
    assert_eq!(
        self::since(&scene, "gw.org1"),
        since,
        "the session was never lost"
    );
    assert_eq!(
        scene.logged("gw.org1").matches("it is up again").count(),
        FAULTS.len()
    );
    assert_eq!(
        scene.output("wan", "ip", &["link", "show", "type", "tun"]),
        "",
        "nothing is left behind"
    );
    println!("{:?}", flow.stop());
    scene.close();
}

#[test]
fn another_device_in_the_place_of_the_tun_device_is_told_and_outlived() {
    let scene = Scene::new("stolen", RINGWAY);
    let daemon = scene.process("gw.org1").expect("it was started");
    // The daemon may be quicker; it pauses then.
    eventually("another device to bear the name", 10, || {
        ip(&scene, "gw.org1", "link set ringway0 netns AWAY")
            && ip(&scene, "gw.org1", "link add ringway0 type veth")
    });
    eventually("the daemon to say so", 5, || {
        let log = scene.logged("gw.org1");
        log.contains("no packet moves") && log.contains("device ringway0 exists")
    });
    assert!(ip(&scene, "gw.org1", "link delete ringway0"), "it goes");
    reaches_both_ways(&scene, "another device");
    assert!(daemon.is_alive(), "the daemon goes on");
    scene.close();
}

/// `ip` at a gateway; AWAY is a network namespace in which nobody misses a device. True if it succeeded.
fn ip(scene: &Scene, gateway: &str, arguments: &str) -> bool {
    let away = &scene.node("wan").expect("the WAN").netns;
    let mut ip = scene.command(gateway, "ip").expect("a gateway");
    ip.args(arguments.replace("AWAY", away).split(' '))
        .status()
        .is_ok_and(|status| status.success())
}

/// IPv4 to and from gw.org2 is cut: its tunnels run over IPv6.
const SIX_TO_ORG2: &str = "table ip cut {
    chain through { type filter hook forward priority 0; policy accept;
        ip saddr 203.0.113.10 drop
        ip daddr 203.0.113.10 drop
    }
}";

/// An address on the WAN, and the router there.
struct Outside {
    gateway: &'static str,
    address: &'static str,
    router: &'static str,
}

const V4: Outside = Outside {
    gateway: "gw.org1",
    address: "203.0.113.6/30",
    router: "203.0.113.5",
};
const V6: Outside = Outside {
    gateway: "gw.org2",
    address: "2001:db8:0:2::2/64",
    router: "2001:db8:0:2::1",
};
/// What becomes of them; the WAN is told of the first.
const NEW_V4: Outside = Outside {
    address: "203.0.113.130/32",
    ..V4
};
const NEW_V6: Outside = Outside {
    address: "2001:db8:0:2::99/64",
    ..V6
};

/// Longer than QUIC holds out without hearing anything, s.
const IDLE: u64 = 12;
/// Pings of a flow in a second.
const RATE: usize = 20;

/// gw.org0, whose identity is the lowest, has dialled the others: QUIC does not follow the one who was dialled.
#[test]
fn the_wan_addresses_of_dialled_gateways_change_under_traffic() {
    let scene = Scene::new("wan", RINGWAY);
    runs_over_ipv6_to_org2(&scene);
    let daemons = [V4, V6].map(|old| scene.process(old.gateway).expect("it was started"));
    let sinces = [V4, V6].map(|old| since(&scene, old.gateway));
    let hosts = [("peer0.org1", "10.10.1.11"), ("peer0.org2", "10.10.2.11")];
    let flows = hosts.map(|(host, _)| Flow::start(&scene, "orderer0.org0", host));
    scene.output(
        "wan",
        "ip",
        &["route", "add", NEW_V4.address, "dev", "org1"],
    );
    for (old, new) in [(&V4, &NEW_V4), (&V6, &NEW_V6)] {
        scene.output(
            old.gateway,
            "ip",
            &["address", "add", new.address, "dev", "wan0"],
        );
        leaves_from(&scene, new);
        scene.output(
            old.gateway,
            "ip",
            &["address", "delete", old.address, "dev", "wan0"],
        );
        leaves_from(&scene, new);
    }
    for (host, address) in hosts {
        ping::until(
            &scene,
            "orderer0.org0",
            address,
            Family::V4,
            &Outcome::Reply,
            CONTRACT,
        )
        .unwrap_or_else(|error| panic!("{host}: {error:#}"));
    }
    let replies = flows.each_ref().map(|flow| flow.replies());
    eventually("the old connections to be over", 3 * IDLE, || {
        let went_on =
            |(flow, before): (&Flow, usize)| flow.replies() > before + IDLE as usize * RATE;
        flows.iter().zip(replies).all(went_on)
    });
    assert!(
        daemons.iter().all(|daemon| daemon.is_alive()),
        "the daemons go on"
    );
    assert_eq!(
        [V4, V6].map(|old| since(&scene, old.gateway)),
        sinces,
        "no tunnel was ever down"
    );
    for flow in flows {
        let tally = flow.stop();
        println!("{tally:?}");
        assert!(
            tally.lost <= CONTRACT.as_secs() as usize * RATE,
            "{tally:?}"
        );
    }
    scene.close();
}

/// What comes from a gateway leaves from this address, as soon as the kernel takes it for its own.
fn leaves_from(scene: &Scene, outside: &Outside) {
    let (address, _) = outside
        .address
        .split_once('/')
        .expect("an address with its prefix length");
    let route = format!(
        "route replace default via {} dev wan0 onlink src {address}",
        outside.router
    );
    eventually("the address to be good", 5, || {
        ip(scene, outside.gateway, &route)
    });
}

/// With the interface, its IPv6 addresses vanish; who set them sets them again.
#[test]
fn an_interface_that_comes_back_is_used_again() {
    let scene = Scene::new("down", RINGWAY);
    runs_over_ipv6_to_org2(&scene);
    let daemons = [V4, V6].map(|outside| scene.process(outside.gateway).expect("it was started"));
    for outside in [V4, V6] {
        let Outside {
            gateway, address, ..
        } = outside;
        scene.output(gateway, "ip", &["link", "set", "wan0", "down"]);
        eventually("the tunnel to be lost", 5, || {
            !scene.is_up("gw.org0", gateway)
        });
        scene.output(gateway, "ip", &["link", "set", "wan0", "up"]);
        scene.output(
            gateway,
            "ip",
            &["address", "replace", address, "dev", "wan0"],
        );
        leaves_from(&scene, &outside);
        let from = format!("peer0.{}", gateway.trim_start_matches("gw."));
        ping::until(
            &scene,
            &from,
            "10.10.0.11",
            Family::V4,
            &Outcome::Reply,
            CONTRACT,
        )
        .unwrap_or_else(|error| panic!("{gateway}: {error:#}"));
    }
    assert!(
        daemons.iter().all(|daemon| daemon.is_alive()),
        "the daemons go on"
    );
    scene.close();
}

/// What gw.org2 is reached by when this returns: a ping has no other way to it.
fn runs_over_ipv6_to_org2(scene: &Scene) {
    scene.output("wan", "nft", &[SIX_TO_ORG2]);
    for from in ["orderer0.org0", "peer0.org1"] {
        let limit = Duration::from_secs(20);
        ping::until(
            scene,
            from,
            "10.10.2.11",
            Family::V4,
            &Outcome::Reply,
            limit,
        )
        .unwrap_or_else(|error| panic!("over IPv6: {error:#}"));
    }
}

/// In both families.
fn reaches_both_ways(scene: &Scene, fault: &str) {
    for (from, family, to) in [
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V4, "10.10.0.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        ping::until(scene, from, to, family, &Outcome::Reply, CONTRACT)
            .unwrap_or_else(|error| panic!("{fault}: {error:#}"));
    }
}

/// The routes of gw.org1 once all are installed, with what their paths were found to take.
fn settled_routes(scene: &Scene) -> [String; 2] {
    eventually("all routes", 10, || {
        let status = scene.status("gw.org1");
        let all = |what: &str, good: &dyn Fn(&Value) -> bool| {
            status[what].as_array().expect("a list").iter().all(good)
        };
        all("routes", &|route| {
            route["org"] == "org1" || route["installed"] == true
        }) && all("tunnels", &|tunnel| tunnel["path_mtu"] == 1500)
    });
    // The kernel follows a moment later.
    let widest = |routes: &String| {
        routes
            .lines()
            .filter(|line| line.contains("dev ringway0"))
            .all(|line| line.contains("mtu 1440"))
    };
    eventually("the routes to have the paths' MTU", 5, || {
        routes(scene).iter().all(widest)
    });
    routes(scene)
}

/// Those of gw.org1, without the device's number.
fn routes(scene: &Scene) -> [String; 2] {
    ["-4", "-6"]
        .map(|family| scene.output("gw.org1", "ip", &[family, "route", "show", "table", "4600"]))
}

/// When the session between gw.org0 and `gateway` came up.
fn since(scene: &Scene, gateway: &str) -> Value {
    scene.tunnel("gw.org0", gateway).expect("a tunnel")["since"].clone()
}
