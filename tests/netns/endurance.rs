//! A gateway that is operated for long: thousands of reloads, half of them broken, and a week of
//! rotations, reloads, takeovers and changes of names in little time. What they do not concern
//! loses nothing, and memory, descriptors and threads stay as they were.
//!
//! Short unless `RINGWAY_RELOADS`, `RINGWAY_WEEK_HOURS` and `RINGWAY_HOUR_SECONDS` say otherwise
//! (`tests/campaign reloads week`).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use ringway_lab::program;
use ringway_tests::scene::{append, eventually, eventually_ok, replace};
use ringway_tests::siblings::{Fault, SIBLINGS, active};
use ringway_tests::{Flow, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
/// Its tunnel to here goes on through all reloads.
const UNTOUCHED: &str = "gw.org0";
/// This member comes and goes.
const MEMBER: &str = "members/org2.member.toml";

const HOST: &str = "\n[[dns.host]]\nname = \"new\"\naddresses = \"10.10.1.99\"\n";
const RULE: &str =
    "\n[[policy.allow]]\nfrom = \"all\"\nto = \"peer0\"\nproto = \"udp\"\nports = 7\n";

/// A change of the files in a gateway's directory.
type Change = fn(&Path);

/// Each is taken back by the sound reload after it.
const SOUND: [Change; 3] = [
    |dir| append(&dir.join("gateway.toml"), HOST),
    |dir| append(&dir.join("gateway.toml"), RULE),
    |dir| fs::remove_file(dir.join(MEMBER)).expect("it is there"),
];

const BROKEN: [Change; 6] = [
    |dir| append(&dir.join("gateway.toml"), "\nports = [\n"),
    |dir| append(&dir.join("gateway.toml"), "\n[nonsense]\n"),
    |dir| {
        append(
            &dir.join("gateway.toml"),
            "\n[[policy.allow]]\nfrom = \"all\"\n",
        )
    },
    |dir| replace(&dir.join("gateway.toml"), "[::]:4600", "[::]:4700"),
    |dir| fs::write(dir.join("gateway.crt"), "nonsense").expect("a writable file"),
    |dir| fs::write(dir.join("members/notes.toml"), "x").expect("a writable directory"),
];

/// Daemons are given so much more memory than at the first measurement, and this part of it.
const MORE_KIB: u64 = 4096;
const PART: u64 = 8;

#[test]
fn reloads_of_which_half_are_broken_lose_nothing_of_an_untouched_tunnel() {
    // In the short form, members stay.
    let reloads = number_of("RINGWAY_RELOADS", 8);
    let scene = Scene::new("reloads", RINGWAY);
    let dir = scene.beside(GATEWAY, "");
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org1");
    let since = scene.up_since(GATEWAY, UNTOUCHED);
    let sound = Files::of(&dir);
    let begin = Instant::now();

    let mut before = None;
    for round in 0..reloads {
        match round % 4 {
            0 => SOUND[round / 4 % SOUND.len()](&dir),
            2 => sound.restore(&dir),
            _ => {
                let kept = Files::of(&dir);
                BROKEN[round / 2 % BROKEN.len()](&dir);
                reload(&scene, 64);
                kept.restore(&dir);
                continue;
            }
        }
        reload(&scene, 0);
        // After everything has happened, and what is built up at first is there.
        if round == (reloads / 16).max(1) * 4 {
            before = Some(Use::of(&scene, GATEWAY));
        }
    }

    let took = begin.elapsed().as_secs();
    let before = before.expect("one of the rounds");
    let after = Use::of(&scene, GATEWAY);
    let tally = flow.finish();
    println!(
        "result: {reloads} reloads in {took} s, half of them refused; of {} pings through a \
         tunnel that they do not concern {} lost; {before}, at the end {after}",
        tally.replies + tally.lost,
        tally.lost
    );
    assert_eq!(scene.up_since(GATEWAY, UNTOUCHED), since);
    assert_eq!(tally.lost, 0, "across all reloads");
    before.assert_flat(&scene, GATEWAY);
    scene.close();
}

/// Each hour names change; twice a day every certificate is renewed, and the active gateway of a
/// site drained.
#[test]
fn a_week_of_operation_leaves_memory_descriptors_and_threads_as_they_were() {
    let hours = number_of("RINGWAY_WEEK_HOURS", 2);
    let pace = Duration::from_secs(number_of("RINGWAY_HOUR_SECONDS", 0) as u64);
    let mut scene = Scene::with_siblings("week", RINGWAY);
    eventually("one to be active", 20, || active(&scene).is_some());
    let gateways = [SIBLINGS[0], SIBLINGS[1], GATEWAY, "gw.org2"];
    let flow = Flow::start(&scene, "peer0.org1", "peer0.org2");
    append(&scene.config(GATEWAY), HOST);
    let begin = Instant::now();

    let mut before = Vec::new();
    let mut takeovers = 0;
    for hour in 0..hours {
        change_a_name(&scene, hour);
        if hour % 12 == 1 {
            renew_all(&scene, &gateways);
            drain_the_active(&mut scene);
            takeovers += 1;
        }
        // After everything has happened, and what is built up at first is there.
        if hour == 1.max(hours / 4) {
            before = gateways.map(|gateway| Use::of(&scene, gateway)).into();
        }
        let next = pace * u32::try_from(hour + 1).expect("a few hours");
        std::thread::sleep(next.saturating_sub(begin.elapsed()));
    }

    let took = begin.elapsed().as_secs();
    let tally = flow.finish();
    println!(
        "result: {hours} hours in {took} s: {hours} changes of names, {} renewals, {takeovers} \
         takeovers; of {} pings between two other sites {} lost",
        takeovers * gateways.len(),
        tally.replies + tally.lost,
        tally.lost
    );
    for (gateway, before) in gateways.iter().zip(&before) {
        let after = Use::of(&scene, gateway);
        println!("result: {gateway}: {before}, at the end {after}");
    }
    assert_eq!(tally.lost, 0, "across the week");
    for (gateway, before) in gateways.iter().zip(&before) {
        before.assert_flat(&scene, gateway);
    }
    scene.close();
}

/// The number in this variable of the environment, or else `short`.
fn number_of(variable: &str, short: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(short, |text| text.parse().expect("a number"))
}

fn reload(scene: &Scene, code: i32) {
    let output = scene.ringway(GATEWAY, &["reload"]).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
}

/// The host has another address, which a member's gateway answers with.
fn change_a_name(scene: &Scene, hour: usize) {
    let config = scene.config(GATEWAY);
    let text = fs::read_to_string(&config).expect("it is there");
    let (head, _) = text.rsplit_once("addresses").expect("the host's");
    let address = format!("10.10.1.{}", 100 + hour % 100);
    fs::write(&config, format!("{head}addresses = \"{address}\"\n")).expect("a writable file");

    reload(scene, 0);
    let name = "new.org1.consortium.example";
    eventually(&format!("{name} to be {address}"), 20, || {
        let dig = ["+short", "+tries=1", "+timeout=2", "@10.10.2.1", name];
        let answer = scene.output_of_any_exit("peer0.org2", "dig", &dig);
        answer.trim() == address
    });
}

fn renew_all(scene: &Scene, gateways: &[&str]) {
    for gateway in gateways {
        // The CA is beside the first gateway of its organization.
        let first = gateway.replace("gw2.", "gw.");
        let ca = scene.beside(&first, "ca").display().to_string();
        let renew = scene.ringway(gateway, &["cert", "renew", "--new-key", "--ca", &ca]);

        for mut command in [renew, scene.ringway(gateway, &["reload"])] {
            program::output(&mut command).unwrap_or_else(|error| panic!("{gateway}: {error:#}"));
        }
    }
}

fn drain_the_active(scene: &mut Scene) {
    let gateway = active(scene).expect("one is active");
    Fault::Drain.strike(scene, gateway);
    Fault::Drain.repair(scene, gateway);
}

/// The files of a gateway that the changes concern.
struct Files(Vec<(std::path::PathBuf, Vec<u8>)>);

impl Files {
    fn of(dir: &Path) -> Files {
        let names = ["gateway.toml", "gateway.crt", MEMBER];
        let files = names.iter().filter_map(|name| {
            let path = dir.join(name);
            let bytes = fs::read(&path).ok()?;
            Some((path, bytes))
        });
        Files(files.collect())
    }

    fn restore(&self, dir: &Path) {
        let _ = fs::remove_file(dir.join("members/notes.toml"));
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).expect("a writable directory");
        }
    }
}

/// What a daemon uses.
#[derive(Debug, Clone, Copy)]
struct Use {
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let memory = self.memory_kib / 1024;
        write!(
            f,
            "{memory} MiB, {} descriptors, {} threads",
            self.descriptors, self.threads
        )
    }
}

impl Use {
    fn of(scene: &Scene, gateway: &str) -> Use {
        let pid = scene.process(gateway).expect("it runs").pid;
        let count = |what: &str| {
            let entries = fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs");
            entries.count()
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().split(' ').next());

        Use {
            memory_kib: resident.and_then(|kib| kib.parse().ok()).expect("a number"),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// Fails the test unless the daemon comes back to this, when what is replaced has drained.
    fn assert_flat(&self, scene: &Scene, gateway: &str) {
        let most = self.memory_kib + self.memory_kib / PART + MORE_KIB;
        let what = format!("{gateway} to use what it used before: {self}");

        eventually_ok(&what, 60, || {
            let now = Use::of(scene, gateway);
            let is_flat = now.memory_kib <= most
                && now.descriptors <= self.descriptors
                && now.threads <= self.threads;
            ensure!(is_flat, "{now}");
            Ok(())
        });
    }
}
