//! Docker on a gateway's host, with all of its chains: started after the gateway, before it, and
//! again. Containers keep their network while the gateway runs and after its end; the site's hosts
//! keep theirs once the command that `status` names was executed.
//!
//! ```text
//!   container ── docker0 ┐
//!   peer0.org1 ── lan0 ─ gw.org1 ─ wan0 ── wan
//! ```

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::attention::{attention, remedy, wait_until_over};
use ringway_tests::inside::connects;
use ringway_tests::scene::eventually;
use ringway_tests::{Container, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// The router of the gateway on the WAN.
const OUTSIDE: &str = "203.0.113.5";

/// What Docker 20.10 (Debian 12) does for its default network: forwarding, chains, address
/// translation. What is there already is kept, as Docker does.
pub(crate) const DOCKER: &str = "
    ip link add docker0 type bridge 2>/dev/null && ip address add 172.17.0.1/16 dev docker0 || true
    ip link set docker0 up
    if [ \"$(cat /proc/sys/net/ipv4/ip_forward)\" = 0 ]; then
        echo 1 >/proc/sys/net/ipv4/ip_forward
        iptables -P FORWARD DROP
    fi
    for chain in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2; do
        iptables -N $chain 2>/dev/null || iptables -F $chain
    done
    iptables -t nat -N DOCKER 2>/dev/null || iptables -t nat -F DOCKER
    once() { iptables -C \"$@\" 2>/dev/null || iptables -A \"$@\"; }
    first() { iptables -D \"$@\" 2>/dev/null || true; iptables -I \"$@\"; }
    iptables -t nat -C PREROUTING -m addrtype --dst-type LOCAL -j DOCKER 2>/dev/null ||
        iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    iptables -t nat -C POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE 2>/dev/null ||
        iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
    iptables -t nat -A DOCKER -i docker0 -j RETURN
    iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
    iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
    iptables -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
    iptables -A DOCKER-ISOLATION-STAGE-2 -j RETURN
    once FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    once FORWARD -o docker0 -j DOCKER
    once FORWARD -i docker0 ! -o docker0 -j ACCEPT
    once FORWARD -i docker0 -o docker0 -j ACCEPT
    first FORWARD -j DOCKER-ISOLATION-STAGE-1
    iptables -N DOCKER-USER 2>/dev/null && iptables -A DOCKER-USER -j RETURN || true
    first FORWARD -j DOCKER-USER";

/// What `status` advises; the other test takes it from there.
pub(crate) const OPEN: &str = "iptables -I DOCKER-USER -i ringway0 -j ACCEPT; \
                    iptables -I DOCKER-USER -o ringway0 -j ACCEPT";

/// `docker run --publish`, twice.
const PUBLISH: &str = "
    for port in 8080 2222; do
        iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport $port \
            -j DNAT --to-destination 172.17.0.2:$port
        iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport $port -j ACCEPT
    done";

/// A rule of the laboratory allows it.
const ALLOWED: u16 = 8080;
/// No rule does.
const DENIED: u16 = 2222;

#[test]
fn containers_and_the_site_have_their_network_in_any_order_of_starting() {
    let mut scene = Scene::new("docker", RINGWAY);
    scene.sh(GATEWAY, DOCKER);
    let container = Container::start(&scene, GATEWAY, "docker0", "172.17.0.2/16", "172.17.0.1");
    assert_container_works(&scene, &container, "started later");

    let remedy = remedy(&scene, GATEWAY, "foreign filter ip filter FORWARD");
    let blocked = scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert_ne!(blocked, Outcome::Reply, "the policy does not drop");
    scene.sh(GATEWAY, &remedy);
    assert_site_works(&scene);
    wait_until_over(&scene, GATEWAY, "FORWARD");

    // Docker restarts: what the operator has put into DOCKER-USER stays.
    scene.sh(GATEWAY, DOCKER);
    assert_site_works(&scene);
    assert_container_works(&scene, &container, "Docker started again");

    scene.stop(GATEWAY);
    assert_container_works(&scene, &container, "after the gateway's end");
    scene.start(GATEWAY).expect("gw.org1 starts");
    scene.wait_until_joined().expect("the tunnels come up");
    assert_site_works(&scene);
    assert_container_works(&scene, &container, "started before");
    assert_eq!(attention(&scene, GATEWAY), "[]");

    // The restriction to the mesh has gone with Docker's start, so that what it allows passes.
    let forward = scene.output(GATEWAY, "cat", &["/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(forward.trim(), "1");
    scene.close();
}

/// A member writes to the gateway's host, and Docker hands that to the container; the container
/// writes to a member, and Docker gives it the host's address.
#[test]
fn a_published_port_is_reached_by_the_rules_and_a_container_reaches_members() {
    let scene = Scene::new("published", RINGWAY);
    scene.sh(GATEWAY, DOCKER);
    scene.sh(GATEWAY, OPEN);
    scene.sh(GATEWAY, PUBLISH);
    let container = Container::start(&scene, GATEWAY, "docker0", "172.17.0.2/16", "172.17.0.1");
    let _allowed = container.serve(&scene, "allowed", ALLOWED);
    let _denied = container.serve(&scene, "denied", DENIED);

    eventually("the published port to be reached", 5, || {
        connects(&scene, "peer0.org2", "10.10.1.1", ALLOWED)
    });
    assert!(connects(&scene, "peer0.org1", "10.10.1.1", DENIED));
    assert!(!connects(&scene, "peer0.org2", "10.10.1.1", DENIED));
    assert!(container.reaches(&scene, "10.10.2.11"));
    scene.close();
}

fn assert_container_works(scene: &Scene, container: &Container, when: &str) {
    // The restriction goes within a second of another program's switch.
    eventually(when, 3, || container.reaches(scene, OUTSIDE));
}

fn assert_site_works(scene: &Scene) {
    for (from, family, to) in [
        ("peer0.org1", Family::V4, "10.10.2.11"),
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        let limit = Duration::from_secs(2);
        scene.ping_until(from, to, family, &Outcome::Reply, limit);
    }
}
