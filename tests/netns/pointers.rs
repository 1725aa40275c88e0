//! Names that an organization gives its addresses, and what `check` says about its records.

use std::process::Output;

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const ADDRESS: &str = "10.10.1.11";
/// Each with its own gateway's DNS server.
const ASKERS: [(&str, &str); 2] = [
    ("peer0.org1", "@10.10.1.1"),
    ("orderer0.org0", "@10.10.0.1"),
];

const STATED: &str = r#"
[[dns.ptr]]
address = "10.10.1.11"
names = ["stated", "www.elsewhere.example."]

[[dns.record]]
name = "lost"
type = "CNAME"
data = "nowhere"
"#;

const DELEGATION: &str = r#"
[[dns.record]]
name = "sub"
type = "NS"
data = "peer0"
"#;

#[test]
fn an_organization_names_its_addresses_and_doubtful_records_are_found() {
    let scene = Scene::new("pointers", RINGWAY);
    append(&scene.config(GATEWAY), STATED);
    let check = run(&scene, &["check"]);
    let printed = text(&check);
    assert!(check.status.success(), "{printed}");
    assert!(printed.contains("nowhere.org1.consortium.example of this CNAME does not exist"));
    assert!(printed.contains("gateway.toml:"), "{printed}");

    scene.reload(GATEWAY);
    for (host, server) in ASKERS {
        eventually(&format!("the stated names at {host}"), 20, || {
            let arguments = ["+short", server, "-x", ADDRESS];
            let printed = scene.output_of_any_exit(host, "dig", &arguments);
            let mut names: Vec<&str> = printed.lines().collect();
            names.sort_unstable();
            names == ["stated.org1.consortium.example.", "www.elsewhere.example."]
        });
    }

    let zone = text(&run(&scene, &["dns", "export", "1.10.10.in-addr.arpa"]));
    assert!(zone.contains("www.elsewhere.example."), "{zone}");
    assert!(zone.contains("SOA"), "{zone}");
    let query = text(&run(&scene, &["dns", "query", "-x", ADDRESS]));
    assert!(query.contains("gateway.toml:"), "{query}");

    append(&scene.config(GATEWAY), DELEGATION);
    let check = run(&scene, &["check"]);
    let printed = text(&check);
    assert_eq!(check.status.code(), Some(64), "{printed}");
    assert!(
        printed.contains("sub.org1.consortium.example is delegated"),
        "{printed}"
    );
    scene.close();
}

fn run(scene: &Scene, arguments: &[&str]) -> Output {
    let mut command = scene.ringway(GATEWAY, arguments);
    command.output().expect("the program runs")
}

fn text(output: &Output) -> String {
    let printed = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&printed).into_owned()
}
