//! `ringway explain` with real gateways: each cause is made, named, and nothing else is blamed.

use ringway_lab::program;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};
use serde_json::Value;

use crate::RINGWAY;

const HERE: &str = "gw.org0";
const THERE: &str = "gw.org1";
const FROM: &str = "orderer0.org0.consortium.example";
const TO: &str = "peer0.org1.consortium.example";
/// A rule of the laboratory allows it.
const OPEN: &str = "8080";
/// None does.
const CLOSED: &str = "2222";

/// What `explain` says at a gateway: whether it works, and the steps that are bad.
fn explain(scene: &Scene, gateway: &str, from: &str, to: &str, port: &str) -> (bool, Vec<String>) {
    let arguments = ["explain", from, to, "--port", port, "--json"];
    // It exits with 1 if something is in the way.
    let output = scene
        .ringway(gateway, &arguments)
        .output()
        .expect("it runs");
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));

    let steps = answer["steps"].as_array().expect("steps");
    let bad = steps.iter().filter(|step| step["state"] == "bad");
    let bad = bad.map(|step| format!("{}: {}", text(step, "name"), text(step, "text")));
    (answer["works"] == true, bad.collect())
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
        ["their rules: gw.org1 does not let it in"]
    );
    assert_eq!(
        explain(&scene, THERE, FROM, TO, CLOSED).1,
        ["our rules: no rule allows it"]
    );

    // Nobody listens yet.
    let refused = ["connection: 10.10.1.11 answers, but refuses port 8080"];
    assert_eq!(
        explain(&scene, HERE, FROM, TO, OPEN),
        (false, refused.map(Into::into).into())
    );
    assert_eq!(explain(&scene, THERE, FROM, TO, OPEN).1, refused);
    let server = Background::server(&scene, "peer0.org1", 8080, "iperf3", &["-s", "-p", OPEN]);
    for gateway in [HERE, THERE] {
        assert_eq!(
            explain(&scene, gateway, FROM, TO, OPEN),
            (true, vec![]),
            "{gateway}"
        );
    }
    let shown = program::output(&mut scene.ringway(HERE, &["explain", FROM, TO, "--port", OPEN]));
    let shown = shown.expect("it works");
    assert!(
        shown.contains("  ok  their rules  gw.org1 allows it\n"),
        "{shown}"
    );
    drop(server);

    let nobody = "peer9.org1.consortium.example";
    assert_eq!(
        explain(&scene, HERE, FROM, nobody, OPEN).1,
        [format!(
            "name: {nobody}: org1.consortium.example has no such name with an address"
        )]
    );

    // Another program diverts what leaves for one site; another one's way is not blamed for it.
    let rule = |verb| {
        scene.sh(
            HERE,
            &format!("ip rule {verb} priority 100 to 10.10.1.0/24 blackhole"),
        )
    };
    rule("add");
    let diverted = || explain(&scene, HERE, FROM, TO, OPEN).1;
    eventually("the rule to be seen", 10, || {
        diverted().iter().any(|it| it.starts_with("host: "))
    });
    assert_eq!(diverted().len(), 1, "{:?}", diverted());
    let elsewhere = "peer0.org2.consortium.example";
    let (_, causes) = explain(&scene, HERE, FROM, elsewhere, OPEN);
    assert_eq!(
        causes,
        ["connection: 10.10.2.11 answers, but refuses port 8080"]
    );
    rule("del");
    eventually("the rule to be gone", 10, || diverted() == refused);

    scene.stop(THERE);
    eventually("the tunnel to go down", 10, || !scene.is_up(HERE, THERE));
    let (works, causes) = explain(&scene, HERE, FROM, TO, OPEN);
    assert!(!works);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].starts_with("tunnel: gw.org1 is "), "{causes:?}");

    scene.stop(HERE);
    let (_, causes) = explain(&scene, HERE, FROM, TO, OPEN);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].starts_with("gateway: "), "{causes:?}");
    scene.close();
}
