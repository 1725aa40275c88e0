//! Ends that are not on the gateway's path, and connections that are not tried, with the reasons.

use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Scene, inside};
use serde_json::{Value, json};

use super::{CLOSED, FROM, HERE, OPEN, THERE, TO, answer, explain, said};

/// Hosts of one site, as [`HERE`] serves it, of both families.
const NEIGHBOURS: [[&str; 2]; 2] = [["10.10.0.11", "10.10.0.12"], ["fd00:10::11", "fd00:10::12"]];

/// Two hosts of the gateway's own site: no rule is asked, and what it sees itself is said.
pub(super) fn within_its_site_a_gateway_says_what_it_sees(scene: &Scene) {
    let site = "within-site: both ends are in org0/vpc, the site of this gateway: their packets \
                need not pass it, and no rule judges them";
    let shown = |from: &str, to: &str| said(&answer(scene, HERE, from, to, OPEN));

    for [from, to] in NEIGHBOURS {
        assert_eq!(
            shown(from, to),
            [
                site.to_owned(),
                format!("site-route: {from} is reached by lan0"),
                format!("site-route: {to} is reached by lan0"),
                format!("refused: {to} answers, but refuses port 8080"),
            ]
        );
    }
    let server = Background::server(scene, "orderer1.org0", 8080, "iperf3", &["-s", "-p", OPEN]);
    for [from, to] in NEIGHBOURS {
        assert_eq!(explain(scene, HERE, from, to, OPEN), (true, vec![]));
    }
    let own = shown("10.10.0.1", "orderer1.org0");
    assert_eq!(own[2], "own-address: 10.10.0.1 is this host's own address");
    drop(server);
}

/// Neither end is in the gateway's site: it says whom to ask, and nothing else.
pub(super) fn about_other_sites_a_gateway_says_whom_to_ask(scene: &Scene) {
    for (from, to, verdict, gateways) in [
        (
            "10.10.1.11",
            "10.10.2.11",
            "other-sites",
            "gw.org1 or gw.org2",
        ),
        (
            "fd00:10:1::11",
            "fd00:10:2::11",
            "other-sites",
            "gw.org1 or gw.org2",
        ),
        ("10.10.1.11", "10.10.1.12", "other-site", "gw.org1"),
    ] {
        let answer = answer(scene, HERE, from, to, OPEN);
        assert_eq!(answer["works"], Value::Null, "{answer}");
        assert_eq!(answer["steps"].as_array().map(Vec::len), Some(1));
        assert_eq!(answer["steps"][0]["verdict"], verdict);
        assert_eq!(
            answer["steps"][0]["remedy"],
            json!(format!(
                "at {gateways}: ringway explain {from} {to} --port 8080"
            ))
        );
    }

    let arguments = ["explain", "peer0.org1", "peer0.org2", "--port", OPEN];
    let output = scene.ringway(HERE, &arguments).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.ends_with("\nThis gateway cannot tell.\n"), "{shown}");
}

/// A host that answers its gateway and no member: it has no route back.
pub(super) fn a_host_that_answers_no_member_is_named(scene: &Scene) {
    let host = "peer1.org1";
    let server = Background::server(scene, host, 8080, "iperf3", &["-s", "-p", OPEN]);
    scene.sh(host, "ip route add blackhole 10.10.0.0/24");

    assert!(!inside::connects(
        scene,
        "orderer0.org0",
        "10.10.1.12",
        8080
    ));
    let (works, causes) = explain(scene, THERE, FROM, "10.10.1.12", OPEN);
    assert!(!works && causes.len() == 1, "{causes:?}");
    let expected = "answers-nobody: 1 connection of 10.10.0.11 went to 10.10.1.12,";
    assert!(causes[0].starts_with(expected), "{causes:?}");
    // About another member's host, only what it does not answer at all is known.
    let (_, causes) = explain(scene, THERE, "10.10.2.11", "10.10.1.12", OPEN);
    let expected = "answers-nobody: 1 connection of members went to 10.10.1.12,";
    assert!(causes[0].starts_with(expected), "{causes:?}");

    // It answers one member, and still not the other.
    assert!(inside::connects(scene, "peer0.org2", "10.10.1.12", 8080));
    let (works, causes) = explain(scene, THERE, FROM, "10.10.1.12", OPEN);
    assert!(!works && causes.len() == 1, "{causes:?}");
    assert!(explain(scene, THERE, "10.10.2.11", "10.10.1.12", OPEN).0);

    scene.sh(host, "ip route del blackhole 10.10.0.0/24");
    drop(server);
}

/// The far end lets one host in, which is not the gateway's: to try from there would say nothing.
pub(super) fn what_the_far_end_does_not_let_this_host_do_is_not_tried(scene: &Scene) {
    let rule = format!(
        "\n[[policy.allow]]\nfrom = \"10.10.0.11\"\nto = \"10.10.1.11\"\nproto = \"tcp\"\n\
         ports = {CLOSED}\n"
    );
    append(&scene.config(THERE), &rule);
    scene.reload(THERE);

    let expected = "not-let-in: not tried: the far end lets 10.10.0.11 in, but not this host \
                    (10.10.0.1)";
    eventually("the rule to count", 10, || {
        let answer = answer(scene, HERE, FROM, TO, CLOSED);
        answer["works"] == true && said(&answer).last().is_some_and(|last| last == expected)
    });
}

/// The gateway routes for its site, and has no address in it to try from.
pub(super) fn without_an_address_in_the_site_nothing_is_tried(scene: &Scene) {
    scene.sh(
        "gw.org2",
        "ip address del 10.10.2.1/24 dev lan0; ip route add 10.10.2.0/24 dev lan0",
    );
    let expected = "no-address-in-site: not tried: this host has no address in the site";

    eventually("the address to be missed", 10, || {
        let answer = answer(scene, "gw.org2", "10.10.2.11", TO, OPEN);
        answer["works"] == true && said(&answer).last().is_some_and(|last| last == expected)
    });
}
