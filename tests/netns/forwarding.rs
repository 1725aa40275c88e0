//! Names outside the consortium are forwarded for hosts of this site alone, through the packet
//! filter that the daemon installs. Questions and answers show in the metrics.
//!
//! ```text
//!   peer0.org1 ─┐                       ┌─► peer1.org1: dnsmasq, which knows corp.test
//!               ├─► gw.org1 (10.10.1.1) ┤
//!   orderer0.org0 ═══ (mesh)            └─ REFUSED
//! ```

use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// A host of the gateway's site.
const SITE_HOST: &str = "peer0.org1";
/// A host of another organization, which reaches the gateway through the mesh.
const MESH_HOST: &str = "orderer0.org0";

/// A name that dnsmasq knows, and its address.
const NAME: &str = "www.corp.test";
const ADDRESS: &str = "192.0.2.7";

#[test]
fn names_outside_are_forwarded_for_this_site_alone() {
    let scene = Scene::new("forwarding", RINGWAY);
    let _resolver = start_resolver(&scene);
    for host in [SITE_HOST, MESH_HOST] {
        assert_eq!(ask(&scene, host, NAME, &[]).code, "REFUSED", "{host}");
    }

    configure_forwarding(&scene);
    let over_tcp = ask(&scene, SITE_HOST, "api.corp.test", &["+tcp"]);
    assert_eq!(over_tcp.code, "NOERROR");
    assert_eq!(over_tcp.data, ADDRESS);
    let other_suffix = ask(&scene, SITE_HOST, "www.example", &[]);
    assert_eq!(other_suffix.code, "REFUSED");
    let from_mesh = ask(&scene, MESH_HOST, NAME, &[]);
    assert_eq!(from_mesh.code, "REFUSED", "the asker is at another site");
    let member = ask(&scene, MESH_HOST, "peer0.org1.consortium.example", &[]);
    assert_eq!(member.data, "10.10.1.11", "the asker is a member");
    scene.close();
}

#[test]
fn a_reload_ends_the_forwarding_of_a_suffix() {
    let scene = Scene::new("forwarding-off", RINGWAY);
    let _resolver = start_resolver(&scene);
    configure_forwarding(&scene);

    replace(
        &scene.config(GATEWAY),
        "\nsuffix = \"corp.test\"",
        "\nsuffix = \"lab.test\"",
    );
    scene.reload(GATEWAY);
    eventually("the name to be refused", 10, || {
        ask(&scene, SITE_HOST, NAME, &[]).code == "REFUSED"
    });
    scene.close();
}

/// Series that the five questions of the test below increase, and by how much.
const INCREASES: [(&str, u64); 9] = [
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

#[test]
fn questions_answers_and_forwarded_questions_are_counted() {
    let scene = Scene::new("metrics", RINGWAY);
    let _resolver = start_resolver(&scene);
    configure_forwarding(&scene);

    let before = metrics(&scene);
    let host = "peer0.org1.consortium.example";
    ask(&scene, SITE_HOST, host, &[]);
    ask(&scene, SITE_HOST, "nobody.org1.consortium.example", &[]);
    ask(&scene, SITE_HOST, host, &["+tcp", "TXT"]);
    ask(&scene, SITE_HOST, "new.corp.test", &[]);
    ask(&scene, MESH_HOST, NAME, &[]);
    let after = metrics(&scene);
    for (series, increase) in INCREASES {
        let counted = value(&after, series) - value(&before, series);
        assert_eq!(counted, increase, "{series}\n{after}");
    }

    // Latency is measured for a sample of the messages: ask until one is in it.
    let measured = "ringway_dns_latency_seconds_count";
    eventually("a measured message", 10, || {
        ask(&scene, SITE_HOST, host, &[]);
        value(&metrics(&scene), measured) > value(&before, measured)
    });
    scene.close();
}

/// Starts dnsmasq on another host of the site. It answers for names below corp.test only.
fn start_resolver(scene: &Scene) -> Background {
    let known = format!("--address=/corp.test/{ADDRESS}");
    let arguments = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--listen-address=10.10.1.12",
        "--bind-interfaces",
        &known,
    ];
    Background::server(scene, "peer1.org1", 53, "/usr/sbin/dnsmasq", &arguments)
}

/// Makes the gateway forward names below corp.test to that resolver.
fn configure_forwarding(scene: &Scene) {
    append(
        &scene.config(GATEWAY),
        "\n[[dns.forward]]\nsuffix = \"corp.test\"\nservers = [\"10.10.1.12\"]\n",
    );
    scene.reload(GATEWAY);
    eventually("the resolver's answer", 10, || {
        ask(scene, SITE_HOST, NAME, &[]).data == ADDRESS
    });
}

/// Output of `ringway metrics`.
fn metrics(scene: &Scene) -> String {
    let output = scene
        .ringway(GATEWAY, &["metrics"])
        .output()
        .expect("the program under test starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("OpenMetrics is UTF-8")
}

/// The value of `series` in OpenMetrics text. A series that is missing has counted nothing.
fn value(text: &str, series: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map_or(0, |value| {
            value
                .parse()
                .unwrap_or_else(|error| panic!("{series}: {value:?}: {error}"))
        })
}

/// What `dig` printed of an answer.
struct Answer {
    /// The response code; all that dig printed if there was none.
    code: String,
    data: String,
}

/// Asks the gateway once.
fn ask(scene: &Scene, host: &str, name: &str, options: &[&str]) -> Answer {
    let dig = ["@10.10.1.1", "+tries=1", "+timeout=5", name];
    let text = scene.output_of_any_exit(host, "dig", &[&dig[..], options].concat());

    let code = text
        .split_once("status: ")
        .and_then(|(_, rest)| rest.split_once(','));
    let data: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with(';') && !line.contains("SOA"))
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    Answer {
        code: code.map_or(text.as_str(), |(code, _)| code).to_owned(),
        data: data.join(" "),
    }
}
