//! A certificate revocation list beside a member's record: it ends the sessions of what it names,
//! in a refused reload too, and an older one brings nothing back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::certificate::{self, generalized_time, seconds_since_1970};
use ringway_tests::scene::{append, eventually, replace};

use crate::RINGWAY;

/// Limit for a revoked certificate's sessions to end.
const CONTRACT: Duration = Duration::from_secs(1);

const GATEWAY: &str = "gw.org0";
const REVOKED: &str = "gw.org2";
const BYSTANDER: &str = "gw.org1";

/// What no gateway.toml has.
const UNKNOWN: &str = "\n[nonsense]\n";

const OPENSSL: &str = "
[ca]
default_ca = ORG
[ORG]
certificate = ca.crt
private_key = ca.key
database = crl-index
crlnumber = crl-number
default_md = sha256
default_crl_days = 7
";

#[test]
fn a_revocation_list_ends_sessions_in_a_refused_reload_and_cannot_be_rolled_back() {
    let scene = Scene::new("crl", RINGWAY);
    let dir = scene.beside(GATEWAY, "");
    let bystander = scene.up_since(GATEWAY, BYSTANDER);
    let before = scene.up_since(GATEWAY, REVOKED);
    let serial = certificate::serial(&scene, REVOKED);

    // A list that names somebody else.
    put(&scene, 1, "0F00", None);
    reload(&scene, "Configuration reloaded");
    assert_eq!(scene.up_since(GATEWAY, REVOKED), before);
    assert_eq!(scene.status(GATEWAY)["revocation_lists"][0]["number"], "01");

    put(&scene, 2, &serial, None);
    append(&dir.join("gateway.toml"), UNKNOWN);
    let start = Instant::now();
    scene.reload(GATEWAY);
    eventually("the revoked gateway's tunnel to end", 10, || {
        !scene.is_up(GATEWAY, REVOKED)
    });
    assert!(start.elapsed() < CONTRACT, "{:?}", start.elapsed());
    let attention = scene.status(GATEWAY)["attention"].to_string();
    for part in ["the last reload was refused", "org2: revocation list 02"] {
        assert!(attention.contains(part), "{part}: {attention}");
    }

    replace(&dir.join("gateway.toml"), UNKNOWN, "");
    reload(&scene, "Configuration reloaded");
    assert!(!scene.is_up(GATEWAY, REVOKED));

    // An older list, and none.
    put(&scene, 1, "0F00", None);
    reload(
        &scene,
        "is older than what this gateway has accepted: CRL number 01",
    );
    fs::remove_file(dir.join("members/org2.crl")).expect("a list");
    reload(
        &scene,
        "is missing, although this gateway had accepted a revocation list",
    );
    assert!(!scene.is_up(GATEWAY, REVOKED));

    put(&scene, 3, "0F00", None);
    reload(&scene, "Configuration reloaded");
    eventually("the tunnel to come back", 15, || {
        scene.is_up(GATEWAY, REVOKED)
    });
    assert_eq!(scene.up_since(GATEWAY, BYSTANDER), bystander);
    scene.close();
}

#[test]
fn an_overdue_revocation_list_ends_the_sessions_of_its_organization() {
    let scene = Scene::new("overdue", RINGWAY);
    let bystander = scene.up_since(GATEWAY, BYSTANDER);

    let due = seconds_since_1970(SystemTime::now()) + 6;
    put(&scene, 1, "0F00", Some(due));
    reload(&scene, "Configuration reloaded");
    assert!(scene.is_up(GATEWAY, REVOKED), "it is not overdue yet");
    eventually("the sessions to end", 20, || !scene.is_up(GATEWAY, REVOKED));
    assert!(seconds_since_1970(SystemTime::now()) >= due);
    let attention = scene.status(GATEWAY)["attention"].to_string();
    assert!(attention.contains("is overdue since"), "{attention}");

    put(&scene, 2, "0F00", None);
    reload(&scene, "Configuration reloaded");
    eventually("the tunnel to come back", 15, || {
        scene.is_up(GATEWAY, REVOKED)
    });
    let attention = || scene.status(GATEWAY)["attention"].to_string();
    eventually("nothing to be overdue", 5, || {
        !attention().contains("is overdue since")
    });
    assert_eq!(scene.up_since(GATEWAY, BYSTANDER), bystander);
    scene.close();
}

/// Reloads, and waits until this is logged.
fn reload(scene: &Scene, line: &str) {
    let logged = scene.logged(GATEWAY).len();
    scene.reload(GATEWAY);
    eventually(line, 10, || scene.logged(GATEWAY)[logged..].contains(line));
}

/// Puts the list of org2's CA that names `serial` beside its record.
fn put(scene: &Scene, number: u32, serial: &str, due: Option<u64>) {
    let ca = scene.beside(REVOKED, "ca");
    let entry = format!("R\t350101000000Z\t250101000000Z\t{serial}\tunknown\t/CN=gw\n");
    write(&ca.join("crl-index"), &entry);
    write(&ca.join("crl-number"), &format!("{number:02X}\n"));
    write(&ca.join("crl.cnf"), OPENSSL);

    let list = scene.beside(GATEWAY, "members/org2.crl");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["ca", "-config", "crl.cnf", "-gencrl", "-out"])
        .arg(list);
    if let Some(due) = due {
        let from = generalized_time(due - 3600);
        openssl.args([
            "-crl_lastupdate",
            &from,
            "-crl_nextupdate",
            &generalized_time(due),
        ]);
    }
    program::output(openssl.current_dir(ca)).expect("a list");
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).expect("a writable directory");
}
