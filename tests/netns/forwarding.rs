//! Names outside the consortium: forwarded for the own site alone, through the packet filter that the daemon
//! installs, as the configuration says at the moment; and what is asked and answered shows in the metrics.
//!
//! ```text
//!   peer0.org1 ─┐                       ┌─► peer1.org1: dnsmasq, who knows corp.test
//!               ├─► gw.org1 (10.10.1.1) ┤
//!   orderer0.org0 ═══ (mesh)            └─ REFUSED
//! ```
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

const GATEWAY: &str = "gw.org1";
const OWN: &str = "peer0.org1";
/// A host of another organization: it reaches the gateway through the mesh.
const OTHER: &str = "orderer0.org0";
const NAME: &str = "www.corp.test";
const ADDRESS: &str = "192.0.2.7";

#[test]
fn other_names_are_forwarded_for_the_own_site_alone_and_everything_is_counted() {
    let scene = Scene::new("forwarding", RINGWAY);
    let known = format!("--address=/corp.test/{ADDRESS}");
    let arguments = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        &known,
    ];
    let listening = ["--listen-address=10.10.1.12", "--bind-interfaces"];
    let _resolver = Background::server(
        &scene,
        "peer1.org1",
        53,
        "/usr/sbin/dnsmasq",
        &[&arguments[..], &listening].concat(),
    );
    refused_for_all(&scene);

    append(
        &scene.config(GATEWAY),
        "\n[[dns.forward]]\nsuffix = \"corp.test\"\nservers = [\"10.10.1.12\"]\n",
    );
    scene.reload(GATEWAY);
    eventually("the resolver's answer", 10, || {
        ask(&scene, OWN, NAME, "").1 == ADDRESS
    });
    assert_eq!(
        ask(&scene, OWN, "api.corp.test", "+tcp"),
        ("NOERROR".into(), ADDRESS.into())
    );
    assert_eq!(ask(&scene, OTHER, NAME, "").0, "REFUSED", "another site's");
    assert_eq!(
        ask(&scene, OTHER, "peer0.org1.consortium.example", "").1,
        "10.10.1.11",
        "but it is answered"
    );
    assert_eq!(
        ask(&scene, OWN, "www.example", "").0,
        "REFUSED",
        "another suffix"
    );
    everything_is_counted(&scene);

    replace(
        &scene.config(GATEWAY),
        "\nsuffix = \"corp.test\"",
        "\nsuffix = \"lab.test\"",
    );
    scene.reload(GATEWAY);
    eventually("nobody to be asked any more", 10, || {
        ask(&scene, OWN, NAME, "").0 == "REFUSED"
    });
    refused_for_all(&scene);
    scene.close();
}

fn refused_for_all(scene: &Scene) {
    for asker in [OWN, OTHER] {
        assert_eq!(ask(scene, asker, NAME, "").0, "REFUSED", "{asker}");
    }
}

/// Asks in every way that is counted apart, and looks at the difference.
fn everything_is_counted(scene: &Scene) {
    const MOVES: [(&str, u64); 9] = [
        (
            "ringway_dns_questions_total{asker=\"site\",transport=\"udp\",qtype=\"A\"}",
            3,
        ),
        (
            "ringway_dns_questions_total{asker=\"site\",transport=\"tcp\",qtype=\"TXT\"}",
            1,
        ),
        (
            "ringway_dns_questions_total{asker=\"mesh\",transport=\"udp\",qtype=\"A\"}",
            1,
        ),
        (
            "ringway_dns_answers_total{asker=\"site\",transport=\"udp\",rcode=\"NOERROR\"}",
            2,
        ),
        (
            "ringway_dns_answers_total{asker=\"site\",transport=\"udp\",rcode=\"NXDOMAIN\"}",
            1,
        ),
        (
            "ringway_dns_answers_total{asker=\"site\",transport=\"tcp\",rcode=\"NOERROR\"}",
            1,
        ),
        (
            "ringway_dns_answers_total{asker=\"mesh\",transport=\"udp\",rcode=\"REFUSED\"}",
            1,
        ),
        ("ringway_dns_forwarded_total{what=\"asked\"}", 1),
        ("ringway_dns_forward_seconds_count", 1),
    ];
    let before = metrics(scene);
    ask(scene, OWN, "peer0.org1.consortium.example", "");
    ask(scene, OWN, "nobody.org1.consortium.example", "");
    ask(scene, OWN, "peer0.org1.consortium.example", "+tcp TXT");
    ask(scene, OWN, "new.corp.test", "");
    ask(scene, OTHER, NAME, "");
    let after = metrics(scene);
    for (series, more) in MOVES {
        assert_eq!(
            value(&after, series) - value(&before, series),
            more,
            "{series}\n{after}"
        );
    }
    // One message in some is timed: ask until one was.
    let timed = |text: &str| value(text, "ringway_dns_latency_seconds_count");
    eventually("a message that is timed", 10, || {
        ask(scene, OWN, "peer0.org1.consortium.example", "");
        timed(&metrics(scene)) > timed(&before)
    });
}

/// What `ringway metrics` prints.
fn metrics(scene: &Scene) -> String {
    let output = scene
        .ringway(GATEWAY, &["metrics"])
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("OpenMetrics is UTF-8")
}

/// A series that is not there has counted nothing.
fn value(text: &str, series: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| {
        value
            .parse()
            .unwrap_or_else(|error| panic!("{series}: {value:?}: {error}"))
    })
}

/// The code and the data that `dig` at `host` gets from the gateway, asked once.
fn ask(scene: &Scene, host: &str, name: &str, how: &str) -> (String, String) {
    let mut dig = scene
        .command(host, "dig")
        .expect("a node of the laboratory");
    dig.args(["@10.10.1.1", "+tries=1", "+timeout=5", name])
        .args(how.split_whitespace());
    let output = dig.output().expect("dig runs; install bind9-dnsutils");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = text
        .split_once("status: ")
        .and_then(|(_, rest)| rest.split_once(','));
    let answers = text
        .lines()
        .filter(|line| !line.starts_with(';') && !line.contains("SOA"));
    let data: Vec<_> = answers
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    (
        code.map_or(text.clone(), |(code, _)| code.to_owned()),
        data.join(" "),
    )
}
