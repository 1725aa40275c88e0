//! `ringway doctor` beside a gateway that runs: it names a resolver that knows no member's name,
//! and a firewall for which the host tracks the tunnel; the commands that it names fix that.

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::Scene;
use ringway_tests::scene::eventually;
use serde_json::Value;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// As many host firewalls have it.
const FIREWALL: &str = "nft 'table inet filter { chain input { type filter hook input priority 0; \
                        ct state invalid drop; }; }'";

#[test]
fn names_a_resolver_and_a_firewall_and_the_commands_that_fix_them() {
    let scene = Scene::new("doctor", RINGWAY);
    // Nothing answers there.
    let found = doctor(&scene, "10.10.1.12");
    let resolver = finding(&found, "resolver 10.10.1.12").expect("it knows nothing");
    let remedy = resolver["remedy"].as_str().expect("it has a remedy");
    assert!(remedy.starts_with("ringway recipe unbound -c "), "{found}");
    let found = doctor(&scene, "10.10.1.1");
    assert!(finding(&found, "resolver 10.10.1.1").is_none(), "{found}");
    assert!(finding(&found, "dns 10.10.1.1").is_none(), "{found}");

    scene.sh(GATEWAY, FIREWALL);
    let tracked = || finding(&doctor(&scene, "10.10.1.1"), "tracking tunnel");
    eventually("the tunnel to be tracked", 20, || tracked().is_some());
    let finding = tracked().expect("it was there");
    let remedy = finding["remedy"].as_str().expect("it has a remedy");
    scene.sh(GATEWAY, remedy);

    assert!(tracked().is_none());
    for to in ["10.10.0.11", "10.10.2.11"] {
        assert_eq!(scene.ping("peer0.org1", to, Family::V4), Outcome::Reply);
    }
    keeps_the_device_of_a_daemon_that_does_not_answer(&scene);
    scene.close();
}

/// Its socket is removed while it is stopped, so that it cannot make it again at once.
fn keeps_the_device_of_a_daemon_that_does_not_answer(scene: &Scene) {
    let daemon = scene.process(GATEWAY).expect("gw.org1 runs");
    let status = scene.status(GATEWAY);
    let socket = status["daemon"]["socket"].as_str().expect("it has one");
    daemon.signal(Signal::SIGSTOP);
    scene.sh(GATEWAY, &format!("rm {socket}"));

    let found = doctor(scene, "10.10.1.1");
    assert_eq!(found["running"], false, "{found}");
    let text = found.to_string();
    assert!(text.contains("is another ringway running"), "{text}");
    for advice in ["link delete", "the program to stop"] {
        assert!(!text.contains(advice), "{text}");
    }

    daemon.signal(Signal::SIGCONT);
    eventually("the socket to be there again", 10, || {
        doctor(scene, "10.10.1.1")["running"] == true
    });
}

/// What `doctor` prints where `resolver` stands in /etc/resolv.conf.
fn doctor(scene: &Scene, resolver: &str) -> Value {
    let config = scene.config(GATEWAY);
    let file = config.with_file_name("resolv.conf");
    std::fs::write(&file, format!("nameserver {resolver}\n")).expect("a file of the test");

    let script = format!(
        "mount --bind {} /etc/resolv.conf && {RINGWAY} doctor --json -c {}",
        file.display(),
        config.display()
    );
    let printed = scene.output_of_any_exit(GATEWAY, "unshare", &["--mount", "bash", "-c", &script]);
    serde_json::from_str(printed.lines().collect::<String>().trim())
        .unwrap_or_else(|error| panic!("{error}: {printed}"))
}

fn finding(document: &Value, name: &str) -> Option<Value> {
    let findings = document["findings"].as_array().expect("it has findings");
    findings.iter().find(|one| one["name"] == name).cloned()
}
