//! Attached nodes in the rules of their gateway: `acme/node:db1`.

use super::workspace::Workspace;

const FILE: &str = "acme/gateway.toml";

/// acme, with beta as a member, its node db1 at 10.211.9.9, and these rules.
fn workspace(rules: &str) -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
        .ringway(&format!(
            "node add db1 --prefix 10.211.9.9/32 --prefix fd00:211::9/128 -c {FILE}"
        ))
        .succeeds();

    let text = workspace.read(FILE);
    let (head, _) = text.split_once("\n[policy]").unwrap();
    let nodes = text.find("[[node]]").unwrap();
    workspace.write(FILE, &format!("{head}\n{}\n{rules}", &text[nodes..]));
    workspace
}

const RULES: &str = r#"
[policy]
egress = "none"

[[policy.allow]]
from = "beta"
to = "acme/node:db1"
proto = "tcp"
ports = 5432

[[policy.allow-egress]]
from = "acme/node:db1"
to = "beta"
proto = "icmp"

[[policy.test]]
from = "acme/node:db1"
to = "beta"
proto = "icmp"
expect = "allow"
"#;

#[test]
fn a_rule_names_a_node_of_its_gateway() {
    let workspace = workspace(RULES);
    workspace.ringway(&format!("check -c {FILE}")).succeeds();

    let out = workspace
        .ringway(&format!("policy show -c {FILE}"))
        .succeeds()
        .out;
    for text in [
        "beta  acme/node:db1  tcp 5432",
        "acme/node:db1  beta  icmp echo",
        "acme/node:db1  10.211.9.9, fd00:211::9\n",
    ] {
        assert!(out.contains(text), "{text}\n{out}");
    }

    for (question, code) in [
        ("acme/node:db1 beta --proto icmp", 0),
        ("10.211.9.9 beta --proto icmp", 0),
        ("10.211.9.10 beta --proto icmp", 1),
        ("acme/node:db1 beta --port 22", 1),
        ("beta acme/node:db1 --port 5432", 0),
        ("beta 10.211.9.10 --port 5432", 1),
    ] {
        let answer = workspace.ringway(&format!("policy test {question} -c {FILE}"));
        assert_eq!(answer.code, code, "{question}: {}", answer.out);
    }
    let out = workspace
        .ringway(&format!(
            "policy test acme/node:db1 beta --proto icmp -c {FILE}"
        ))
        .succeeds()
        .out;
    assert!(
        out.contains("from acme/node:db1 to beta: icmp echo"),
        "{out}"
    );

    for unknown in ["acme/node:db2", "beta/node:db1"] {
        let answer = workspace.ringway(&format!("policy test {unknown} beta --port 1 -c {FILE}"));
        assert_eq!(answer.code, 64, "{}", answer.out);
        assert!(
            answer.err.contains("there is no [[node]] db"),
            "{}",
            answer.err
        );
    }
}

#[test]
fn a_rule_is_added_for_a_node() {
    let workspace = workspace(RULES);
    let allow = |to: &str| {
        workspace.ringway(&format!(
            "policy allow --from beta --to {to} --port 22 -c {FILE}"
        ))
    };
    allow("acme/node:db1").succeeds();
    let test = format!("policy test beta acme/node:db1 --port 22 -c {FILE}");
    workspace.ringway(&test).succeeds();

    let before = workspace.read(FILE);
    assert_eq!(allow("acme/node:db2").code, 64);
    assert_eq!(workspace.read(FILE), before);
}

#[test]
fn a_rule_follows_the_prefixes_of_the_node() {
    let workspace = workspace(RULES);
    let test = |address: &str| {
        let asked = format!("policy test {address} beta --proto icmp -c {FILE}");
        workspace.ringway(&asked).code
    };
    workspace.edit(FILE, "10.211.9.9/32", "10.211.9.16/28");
    assert_eq!([test("10.211.9.9"), test("10.211.9.31")], [1, 0]);
}

#[test]
fn the_removal_of_a_node_names_the_rules_that_name_it() {
    let workspace = workspace(RULES);
    let text = workspace.read(FILE);
    let line = text
        .lines()
        .position(|line| line == "[[policy.allow-egress]]");
    let place = format!("{FILE}:{}:1", line.unwrap() + 1);

    let out = workspace
        .ringway(&format!("node remove db1 -c {FILE}"))
        .succeeds()
        .out;
    assert!(
        out.contains("Rules still name it: ") && out.contains(&place),
        "{out}"
    );
    let refused = workspace.ringway(&format!("check -c {FILE}"));
    assert_eq!(refused.code, 64, "{}", refused.out);
    // The two rules, and the test.
    let faults = refused.err.lines();
    let faults = faults.filter(|line| line.contains("there is no [[node]] \"db1\" here; add it"));
    assert_eq!(faults.count(), 3, "{}", refused.err);
}
