//! A data centre without a gateway, behind a router in org1's site: hosts of other organizations
//! reach it through org1's gateway, and it reaches them, under the policy of both ends. First it is
//! org1's own; another one is org2's, which org1 has to consent to.
//!
//! ```text
//!   orderer0.org0 ── gw.org0 ═══ WAN ═══ gw.org1 ── peer0.org1 ── 10.20.1.11 (org1/idc)
//!                                                                 10.20.2.11 (org2/plant)
//! ```

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use ringway_config::Digest;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::data_centre::DataCentre;
use ringway_tests::scene::{append, eventually, eventually_ok};
use ringway_tests::{Background, Scene, inside};

use crate::RINGWAY;

const LIMIT: Duration = Duration::from_secs(10);

/// Limit for what is taken away to be out of force.
const CONTRACT: Duration = Duration::from_secs(1);

pub(crate) const HOST: &str = "orderer0.org0";
pub(crate) const ADDRESS: &str = "10.10.0.11";
pub(crate) const IDC: &str = "10.20.1.11";
const PLANT: &str = "10.20.2.11";

/// What others may reach behind gw.org1.
pub(crate) const AT_ORG1: &str = "
[[policy.allow]]
from = \"org0\"
to = [\"10.20.1.0/24\", \"10.20.2.0/24\"]
proto = \"icmp\"

[[policy.allow]]
from = \"org0\"
to = [\"10.20.1.0/24\", \"10.20.2.0/24\"]
proto = \"tcp\"
ports = 9001
";

/// A port for each way to say who may use it.
const AT_ORG0: &str = "
[[policy.allow]]
from = \"org1\"
to = \"10.10.0.0/24\"
proto = \"tcp\"
ports = 9011

[[policy.allow]]
from = [\"org1/idc\", \"org2/plant\"]
to = \"10.10.0.0/24\"
proto = \"tcp\"
ports = 9012

[[policy.allow]]
from = \"org2\"
to = \"10.10.0.0/24\"
proto = \"tcp\"
ports = 9013
";

/// Changes the record of an organization by a command, and hands it to the two others.
pub(crate) fn change(scene: &Scene, owner: &str, arguments: &[&str]) {
    program::output(&mut scene.ringway(owner, arguments)).expect("a sound change");
    scene.reload(owner);

    let (_, org) = owner.split_once('.').expect("a gateway's name");
    let record = scene.beside(owner, &format!("{org}.member.toml"));
    let digest = Digest::of(&fs::read(&record).expect("it exists")).to_string();
    for other in ["gw.org0", "gw.org1", "gw.org2"] {
        if other != owner {
            let mut add = scene.ringway(other, &["member", "add"]);
            add.arg(&record).args(["--fingerprint", &digest]);
            program::output(&mut add).expect("nothing overlaps");
            scene.reload(other);
        }
    }
}

fn servers(scene: &Scene) -> [Background; 3] {
    [9011, 9012, 9013].map(|port| {
        let number = port.to_string();
        let arguments = ["-m", "http.server", "--bind", ADDRESS, &number];
        Background::server(scene, HOST, port, "python3", &arguments)
    })
}

/// The ports of the host in org0 that a host of the data centre reaches.
fn reached(behind: &DataCentre, source: &str) -> Vec<u16> {
    let ports = [9011, 9012, 9013].into_iter();
    ports
        .filter(|port| behind.connects(source, ADDRESS, *port))
        .collect()
}

/// Waits until all that gw.org0 finds is its rule for the site that a test does not have.
fn needs_only(scene: &Scene, expected: &str) {
    eventually_ok("one finding", 10, || {
        let status = scene.status("gw.org0");
        let list = status["attention"].as_array().cloned().unwrap_or_default();
        let [finding] = &list[..] else {
            bail!("{list:?}");
        };
        let what = finding["what"].as_str().unwrap_or_default();
        ensure!(what.contains(expected), "{what}");
        Ok(())
    });
}

pub(crate) fn ping(scene: &Scene, to: &str, expected: &Outcome) {
    scene.ping_until(HOST, to, Family::V4, expected, LIMIT);
}

#[test]
fn a_subnet_behind_a_sites_router_and_members_reach_each_other_under_policy() {
    let scene = Scene::new("via", RINGWAY);
    let mut behind = DataCentre::connect(&scene);
    behind.serve(9001);
    behind.serve(9002);
    append(&scene.config("gw.org1"), AT_ORG1);
    append(&scene.config("gw.org0"), AT_ORG0);
    let servers = servers(&scene);

    let site = "idc=10.20.1.0/24";
    change(&scene, "gw.org1", &["site", "add", site, "--via", "vpc"]);
    ping(&scene, IDC, &Outcome::Reply);
    assert!(behind.pings(IDC, ADDRESS));
    assert!(inside::connects(&scene, HOST, IDC, 9001));
    assert!(
        !inside::connects(&scene, HOST, IDC, 9002),
        "no rule at org1"
    );
    assert!(
        !inside::connects(&scene, "peer0.org2", IDC, 9001),
        "no rule for org2"
    );
    assert_eq!(reached(&behind, IDC), [9011, 9012]);

    // What the status says of it, elsewhere and here.
    let route = |gateway: &str| {
        let status = scene.status(gateway);
        let routes = status["routes"].as_array().cloned().unwrap_or_default();
        let route = routes
            .into_iter()
            .find(|route| route["prefix"] == "10.20.1.0/24");
        route.expect("it is listed")
    };
    let theirs = route("gw.org0");
    assert_eq!(theirs["via"], "vpc");
    assert_eq!(theirs["gateway"], "gw.org1");
    assert_eq!(route("gw.org1")["served_here"], true);
    needs_only(&scene, "org org2 has no site plant");

    // Nobody speaks for it but the gateways that serve it, and it speaks for nobody else.
    scene.sh("gw.org1", "ip route add 10.20.3.0/24 via 10.10.1.11");
    behind.sh("ip address add 10.20.3.11/24 dev eth0");
    assert!(!behind.pings("10.20.3.11", ADDRESS), "in no record");

    change(&scene, "gw.org1", &["site", "remove", "idc"]);
    ping(&scene, IDC, &Outcome::Unreachable);
    assert_eq!(reached(&behind, IDC), [0; 0]);
    scene.assert_no_leaks();

    drop((servers, behind));
    scene.close();
}

#[test]
fn a_site_of_another_organization_is_served_as_long_as_both_records_say_so() {
    let scene = Scene::new("transit", RINGWAY);
    let mut behind = DataCentre::connect(&scene);
    behind.serve(9001);
    append(&scene.config("gw.org1"), AT_ORG1);
    append(&scene.config("gw.org0"), AT_ORG0);
    let servers = servers(&scene);

    // One record without the other: the site is refused, and nothing else.
    let site = "plant=10.20.2.0/24";
    let add = ["site", "add", site, "--via", "org1/vpc"];
    change(&scene, "gw.org2", &add);
    for gateway in ["gw.org0", "gw.org1", "gw.org2"] {
        eventually("the refusal", 10, || {
            scene.verdict(gateway, "10.20.2.0/24").as_deref() == Some("refused")
        });
        let attention = scene.status(gateway)["attention"].to_string();
        assert!(
            attention.contains("site org2/plant has no route"),
            "{attention}"
        );
        assert!(scene.logged(gateway).contains("site org2/plant is refused"));
    }
    ping(&scene, PLANT, &Outcome::Unreachable);
    assert_eq!(reached(&behind, PLANT), [0; 0]);
    assert!(scene.is_up("gw.org0", "gw.org2"));

    change(&scene, "gw.org1", &["site", "transit", "add", "org2/plant"]);
    ping(&scene, PLANT, &Outcome::Reply);
    assert!(behind.pings(PLANT, ADDRESS));
    assert!(inside::connects(&scene, HOST, PLANT, 9001));
    // Neither who trusts org1 nor who trusts org2 has said anything about it.
    assert_eq!(reached(&behind, PLANT), [9012]);
    assert!(inside::connects(&scene, "peer0.org2", ADDRESS, 9013));
    needs_only(&scene, "org org1 has no site idc");

    withdraw(&scene, &behind);
    scene.assert_no_leaks();
    drop((servers, behind));
    scene.close();
}

/// The consent is withdrawn in the record that gw.org0 gets, whose reload is refused for another
/// reason: the prefix is out of force all the same, at once.
fn withdraw(scene: &Scene, behind: &DataCentre) {
    program::output(&mut scene.ringway("gw.org1", &["site", "transit", "remove", "org2/plant"]))
        .expect("a sound change");
    let record = scene.beside("gw.org1", "org1.member.toml");
    let digest = Digest::of(&fs::read(&record).expect("it exists")).to_string();
    let mut add = scene.ringway("gw.org0", &["member", "add"]);
    add.arg(&record).args(["--fingerprint", &digest]);
    program::output(&mut add).expect("nothing overlaps");
    append(&scene.config("gw.org0"), "\n[nonsense]\n");

    let begun = Instant::now();
    scene.reload("gw.org0");
    eventually("the end of the route", 10, || {
        scene.verdict("gw.org0", "10.20.2.0/24").as_deref() == Some("refused")
    });
    assert!(begun.elapsed() < CONTRACT, "{:?}", begun.elapsed());
    assert!(scene.logged("gw.org0").contains("Reload refused"));
    let attention = scene.status("gw.org0")["attention"].to_string();
    assert!(
        attention.contains("org1: no transit for org2/plant"),
        "{attention}"
    );

    // gw.org1 has not been told yet: its packets have a source that nobody may have.
    let before = scene.drops("gw.org0", "source");
    assert_eq!(reached(behind, PLANT), [0; 0]);
    assert!(scene.drops("gw.org0", "source") > before);
    ping(scene, PLANT, &Outcome::Unreachable);
}
