//! `--json` of every verb that shows something: one document, with the version of its format.

use serde_json::{Value, json};

use super::workspace::Workspace;

/// Verbs that show something from files, and the keys of their reports.
const FROM_FILES: [(&str, &[&str]); 15] = [
    (
        "member show beta/beta.member.toml",
        &["org", "serial", "fingerprint", "authorities"],
    ),
    ("member list -c acme/gateway.toml", &["members"]),
    (
        "record diff beta/beta.member.toml beta/next.member.toml",
        &["added", "removed", "after"],
    ),
    ("cert show -c acme/gateway.toml", &["certificates"]),
    ("check -c acme/gateway.toml", &["ok", "faults", "prefixes"]),
    ("doctor -c acme/gateway.toml", &["ok", "findings"]),
    (
        "dns query acme.consortium.example -c acme/gateway.toml",
        &["status", "answer"],
    ),
    ("dns zones -c acme/gateway.toml", &["zones"]),
    (
        "dns check acme/acme.zone --zone acme.consortium.example",
        &["ok", "zone", "records"],
    ),
    ("policy show -c acme/gateway.toml", &["rules", "egress"]),
    (
        "policy test beta 10.211.0.1 --port 7051 -c acme/gateway.toml",
        &["verdict"],
    ),
    ("plan -c acme/gateway.toml", &["pools", "free"]),
    ("node list -c acme/gateway.toml", &["nodes"]),
    ("node show laptop -c acme/gateway.toml", &["nodes"]),
    (
        "version",
        &[
            "version",
            "commit",
            "rustc",
            "wire",
            "features",
            "member_records",
        ],
    ),
];

/// Those that ask a gateway that runs.
const OF_A_GATEWAY: [&str; 5] = ["policy denied", "explain", "reload", "status", "role"];

fn workspace() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace.copy("beta/beta.member.toml", "beta/next.member.toml");
    workspace.set_serial("beta/next.member.toml", 2);
    workspace.edit(
        "beta/next.member.toml",
        "gateways = []",
        "gateways = [\"old\"]",
    );
    workspace.write("acme/acme.zone", "peer0 5 IN A 10.211.0.11\n");
    workspace
        .ringway("node add laptop --prefix 10.211.9.0/24 -c acme/gateway.toml")
        .succeeds();
    workspace
}

fn document(workspace: &Workspace, verb: &str) -> Value {
    let answer = workspace.ringway(&format!("{verb} --json"));
    serde_json::from_str(&answer.out)
        .unwrap_or_else(|error| panic!("{verb}: {error}: {} {}", answer.out, answer.err))
}

#[test]
fn every_verb_that_shows_something_prints_one_document_with_its_version() {
    let workspace = workspace();

    for (verb, keys) in FROM_FILES {
        let document = document(&workspace, verb);
        assert_eq!(document["schema"], 1, "{verb}");
        for key in keys {
            assert!(document.get(key).is_some(), "{verb}: no {key}: {document}");
        }
    }
}

#[test]
fn every_verb_that_takes_json_is_tried() {
    let workspace = Workspace::new();
    let mut verbs = vec![String::new()];
    let mut with_json = Vec::new();

    while let Some(verb) = verbs.pop() {
        let help = workspace.ringway(&format!("{verb} --help")).succeeds().out;
        let listed = help
            .split("\n\n")
            .find_map(|part| part.strip_prefix("Commands:\n"));
        for command in listed.unwrap_or_default().lines() {
            let name = command.split_whitespace().next().expect("no line is empty");
            // The laboratory is a program of its own.
            if command.starts_with("  ") && !command.starts_with("   ") && name != "lab" {
                verbs.push(format!("{verb} {name}").trim().to_owned());
            }
        }
        if help.contains(" --json") {
            with_json.push(verb);
        }
    }

    for verb in &with_json {
        let is_tried = |tried: &str| tried == verb || tried.starts_with(&format!("{verb} "));
        let mut tried = FROM_FILES
            .iter()
            .map(|(tried, _)| *tried)
            .chain(OF_A_GATEWAY);
        assert!(tried.any(is_tried), "ringway {verb} --json is not tried");
    }
    assert!(with_json.len() >= FROM_FILES.len() + OF_A_GATEWAY.len() - 1);
}

#[test]
fn records_are_shown_listed_and_compared() {
    let workspace = workspace();
    let fingerprint = workspace.fingerprint("beta/beta.member.toml");

    let shown = document(&workspace, FROM_FILES[0].0);
    assert_eq!(shown["fingerprint"], fingerprint.as_str());
    assert_eq!(
        shown["gateways"],
        json!([{"name": "gw", "site": "west", "endpoints": ["203.0.113.5:4600"]}])
    );
    let listed = document(&workspace, FROM_FILES[1].0);
    assert_eq!(listed["members"][0]["org"], "beta");
    assert_eq!(listed["members"][0]["fingerprint"], fingerprint.as_str());
    let compared = document(&workspace, FROM_FILES[2].0);
    assert_eq!(compared["before"]["serial"], 1);
    assert_eq!(compared["added"], json!(["revoked gateway old"]));
    assert_eq!(compared["removed"], json!([]));

    let text = workspace
        .ringway("member list -c acme/gateway.toml")
        .succeeds()
        .out;
    let row = format!("beta  1       gw        10.212.0.0/16  {fingerprint}\n");
    assert!(text.ends_with(&row), "{text}");
}

#[test]
fn the_faults_of_a_zone_file_are_part_of_the_document() {
    let workspace = workspace();
    workspace.write("acme/acme.zone", "peer0 5 IN A nonsense\n");
    let answer = workspace.ringway(&format!("{} --json", FROM_FILES[8].0));
    assert_eq!((answer.code, answer.err.as_str()), (64, ""));

    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        (&report["ok"], &report["schema"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(report["faults"][0]["line"], 1);
}
