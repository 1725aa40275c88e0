//! A reload is refused, for each of many reasons, while a revocation waits in another record: it is
//! put in force all the same. What cannot be read takes nothing away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually, replace};

use crate::RINGWAY;

/// Limit for a revoked gateway to lose its sessions.
const CONTRACT: Duration = Duration::from_secs(1);

const GATEWAY: &str = "gw.org0";
const REVOKED: &str = "gw.org2";
const BYSTANDER: &str = "gw.org1";

/// What no gateway.toml has. `status` still finds the socket in it.
const UNKNOWN: &str = "\n[nonsense]\n";

/// A reason for which a reload is refused: a name, and what brings it about in the directory of
/// `gateway.toml`.
type Reason = (&'static str, fn(&Path));

const REASONS: [Reason; 13] = [
    ("a file that is no TOML", |dir| {
        append(&dir.join("gateway.toml"), "\nports = [\n")
    }),
    ("a table that nobody knows", |dir| {
        append(&dir.join("gateway.toml"), UNKNOWN)
    }),
    ("an unknown key", |dir| {
        replace(
            &dir.join("gateway.toml"),
            "version = 1\n",
            "version = 1\nunknown = 1\n",
        );
    }),
    ("a setting that needs a restart", |dir| {
        replace(&dir.join("gateway.toml"), "[::]:4600", "[::]:4700");
    }),
    ("another record that is cut short", |dir| {
        replace(&dir.join("members/org1.member.toml"), "\n[end]\n", "\n");
    }),
    ("another record of the same serial", |dir| {
        append_comment(&dir.join("members/org1.member.toml"));
    }),
    ("another record of another consortium", |dir| {
        replace(
            &dir.join("members/org1.member.toml"),
            "consortium.example",
            "other.example",
        );
    }),
    ("a record that overlaps with another", |dir| {
        let text = fs::read_to_string(dir.join("members/org1.member.toml")).expect("a record");
        fs::write(
            dir.join("members/org9.member.toml"),
            text.replace("\"org1\"", "\"org9\""),
        )
        .expect("a writable directory");
    }),
    ("a file that is no record", |dir| {
        fs::write(dir.join("members/notes.toml"), "x").expect("a writable directory");
    }),
    ("our own record cannot be read", |dir| {
        replace(&dir.join("org0.member.toml"), "\n[end]\n", "\n");
    }),
    ("our own certificate is none", |dir| {
        fs::write(dir.join("gateway.crt"), "nonsense").expect("a writable directory");
    }),
    ("our zone has faults", |dir| {
        append(
            &dir.join("gateway.toml"),
            "\n[[dns.record]]\nname = \"gw\"\ntype = \"CNAME\"\ndata = \"elsewhere\"\n",
        );
    }),
    ("a rule that does not parse", |dir| {
        append(
            &dir.join("gateway.toml"),
            "\n[[policy.allow]]\nfrom = \"all\"\n",
        );
    }),
];

/// Another text, and the same serial.
fn append_comment(record: &Path) {
    replace(record, "version = 2\n", "# more\nversion = 2\n");
}

#[test]
fn a_revocation_takes_effect_in_every_refused_reload() {
    let scene = Scene::new("refused", RINGWAY);
    let dir = scene.beside(GATEWAY, "");
    let files = Files::of(&dir);
    let bystander = scene.up_since(GATEWAY, BYSTANDER);

    for (round, (reason, spoil)) in REASONS.into_iter().enumerate() {
        let serial = 2 * round + 2;
        spoil(&dir);
        revoke(&dir, serial);
        let logged = scene.logged(GATEWAY).len();
        let start = Instant::now();
        scene.reload(GATEWAY);
        eventually(reason, 10, || !scene.is_up(GATEWAY, REVOKED));
        assert!(
            start.elapsed() < CONTRACT,
            "{reason}: {:?}",
            start.elapsed()
        );

        // Refused it was: the control of this test.
        assert!(
            scene.logged(GATEWAY)[logged..].contains("Reload refused"),
            "{reason}"
        );
        let attention = scene.status(GATEWAY)["attention"].to_string();
        for part in ["the last reload was refused", "org2: revoked gateway gw"] {
            assert!(attention.contains(part), "{reason}: {part}: {attention}");
        }

        // The copy of before does not bring it back.
        files.restore(&dir);
        let logged = scene.logged(GATEWAY).len();
        scene.reload(GATEWAY);
        eventually("the refusal of the older record", 5, || {
            scene.logged(GATEWAY)[logged..].contains("is older than what this gateway has accepted")
        });
        assert!(!scene.is_up(GATEWAY, REVOKED), "{reason}");

        // Its organization takes the revocation back.
        set_serial(&dir, serial + 1);
        scene.reload(GATEWAY);
        eventually("the tunnel to come back", 15, || {
            scene.is_up(GATEWAY, REVOKED)
        });
        let attention = scene.status(GATEWAY)["attention"].to_string();
        assert!(!attention.contains("was refused"), "{reason}: {attention}");
    }
    assert_eq!(scene.up_since(GATEWAY, BYSTANDER), bystander);
    scene.close();
}

#[test]
fn a_removal_takes_effect_and_a_missing_or_empty_directory_removes_nobody() {
    let scene = Scene::new("removal", RINGWAY);
    let dir = scene.beside(GATEWAY, "");
    let files = Files::of(&dir);
    let since = || [BYSTANDER, REVOKED].map(|peer| scene.up_since(GATEWAY, peer));
    let before = since();

    for empties in [false, true] {
        fs::rename(dir.join("members"), dir.join("away")).expect("a directory");
        if empties {
            fs::create_dir(dir.join("members")).expect("a writable directory");
        }
        let logged = scene.logged(GATEWAY).len();
        scene.reload(GATEWAY);
        eventually("the refusal in the log", 5, || {
            scene.logged(GATEWAY)[logged..].contains("Reload refused")
        });
        // Another reload, to see that the first has ended.
        _ = fs::remove_dir(dir.join("members"));
        fs::rename(dir.join("away"), dir.join("members")).expect("a directory");
        scene.reload(GATEWAY);
        eventually("the reload", 5, || {
            scene.logged(GATEWAY)[logged..].contains("Configuration reloaded")
        });
        assert_eq!(since(), before, "emptied: {empties}");
    }

    append(&dir.join("gateway.toml"), UNKNOWN);
    fs::remove_file(dir.join("members/org2.member.toml")).expect("a record");
    scene.reload(GATEWAY);
    eventually("the removed member's tunnel to disappear", 5, || {
        scene.tunnel(GATEWAY, REVOKED).is_none()
    });
    assert_eq!(scene.verdict(GATEWAY, "10.10.2.0/24"), None);
    assert_eq!(scene.up_since(GATEWAY, BYSTANDER), before[0]);

    // The last members, by the command, which needs no sound file of the gateway's.
    files.restore(&dir);
    for org in ["org1", "org2"] {
        program::output(&mut scene.ringway(GATEWAY, &["member", "remove", org])).expect("a member");
    }
    scene.reload(GATEWAY);
    eventually("the last members to be gone", 5, || {
        scene.tunnel(GATEWAY, BYSTANDER).is_none() && scene.tunnel(GATEWAY, REVOKED).is_none()
    });
    scene.close();
}

fn revoke(dir: &Path, serial: usize) {
    let record = dir.join("members/org2.member.toml");
    replace(
        &record,
        "[revoked]\ngateways = []",
        "[revoked]\ngateways = [\"gw\"]",
    );
    set_serial(dir, serial);
}

fn set_serial(dir: &Path, serial: usize) {
    let record = dir.join("members/org2.member.toml");
    let text = fs::read_to_string(&record).expect("a record");
    let lines = text
        .lines()
        .map(|line| match line.strip_prefix("serial = ") {
            Some(_) => format!("serial = {serial}\n"),
            None => format!("{line}\n"),
        });
    fs::write(&record, lines.collect::<String>()).expect("a writable directory");
}

/// The files of a gateway as they were at the beginning.
struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    fn of(dir: &Path) -> Files {
        let mut files = Vec::new();
        for dir in [dir.to_owned(), dir.join("members")] {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    files.push((path.clone(), fs::read(path).expect("a file")));
                }
            }
        }
        Files(files)
    }

    fn restore(&self, dir: &Path) {
        for entry in fs::read_dir(dir.join("members")).expect("a directory") {
            fs::remove_file(entry.expect("an entry").path()).expect("a file");
        }
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).expect("a writable file");
        }
    }
}
