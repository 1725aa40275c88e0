//! Other programs change what a running gateway has set in the kernel: it is restored within a
//! second, told once by its name, and nothing private leaves meanwhile. What they set in the
//! gateway's way is seen, and the command that `status` names opens it.
//!
//! ```text
//!   peer0.org1 ── lan0 gw.org1 wan0 ── wan ── gw.org2 ── peer0.org2
//!                      └ nft, ip, sysctl, iptables of others
//! ```

use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::attention::{self, attention, wait_until_over};
use ringway_tests::scene::{eventually, eventually_ok};
use ringway_tests::{Capture, Flow, Scene};

use crate::{PRIVATE, RINGWAY};

const GATEWAY: &str = "gw.org1";

/// Limit from a change to its restoration: a second, and what a loaded machine needs for it.
const CONTRACT: Duration = Duration::from_secs(2);

/// What networkd does with rules and routes that it did not make.
const REMOVE_ROUTES: &str = "ip rule del priority 4600; ip -6 rule del priority 4600; \
     ip route flush table 4600; ip -6 route flush table 4600";

/// The first line of Debian's own /etc/nftables.conf after the interpreter's, and its chains.
const DEBIAN_NFTABLES: &str = "flush ruleset
table inet filter {
    chain input { type filter hook input priority filter; }
    chain forward { type filter hook forward priority filter; }
    chain output { type filter hook output priority filter; }
}";

/// What Docker makes of the forward hook at its start, without its NAT.
const DOCKER: &str = "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -N DOCKER; \
     iptables -A DOCKER-USER -j RETURN; iptables -A FORWARD -j DOCKER-USER; \
     iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; \
     iptables -A FORWARD -o docker0 -j DOCKER; \
     iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT; \
     iptables -A FORWARD -i docker0 -o docker0 -j ACCEPT";

#[test]
fn removed_rules_and_routes_are_back_within_a_second_and_nothing_leaks() {
    let scene = Scene::without_wan_filter("watch-routes", RINGWAY);
    // This host forwards anyway.
    sh(
        &scene,
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    let flow = Flow::start(&scene, "peer0.org1", "peer0.org2");
    let before = routes(&scene);

    for turn in 1..=3 {
        sh(&scene, REMOVE_ROUTES);
        restored(&scene, "the rules and routes", || routes(&scene) == before);
        assert!(
            count(&scene, "rule") >= 2 * turn,
            "{}",
            scene.status(GATEWAY)
        );
    }
    assert_reachable(&scene);
    assert!(count(&scene, "routes") >= 3);
    let log = scene.logged(GATEWAY);
    for name in [
        "ip rule 4600 (IPv4)",
        "ip rule 4600 (IPv6)",
        "routes of table 4600",
    ] {
        assert!(log.contains(name), "{name} is not in the log");
    }
    drop(flow);
    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);

    // The control: without the daemon, the same removal leads private packets to the WAN.
    let daemon = scene.process(GATEWAY).expect("gw.org1 runs");
    daemon.signal(Signal::SIGSTOP);
    let outside = Capture::headers(&scene, GATEWAY, "wan0");
    sh(&scene, &format!("nft flush ruleset; {REMOVE_ROUTES}"));
    scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert!(
        !outside.stop().matching(PRIVATE).is_empty(),
        "the capture sees no leaks"
    );
    daemon.signal(Signal::SIGCONT);
    assert_reachable(&scene);
    scene.close();
}

#[test]
fn a_flushed_ruleset_is_back_within_a_second_and_names_the_program() {
    let scene = Scene::new("watch-nftables", RINGWAY);
    let before = table(&scene);
    assert!(before.contains("chain"), "{before}");

    for (turn, command) in (1..).zip([
        format!("nft -f - <<'END'\n{DEBIAN_NFTABLES}\nEND"),
        "nft flush table inet ringway0".to_owned(),
        "nft delete table inet ringway0".to_owned(),
        "nft insert rule inet ringway0 forward accept".to_owned(),
        "nft 'add table inet ringway0 { flags dormant; }'".to_owned(),
    ]) {
        sh(&scene, &command);
        restored(&scene, &command, || table(&scene) == before);
        eventually("the count", 5, || count(&scene, "table") == turn);
    }
    let log = scene.logged(GATEWAY);
    let line = log
        .lines()
        .find(|line| line.contains("nftables table inet ringway0"));
    assert!(
        line.is_some_and(|line| line.contains("by=\"nft\"")),
        "{log}"
    );

    // Transactions of others in tables of their own are none of our business.
    for _ in 0..5 {
        sh(
            &scene,
            "nft add table inet others; nft delete table inet others",
        );
    }
    assert_reachable(&scene);
    assert_eq!(count(&scene, "table"), 5);
    scene.close();
}

#[test]
fn forwarding_that_a_sysctl_reload_ends_is_back_within_a_second() {
    let scene = Scene::new("watch-sysctl", RINGWAY);
    for setting in ["net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"] {
        sh(&scene, &format!("sysctl -qw {setting}"));
        assert_reachable(&scene);
    }
    eventually("a restored setting", 5, || count(&scene, "setting") > 0);
    assert!(scene.logged(GATEWAY).contains("forward"));
    scene.close();
}

#[test]
fn the_tuns_mtu_queue_group_and_ipv6_are_back_within_a_second() {
    let scene = Scene::new("watch-mtu", RINGWAY);
    let before = routes(&scene);

    // Below 1280, the kernel ends IPv6 on the device.
    for mtu in [1400, 1200] {
        sh(&scene, &format!("ip link set ringway0 mtu {mtu}"));
        restored(&scene, "the routes", || routes(&scene) == before);
        let link = scene.output(GATEWAY, "ip", &["link", "show", "ringway0"]);
        assert!(link.contains("mtu 1440"), "{link}");
        assert_reachable(&scene);
    }
    eventually("both to be counted", 5, || count(&scene, "mtu") == 2);

    // Without a queue the device drops everything, without its group the guard does.
    for change in ["txqueuelen 0", "group 0"] {
        sh(&scene, &format!("ip link set ringway0 {change}"));
        assert_reachable(&scene);
    }
    eventually("both to be counted", 5, || {
        count(&scene, "queue") == 1 && count(&scene, "group") == 1
    });

    sh(&scene, "sysctl -qw net.ipv6.conf.ringway0.disable_ipv6=1");
    restored(&scene, "the routes", || routes(&scene) == before);
    assert_reachable(&scene);

    // The interfaces to the site are the host's own: that is reported.
    let is_off = || attention(&scene, GATEWAY).contains("IPv6 is switched off");
    sh(&scene, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    eventually("the finding", 5, is_off);
    sh(&scene, "sysctl -qw net.ipv6.conf.all.disable_ipv6=0");
    eventually("its end", 5, || !is_off());
    scene.close();
}

#[test]
fn a_program_that_changes_a_thing_again_and_again_is_reported() {
    let scene = Scene::new("watch-fight", RINGWAY);
    eventually("an alarm", 60, || {
        _ = scene.output_of_any_exit(GATEWAY, "ip", &["rule", "del", "priority", "4600"]);
        attention(&scene, GATEWAY).contains("again and again")
    });
    assert!(count(&scene, "rule") >= 10);

    assert!(attention(&scene, GATEWAY).contains("once a second at most"));

    // It goes on, and does not cut the site off for longer than a second each time.
    let before = count(&scene, "rule");
    sh(&scene, "ip rule del priority 4600 || true");
    restored(&scene, "the rule", || count(&scene, "rule") > before);
    assert_reachable(&scene);
    assert!(
        !attention(&scene, GATEWAY).contains("route IP"),
        "{}",
        attention(&scene, GATEWAY)
    );
    scene.close();
}

#[test]
fn dockers_policy_is_seen_and_the_named_command_opens_it() {
    let scene = Scene::new("watch-docker", RINGWAY);
    sh(&scene, DOCKER);
    let remedy = attention::remedy(&scene, GATEWAY, "foreign filter ip filter FORWARD");
    assert!(
        remedy.contains("iptables -I DOCKER-USER -i ringway0 -j ACCEPT"),
        "{remedy}"
    );
    let blocked = scene.ping("peer0.org1", "10.10.2.11", Family::V4);
    assert_ne!(blocked, Outcome::Reply, "the policy does not drop");

    let check = scene.ringway(GATEWAY, &["check"]).output().unwrap();
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains("DOCKER-USER"), "{check}");

    sh(&scene, &remedy);
    wait_until_over(&scene, GATEWAY, "FORWARD");
    assert_reachable(&scene);
    scene.close();
}

/// What ufw does when it is enabled: answers come in because they are tracked.
const DENY_INCOMING: &str = "nft -f - <<'END'
table inet deny {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname lo accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp } accept
        udp sport 67 udp dport 68 accept
    }
}
END";

#[test]
fn tunnels_continue_when_an_input_filter_with_policy_drop_is_added_later() {
    let scene = Scene::new("watch-deny", RINGWAY);
    let since = scene.up_since("gw.org0", GATEWAY);
    sh(&scene, DENY_INCOMING);
    assert_reachable(&scene);
    let list = sh_output(&scene, "nft list table inet ringway0");
    assert!(!list.contains("notrack"), "{list}");
    assert_eq!(scene.up_since("gw.org0", GATEWAY), since);

    let remedy = attention::remedy(&scene, GATEWAY, "foreign filter inet deny input");
    sh(&scene, &remedy);
    wait_until_over(&scene, GATEWAY, &remedy);
    sh(&scene, "nft delete table inet deny");
    assert_sees_denied_output(&scene, since);
    eventually("packets to pass untracked again", 5, || {
        sh_output(&scene, "nft list table inet ringway0").contains("notrack")
    });
    scene.close();
}

/// As a host that lets out only what it knows: answers to peers go out because they are tracked.
const DENY_OUTGOING: &str = "nft -f - <<'END'
table inet deny {
    chain output {
        type filter hook output priority filter; policy drop;
        oifname lo accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp } accept
        udp dport { 53, 123 } accept
    }
}
END";

fn assert_sees_denied_output(scene: &Scene, since: serde_json::Value) {
    sh(scene, DENY_OUTGOING);
    let remedy = attention::remedy(scene, GATEWAY, "foreign filter inet deny output");
    assert!(remedy.contains("udp dport"), "{remedy}");
    assert_reachable(scene);
    assert_eq!(scene.up_since("gw.org0", GATEWAY), since);

    sh(scene, &remedy);
    wait_until_over(scene, GATEWAY, &remedy);
    sh(scene, "nft delete table inet deny");
}

fn sh_output(scene: &Scene, command: &str) -> String {
    scene.output(GATEWAY, "bash", &["-c", command])
}

#[test]
fn a_foreign_rule_before_ours_is_seen_and_the_named_command_helps() {
    let scene = Scene::new("watch-rule", RINGWAY);
    // As AWS VPC CNI does for its pods.
    sh(
        &scene,
        "ip route add default dev wan0 table 99; \
         ip rule add from 10.10.1.0/24 priority 1536 lookup 99",
    );
    let remedy = attention::remedy(&scene, GATEWAY, "route IPv4 from lan0");
    assert!(remedy.contains("priority 1535"), "{remedy}");
    assert!(
        attention(&scene, GATEWAY).contains("ip rule 1536"),
        "{}",
        attention(&scene, GATEWAY)
    );

    sh(&scene, &remedy);
    wait_until_over(&scene, GATEWAY, "route IPv4");
    assert_reachable(&scene);
    scene.close();
}

/// Runs a shell command at the gateway.
fn sh(scene: &Scene, command: &str) {
    scene.output(GATEWAY, "bash", &["-c", command]);
}

/// Waits for a restoration, within the contract.
fn restored(_scene: &Scene, what: &str, is_restored: impl Fn() -> bool) {
    let begin = Instant::now();
    eventually_ok(what, 10, || {
        if !is_restored() {
            bail!("{what} is not restored");
        }
        Ok(())
    });
    assert!(begin.elapsed() < CONTRACT, "{what}: {:?}", begin.elapsed());
}

fn assert_reachable(scene: &Scene) {
    for (from, family, to) in [
        ("peer0.org1", Family::V4, "10.10.2.11"),
        ("peer0.org2", Family::V4, "10.10.1.11"),
        ("peer0.org1", Family::V6, "fd00:10:2::11"),
    ] {
        scene.ping_until(from, to, family, &Outcome::Reply, CONTRACT);
    }
}

/// Rules and routes of the gateway, without what is learned on the way.
fn routes(scene: &Scene) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        lines.push(scene.output(GATEWAY, "ip", &[family, "rule", "show"]));
        // A table exists from its first route on.
        let show = [family, "route", "show", "table", "4600"];
        lines.push(scene.output_of_any_exit(GATEWAY, "ip", &show));
    }
    lines
}

/// The gateway's table without its counters.
fn table(scene: &Scene) -> String {
    let list = ["-s", "list", "table", "inet", "ringway0"];
    scene.output_of_any_exit(GATEWAY, "nft", &list)
}

/// How often a kind of thing was restored.
fn count(scene: &Scene, kind: &str) -> u64 {
    scene.status(GATEWAY)["restored"][kind]
        .as_u64()
        .unwrap_or(0)
}
