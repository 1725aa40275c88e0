//! Filters that iptables-legacy has set, which nftables does not show: they are seen, and the
//! command that `check`, `status` and the log name opens them.

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::attention::{remedy, wait_until_over};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// What an operator's script of old does. Answers pass, and so do the host's containers.
const SCRIPT: &str = "
    for t in iptables ip6tables; do
        $t-legacy -P FORWARD DROP
        $t-legacy -N hosts
        $t-legacy -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        $t-legacy -A FORWARD -i docker0 -j hosts
        $t-legacy -A FORWARD -p tcp --dport 22 -j ACCEPT
        $t-legacy -A hosts -j ACCEPT
    done";

#[test]
fn a_policy_of_iptables_legacy_is_seen_and_the_named_commands_open_it() {
    let scene = Scene::beside_others("legacy", RINGWAY);
    scene.sh(GATEWAY, SCRIPT);

    for (program, family, to) in [
        ("iptables-legacy", Family::V4, "10.10.2.11"),
        ("ip6tables-legacy", Family::V6, "fd00:10:2::11"),
    ] {
        let blocked = scene.ping("peer0.org1", to, family);
        assert_ne!(blocked, Outcome::Reply, "the policy does not drop");
        let name = format!("foreign filter {program} FORWARD");
        let remedy = remedy(&scene, GATEWAY, &name);
        assert!(scene.logged(GATEWAY).contains(&remedy), "{remedy}");
        let check = scene
            .ringway(GATEWAY, &["check"])
            .output()
            .expect("it starts");
        let check = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.contains(&remedy), "{remedy} is not in {check}");

        scene.sh(GATEWAY, &remedy);
        let limit = Duration::from_secs(2);
        scene.ping_until("peer0.org1", to, family, &Outcome::Reply, limit);
        wait_until_over(&scene, GATEWAY, &name);
    }
    scene.close();
}

#[test]
fn rules_of_iptables_legacy_about_dns_and_the_tunnel_port_are_seen() {
    let scene = Scene::beside_others("legacy-input", RINGWAY);
    scene.sh(
        GATEWAY,
        "iptables-legacy -A INPUT -i lo -j ACCEPT; \
         iptables-legacy -A INPUT -p udp --dport 4600 -j ACCEPT; \
         iptables-legacy -P INPUT DROP",
    );
    let remedy = remedy(&scene, GATEWAY, "foreign filter iptables-legacy INPUT");
    assert!(!is_served(&scene), "the policy does not drop");

    scene.sh(GATEWAY, &remedy);
    assert!(is_served(&scene), "{remedy}");
    wait_until_over(&scene, GATEWAY, "INPUT");
    scene.close();
}

fn is_served(scene: &Scene) -> bool {
    let name = "peer1.org1.consortium.example";
    let dig = ["@10.10.1.1", "+short", "+tries=2", "+timeout=1", name];
    let printed = scene.output_of_any_exit("peer0.org1", "dig", &dig);
    printed.trim() == "10.10.1.12"
}
