//! `ringway explain` with real gateways: each cause is made, named, and nothing else is blamed.

mod beside;
mod families;

use ringway_lab::program;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};
use serde_json::Value;

use crate::RINGWAY;

const HERE: &str = "gw.org0";
const THERE: &str = "gw.org1";
/// An address, so that one family is explained; [`families`] has two names.
const FROM: &str = "10.10.0.11";
const TO: &str = "peer0.org1.consortium.example";
/// A rule of the laboratory allows it.
const OPEN: &str = "8080";
/// None does.
const CLOSED: &str = "2222";

/// What `explain` says at a gateway: whether it works, and the steps that are bad, as
/// `<verdict>: <text>`.
fn explain(scene: &Scene, gateway: &str, from: &str, to: &str, port: &str) -> (bool, Vec<String>) {
    let mut answer = answer(scene, gateway, from, to, port);
    let steps = answer["steps"].as_array_mut().expect("steps");
    steps.retain(|step| step["state"] == "bad");

    (answer["works"] == true, said(&answer))
}

/// The document that `explain` prints at a gateway.
fn answer(scene: &Scene, gateway: &str, from: &str, to: &str, port: &str) -> Value {
    let arguments = ["explain", from, to, "--port", port, "--json"];
    // It exits with 1 if something is in the way.
    let output = scene
        .ringway(gateway, &arguments)
        .output()
        .expect("it runs");

    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Every step, as `<verdict>: <text>`.
fn said(answer: &Value) -> Vec<String> {
    let steps = answer["steps"].as_array().expect("steps").iter();
    steps
        .map(|step| format!("{}: {}", text(step, "verdict"), text(step, "text")))
        .collect()
}

fn text<'v>(step: &'v Value, key: &str) -> &'v str {
    step[key].as_str().expect("a text")
}

#[test]
fn each_cause_is_named_and_nothing_else_is() {
    let scene = Scene::new("explain", RINGWAY);
    let known = |scene: &Scene| explain(scene, HERE, FROM, TO, CLOSED).1.len() == 1;
    eventually("the far names", 10, || known(&scene));

    // Both ends agree about a port without a rule, each about whose rules it is.
    assert_eq!(
        explain(&scene, HERE, FROM, TO, CLOSED).1,
        ["theirs-deny-entry: gw.org1 does not let it in"]
    );
    let rules = scene.config(THERE).display().to_string();
    let (_, denied) = explain(&scene, THERE, FROM, TO, CLOSED);
    let place = format!("ours-deny-entry: no rule allows it ({rules}:");
    assert!(
        denied.len() == 1 && denied[0].starts_with(&place),
        "{denied:?}"
    );

    // Nobody listens yet.
    let refused = ["refused: 10.10.1.11:8080 is refused"];
    assert_eq!(
        explain(&scene, HERE, FROM, TO, OPEN),
        (false, refused.map(Into::into).into())
    );
    assert_eq!(
        explain(&scene, THERE, FROM, TO, OPEN).1,
        ["refused: 10.10.1.11 answers, but refuses port 8080"]
    );
    let server = Background::server(&scene, "peer0.org1", 8080, "iperf3", &["-s", "-p", OPEN]);
    for gateway in [HERE, THERE] {
        assert_eq!(
            explain(&scene, gateway, FROM, TO, OPEN),
            (true, vec![]),
            "{gateway}"
        );
    }
    each_step_that_is_right_is_shown(&scene);

    beside::within_its_site_a_gateway_says_what_it_sees(&scene);
    beside::about_other_sites_a_gateway_says_whom_to_ask(&scene);
    beside::a_host_that_answers_no_member_is_named(&scene);
    beside::what_the_far_end_does_not_let_this_host_do_is_not_tried(&scene);
    filters_of_this_host_are_named_for_what_they_drop(&scene);
    what_the_far_host_does_is_told_apart(&scene);
    families::both_families_of_two_names_are_explained(&scene);
    families::a_dns_server_that_hosts_cannot_ask_is_named(&scene);
    families::a_name_that_is_left_out_says_why(&scene);
    families::a_rule_that_is_not_reloaded_is_named(&scene);
    drop(server);

    a_name_that_is_missing_is_named(&scene);
    a_rule_that_diverts_one_site_is_named_for_that_site_alone(&scene, &refused);
    beside::without_an_address_in_the_site_nothing_is_tried(&scene);

    scene.stop(THERE);
    eventually("the tunnel to go down", 10, || !scene.is_up(HERE, THERE));
    let (works, causes) = explain(&scene, HERE, FROM, TO, OPEN);
    assert!(!works);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(
        causes[0].starts_with("tunnel-down: gw.org1 is "),
        "{causes:?}"
    );

    scene.stop(HERE);
    let (_, causes) = explain(&scene, HERE, FROM, TO, OPEN);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].starts_with("gateway-silent: "), "{causes:?}");
    scene.close();
}

fn each_step_that_is_right_is_shown(scene: &Scene) {
    let shown = program::output(&mut scene.ringway(HERE, &["explain", FROM, TO, "--port", OPEN]));
    let shown = shown.expect("it works");
    assert!(
        shown.contains("  ok  their rules  gw.org1 allows it\n"),
        "{shown}"
    );
    for step in [
        "  ok  name         peer0.org1.consortium.example is 10.10.1.11, by zone \
         org1.consortium.example of gw.org1, serial ",
        "  ok  prefix       10.10.1.0/24 of org1/vpc (",
        "  ok  our rules    [policy] egress lets it leave (",
    ] {
        assert!(shown.contains(step), "{step}: {shown}");
    }
    // As the hosts write it, whose search domain is the consortium's.
    assert!(explain(scene, HERE, FROM, "peer0.org1", OPEN).0);

    for (more, reason) in [(None, "only TCP"), (Some("--no-probe"), "--no-probe")] {
        let arguments: Vec<&str> = ["explain", FROM, TO].into_iter().chain(more).collect();
        let shown = scene.ringway(HERE, &arguments).output().expect("it runs");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let tried = format!("?   connection   not tried: {reason}");
        assert!(shown.contains(&tried), "{shown}");
    }
}

fn a_name_that_is_missing_is_named(scene: &Scene) {
    let missing = "peer9.org1.consortium.example";
    assert_eq!(
        explain(scene, HERE, FROM, missing, OPEN).1,
        [format!(
            "name-missing: {missing}: org1.consortium.example has no such name with an address"
        )]
    );
}

/// Another program diverts what leaves for one site.
fn a_rule_that_diverts_one_site_is_named_for_that_site_alone(scene: &Scene, refused: &[&str]) {
    let rule = |verb| {
        scene.sh(
            HERE,
            &format!("ip rule {verb} priority 100 to 10.10.1.0/24 blackhole"),
        )
    };
    rule("add");
    let diverted = || explain(scene, HERE, FROM, TO, OPEN).1;
    eventually("the rule to be seen", 10, || {
        diverted().iter().any(|it| it.starts_with("host-stops: "))
    });
    assert_eq!(diverted().len(), 1, "{:?}", diverted());
    let elsewhere = "peer0.org2.consortium.example";
    let (_, causes) = explain(scene, HERE, FROM, elsewhere, OPEN);
    assert_eq!(causes, ["refused: 10.10.2.11:8080 is refused"]);
    rule("del");
    eventually("the rule to be gone", 10, || diverted() == refused);
}

/// Each is asked about the connection that is meant, and no other one is blamed for it.
fn filters_of_this_host_are_named_for_what_they_drop(scene: &Scene) {
    let chain = |hook: &str, rule: &str| {
        let table =
            format!("table inet f {{ chain c {{ type filter hook {hook} priority 0; {rule} }}; }}");
        scene.sh(HERE, &format!("nft '{table}'"));
    };
    let dropped = |from: &str, to: &str| {
        let by = format!("host-stops: nftables chain inet f c drops packets from {from} to {to}");
        move |causes: &[String]| causes.len() == 1 && causes[0].starts_with(&by)
    };

    for (hook, rule, from, to) in [
        ("forward", "tcp dport 8080 drop;", "lan0", "ringway0"),
        ("forward", "ip saddr 10.10.1.11 drop;", "ringway0", "lan0"),
    ] {
        chain(hook, rule);
        let (works, causes) = explain(scene, HERE, FROM, TO, OPEN);
        assert!(!works && dropped(from, to)(&causes), "{rule} {causes:?}");
        let (_, other) = explain(scene, HERE, FROM, "peer0.org2", OPEN);
        let is_blamed = other.iter().any(|cause| cause.starts_with("host-stops: "));
        assert_eq!(is_blamed, rule.starts_with("tcp"), "{rule} {other:?}");
        // The other end sees what it is about there, too.
        assert!(explain(scene, THERE, FROM, TO, OPEN).0, "{rule}");
        scene.sh(HERE, "nft delete table inet f");
    }

    // What stops this host's own packets only keeps it from trying.
    chain("output", "oifname ringway0 drop;");
    assert_eq!(explain(scene, HERE, FROM, TO, OPEN), (true, vec![]));
    scene.sh(HERE, "nft delete table inet f");

    scene.sh(
        HERE,
        "iptables-legacy -I FORWARD -p tcp --dport 8080 -j DROP",
    );
    let (_, causes) = explain(scene, HERE, FROM, TO, OPEN);
    let by = "host-stops: chain iptables-legacy FORWARD drops packets from lan0 to ringway0";
    assert!(causes.len() == 1 && causes[0].starts_with(by), "{causes:?}");
    scene.sh(
        HERE,
        "iptables-legacy -D FORWARD -p tcp --dport 8080 -j DROP",
    );
}

/// It rejects, or is silent: then the other gateway can look further.
fn what_the_far_host_does_is_told_apart(scene: &Scene) {
    let host = "peer0.org1";
    let filter = |verdict: &str| {
        let chain = "chain c { type filter hook input priority 0; tcp dport 8080";
        scene.sh(
            host,
            &format!("nft 'table inet f {{ {chain} {verdict}; }}; }}'"),
        );
    };
    let end = || scene.sh(host, "nft delete table inet f");

    filter("reject with icmpx admin-prohibited");
    let (_, causes) = explain(scene, HERE, FROM, TO, OPEN);
    let by = "failed: 10.10.1.11:8080: No route to host";
    assert!(causes.len() == 1 && causes[0].starts_with(by), "{causes:?}");
    end();

    filter("drop");
    let shown = scene
        .ringway(HERE, &["explain", FROM, TO, "--port", OPEN])
        .output();
    let shown = String::from_utf8_lossy(&shown.expect("it runs").stdout).into_owned();
    assert!(
        shown.contains("NO  connection   10.10.1.11:8080 does not answer"),
        "{shown}"
    );
    let further = "→ at gw.org1: ringway explain 10.10.0.11 10.10.1.11 --port 8080,";
    assert!(shown.contains(further), "{shown}");
    end();
}
