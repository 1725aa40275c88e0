//! Two ends that are given by name: both address families, and the DNS server that hosts ask.

use std::fs;

use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};
use serde_json::Value;

use super::{FROM, HERE, OPEN, THERE, TO, answer, explain};

const NAME: &str = "orderer0.org0.consortium.example";

/// What fails, as `<family> <verdict>`.
fn failing(answer: &Value) -> Vec<String> {
    let steps = answer["steps"].as_array().expect("steps").iter();
    let bad = steps.filter(|step| step["state"] == "bad");
    bad.map(|step| format!("{} {}", step["family"], step["verdict"]).replace('"', ""))
        .collect()
}

pub(super) fn both_families_of_two_names_are_explained(scene: &Scene) {
    let good = answer(scene, HERE, NAME, TO, OPEN);
    assert_eq!(failing(&good), [""; 0], "{good}");
    assert_eq!(good["works"], true);
    let families = ["IPv6", "IPv4"].map(Value::from);
    let shown = good["families"].as_array().expect("families").iter();
    let shown: Vec<&Value> = shown.map(|way| &way["family"]).collect();
    assert_eq!(shown, families.each_ref());

    // The IPv4 connection works, and the one that programs try first does not.
    scene.sh(THERE, "ip -6 address del fd00:10:1::1/64 dev lan0");
    let broken = || answer(scene, THERE, NAME, TO, OPEN);
    eventually("the missing address to be seen", 10, || {
        failing(&broken()).iter().any(|it| it == "IPv6 host-stops")
    });
    let said = broken();
    assert!(failing(&said).iter().all(|it| it.starts_with("IPv6 ")));
    assert_eq!(said["works"], false);
    assert_eq!(said["families"][1]["works"], true);
    assert_eq!(explain(scene, THERE, FROM, TO, OPEN), (true, vec![]));
    scene.sh(THERE, "ip -6 address add fd00:10:1::1/64 dev lan0 nodad");
    eventually("both families to work", 10, || broken()["works"] == true);
}

pub(super) fn a_dns_server_that_hosts_cannot_ask_is_named(scene: &Scene) {
    let chain = "chain c { type filter hook input priority 0; iifname lan0 udp dport 53 drop; }";
    scene.sh(HERE, &format!("nft 'table inet f {{ {chain}; }}'"));

    let (works, causes) = explain(scene, HERE, NAME, TO, OPEN);
    assert!(!works);
    for cause in &causes {
        let by = "dns-unreachable: hosts that ask for peer0.org1.consortium.example: nftables \
                  chain inet f c drops packets from lan0 to our DNS server ";
        assert!(cause.starts_with(by), "{causes:?}");
    }
    // Nobody asks for an address, and the hosts of the other site ask their own gateway.
    assert_eq!(
        explain(scene, HERE, NAME, "10.10.1.11", OPEN),
        (true, vec![])
    );
    assert_eq!(explain(scene, THERE, NAME, TO, OPEN), (true, vec![]));
    scene.sh(HERE, "nft delete table inet f");
}

/// A member gives a name an address of another one's site.
pub(super) fn a_name_that_is_left_out_says_why(scene: &Scene) {
    let path = scene.config(THERE);
    let before = fs::read_to_string(&path).expect("the file is there");
    let host = "\n[[dns.host]]\nname = \"astray\"\naddresses = [\"10.10.0.99\"]\n";
    let foreign = before.replace("[dns]\n", "[dns]\nforeign-addresses = true\n");
    fs::write(&path, foreign + host).expect("it is written");
    scene.reload(THERE);

    let name = "astray.org1.consortium.example";
    eventually("the names of gw.org1", 10, || {
        let (_, causes) = explain(scene, HERE, FROM, name, OPEN);
        let why = "an address outside the organization's prefixes";
        causes.len() == 1 && causes[0].starts_with("name-left-out: ") && causes[0].ends_with(why)
    });
    let asked = program::output(&mut scene.ringway(HERE, &["dns", "query", name]));
    let asked = asked.expect("it answers");
    assert!(asked.contains("\n;; left out: "), "{asked}");

    fs::write(&path, before).expect("it is written");
    scene.reload(THERE);
    eventually("the name to be gone", 10, || {
        let (_, causes) = explain(scene, HERE, FROM, name, OPEN);
        causes[0].starts_with("name-missing: ")
    });
}

pub(super) fn a_rule_that_is_not_reloaded_is_named(scene: &Scene) {
    let rule = "\n[[policy.allow]]\nfrom = \"all\"\nto = [\"10.10.1.0/24\"]\nproto = \"tcp\"\n\
                ports = [9999]\n";
    append(&scene.config(THERE), rule);

    let (_, causes) = explain(scene, THERE, FROM, TO, "9999");
    let by = format!(
        "ours-unread: gateway.toml allows it ({}:",
        scene.config(THERE).display()
    );
    assert!(
        causes.len() == 1 && causes[0].starts_with(&by),
        "{causes:?}"
    );
    let tested = scene
        .ringway(THERE, &["policy", "test", FROM, TO, "--port", "9999"])
        .output();
    let tested = String::from_utf8_lossy(&tested.expect("it runs").stdout).into_owned();
    assert!(
        tested.contains("the running gateway judges otherwise"),
        "{tested}"
    );
    scene.reload(THERE);
}
