//! What an operator sees of a running gateway, and what `reload` answers, with the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually, replace};
use serde_json::Value;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org0";
const PEERS: [&str; 2] = ["gw.org1", "gw.org2"];

fn run(scene: &Scene, arguments: &[&str]) -> Output {
    let output = scene.ringway(GATEWAY, arguments).output();
    output.expect("the program runs")
}

/// Exit code and what was printed, stdout first.
fn answer(scene: &Scene, arguments: &[&str]) -> (i32, String, String) {
    let output = run(scene, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");

    (
        output.status.code().expect("it ends by itself"),
        text(output.stdout),
        text(output.stderr),
    )
}

fn kinds(scene: &Scene) -> Vec<String> {
    let status = scene.status(GATEWAY);
    let items = status["attention"].as_array().expect("there is a list");
    let kinds = items.iter().map(|item| item["kind"].as_str());

    kinds
        .map(|kind| kind.expect("each has a kind").to_owned())
        .collect()
}

#[test]
fn the_exit_code_of_a_check_says_how_the_gateway_is() {
    let mut scene = Scene::new("state", RINGWAY);
    let (code, out, err) = answer(&scene, &["status", "--check", "--wait"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "good: 2 of 2 tunnels up\n", "")
    );

    scene.stop(PEERS[1]);
    eventually("the tunnel to be down", 15, || {
        answer(&scene, &["status", "--check"]).0 == 1
    });
    assert_eq!(kinds(&scene), ["tunnel-down"]);
    let report = answer(&scene, &["status", "--json"]).1;
    let report: Value = serde_json::from_str(&report).expect("it prints JSON");
    let remedy = report["attention"][0]["remedy"].to_string();
    let option = format!(" -c {}   # ", scene.config(GATEWAY).display());
    assert!(remedy.contains(&option), "{remedy}");
    let (_, out, _) = answer(&scene, &["status"]);
    assert!(
        out.starts_with("Attention (1)\n  tunnel-down since "),
        "{out}"
    );
    assert!(
        out.contains("\ngateway gw.org0: 1 of 2 tunnels up\n"),
        "{out}"
    );
    let (code, _, _) = answer(&scene, &["status", "--wait", "--timeout", "1"]);
    assert_eq!(code, 1, "not within a second");

    scene.stop(PEERS[0]);
    eventually("both tunnels to be down", 15, || {
        answer(&scene, &["status", "--check"]).0 == 2
    });

    for peer in PEERS {
        scene.start(peer).expect("it starts");
    }
    let (code, _, err) = answer(&scene, &["status", "--wait", "--timeout", "60"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let tunnel = scene.tunnel(GATEWAY, PEERS[1]).expect("it has one");
    let outage = &tunnel["outages"][0];
    assert!(
        outage["lasted_s"].is_number() && outage["reason"].is_string(),
        "{tunnel}"
    );
    assert_eq!(
        tunnel["endpoints"].as_array().map(Vec::len),
        Some(2),
        "{tunnel}"
    );
    let (_, out, _) = answer(&scene, &["status", "--peer", PEERS[1]]);
    assert!(out.contains("\n  outage        from "), "{out}");

    scene.stop(GATEWAY);
    let (code, out, _) = answer(&scene, &["status", "--check"]);
    assert_eq!(code, 2);
    assert!(
        out.starts_with("down: ") && out.contains("no running gateway"),
        "{out}"
    );
    scene.close();
}

#[test]
fn a_running_gateway_whose_file_is_gone_is_found_and_reported() {
    let scene = Scene::new("no-file", RINGWAY);
    let file = scene.config(GATEWAY);
    let away = file.with_extension("away");
    fs::rename(&file, &away).expect("it is there");

    let (code, out, err) = answer(&scene, &["status", "--check"]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.contains("gateway.toml is missing: this gateway runs"),
        "{out}"
    );
    let (_, out, _) = answer(&scene, &["status"]);
    assert!(
        out.starts_with("Attention (1)\n  reload-refused since "),
        "{out}"
    );
    let (code, _, err) = answer(&scene, &["reload"]);
    assert!(code == 64 && err.contains("cannot read the file"), "{err}");

    fs::rename(&away, &file).expect("it is there");
    assert_eq!(answer(&scene, &["reload"]).0, 0);
    assert_eq!(answer(&scene, &["status", "--check"]).0, 0);
    scene.close();
}

#[test]
fn a_reload_answers_with_what_has_changed_or_every_fault() {
    let scene = Scene::new("reload", RINGWAY);
    let file = scene.config(GATEWAY);
    assert_eq!(
        answer(&scene, &["reload"]),
        (
            0,
            "reloaded\n  nothing has changed\n".to_owned(),
            String::new()
        )
    );

    append(
        &file,
        "\n[[dns.host]]\nname = \"new\"\naddresses = [\"10.10.0.77\"]\n",
    );
    let (code, out, err) = answer(&scene, &["reload"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("\n  + name new.org0.consortium.example 10.10.0.77"),
        "{out}"
    );

    // Each of several faults, with its line; and what needs a restart is one.
    replace(&file, "[::]:4600", "[::]:4700");
    replace(&file, "name = \"ringway0\"", "name = \"other0\"");
    let (code, out, err) = answer(&scene, &["reload"]);
    assert_eq!(code, 64);
    assert!(
        out.starts_with("refused: the files are not what runs\n"),
        "{out}"
    );
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    for (line, key) in lines.iter().zip(["listen", "tun.name"]) {
        let expected = format!("{key} cannot change at a reload; restart the daemon");
        assert!(line.ends_with(&expected), "{line}");
        let place = line.strip_prefix(&format!("{}:", file.display()));
        let number = place.and_then(|place| place.split(':').next());
        assert!(
            number.is_some_and(|number| number.parse::<u32>().is_ok()),
            "{line}"
        );
    }

    let report: Value =
        serde_json::from_str(&answer(&scene, &["reload", "--json"]).1).expect("it prints JSON");
    assert_eq!(report["adopted"], false);
    assert_eq!(report["faults"].as_array().map(Vec::len), Some(2));
    assert_eq!(kinds(&scene), ["reload-refused"]);
    assert_eq!(scene.status(GATEWAY)["last_reload"]["adopted"], false);
    scene.close();
}

/// What the admin socket answers a member of its group, who is neither root nor the daemon.
fn answer_to_the_group(socket: &Path, request: &str) -> String {
    const ASK: &str = "import socket, sys\n\
        stream = socket.socket(socket.AF_UNIX)\n\
        stream.connect(sys.argv[1])\n\
        stream.sendall(sys.argv[2].encode() + b'\\n')\n\
        print(stream.makefile().read())";
    let mut asker = Command::new("setpriv");
    asker.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        ASK,
    ]);

    let output = asker
        .arg(socket)
        .arg(request)
        .output()
        .expect("setpriv runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("JSON")
}

#[test]
fn the_group_of_the_admin_socket_may_ask_and_change_nothing() {
    let mut scene = Scene::beside_others("socket-group", RINGWAY);
    let socket = std::env::temp_dir().join(format!("ringway-group-{}.sock", std::process::id()));
    scene.stop(GATEWAY);
    let keys = format!("version = 1\nsocket = {socket:?}\nsocket-group = \"nogroup\"\n");
    replace(&scene.config(GATEWAY), "version = 1\n", &keys);
    scene.start(GATEWAY).expect("the gateway starts");
    scene.wait_until_joined().expect("the tunnels come up");

    for question in ["role", "metrics", "rules 10.10.0.11 10.10.1.11 tcp 22"] {
        let answer = answer_to_the_group(&socket, question);
        assert!(!answer.contains("\"error\""), "{question}: {answer}");
    }
    for change in ["reload", "drain", "drain cancel"] {
        let answer = answer_to_the_group(&socket, change);
        assert!(
            answer.contains("only root and the gateway's own user"),
            "{change}: {answer}"
        );
    }
    let reloaded = program::output(&mut scene.ringway(GATEWAY, &["reload"]));
    assert!(reloaded.is_ok(), "root may: {reloaded:?}");
    scene.close();
}
