//! `[ha]` in `ringway check`, and `ringway role`.

use serde_json::Value;

use super::workspace::Workspace;

const HA: &str = "
[ha]
addresses = [\"10.211.0.250/16\"]
interface = \"nowhere0\"
on-active = [\"/nowhere/take-over\"]
on-standby = [\"/etc/passwd\"]
";

fn with_ha() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    let file = workspace.read("acme/gateway.toml");
    workspace.write("acme/gateway.toml", &(file + HA));
    workspace
}

#[test]
fn obstacles_to_a_takeover_are_reported_and_are_no_faults_of_the_files() {
    let workspace = with_ha();
    let answer = workspace.ringway("check --json -c acme/gateway.toml");
    let report: Value = serde_json::from_str(&answer.out).expect("it is JSON");
    let findings = report["attention"].to_string();

    for part in [
        "[ha] interface nowhere0 is no interface of this host",
        "[ha] on-active: /nowhere/take-over cannot be run: No such file",
        "[ha] on-standby: /etc/passwd cannot be run: it is not executable",
    ] {
        assert!(findings.contains(part), "{part}: {findings}");
    }
    // An interface that does not exist has no address either; one cause is named once.
    assert!(
        !findings.contains("has no address of its own"),
        "{findings}"
    );
    assert_eq!(report["faults"], serde_json::json!([]));

    let answer = workspace.ringway("check -c acme/gateway.toml");
    let hint = "warning: acme/gateway.toml:";
    let lonely = "[ha] has nobody to take over: site east has no other gateway";
    let lines: Vec<&str> = answer.out.lines().collect();
    let found = lines
        .iter()
        .any(|line| line.starts_with(hint) && line.contains(lonely));
    assert!(found, "{}", answer.out);
}

#[test]
fn a_gateway_that_does_not_run_has_no_role() {
    let workspace = Workspace::with_acme_and_beta();
    let answer = workspace.ringway("role -c acme/gateway.toml");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.out.starts_with("down: "), "{answer:?}");

    let quiet = workspace.ringway("role --quiet -c acme/gateway.toml");
    assert_eq!((quiet.code, quiet.out.as_str()), (2, ""));
    let json = workspace.ringway("role --json -c acme/gateway.toml");
    let report: Value = serde_json::from_str(&json.out).expect("it is JSON");
    assert_eq!(report["role"], "down");
}
