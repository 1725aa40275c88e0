//! `ringway policy`, and the policy's tests in `ringway check`.

use serde_json::Value;

use super::workspace::{Answer, Workspace};

const FILE: &str = "acme/gateway.toml";

/// acme with beta as a member. beta has the sites west, which its gateway serves, and spare, which
/// nobody does; acme names peer0, orderer0 and an alias.
fn workspace() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "beta/beta.member.toml",
        "[[gateway]]",
        "[[site]]\nname = \"spare\"\nprefixes = [\"10.213.0.0/16\"]\n\n[[gateway]]",
    );
    workspace.add("beta/beta.member.toml").succeeds();

    let text = workspace.read(FILE);
    let (head, _) = text.split_once("\n[policy]").unwrap();
    workspace.write(FILE, &format!("{head}\n{HOSTS}"));
    workspace
}

const HOSTS: &str = r#"[[dns.host]]
name = "peer0"
addresses = ["10.211.0.11", "fd00:211::11"]

[[dns.host]]
name = "orderer0"
addresses = ["10.211.0.10"]

[[dns.record]]
name = "anchor"
type = "CNAME"
data = "peer0"
"#;

/// The text of the rules in most tests.
const RULES: &str = r#"
[policy]
egress = "none"

# The peer, for beta.
[[policy.allow]]
from = "beta"
to = "peer0"
service = ["fabric-peer", "explorer"]

[[policy.allow]]
from = "all"
to = "10.211.0.0/24"
proto = "icmp"

[[policy.allow]]
from = "beta/spare"
to = "10.211.0.64/26"
proto = ["udp", 47]

[[policy.allow-egress]]
from = "anchor"
to = "beta"
proto = "tcp"
ports = "7050-7051"

[[policy.service]]
name = "explorer"
proto = "tcp"
ports = 8080
# The end.
"#;

fn with_rules() -> Workspace {
    let workspace = workspace();
    append(&workspace, RULES);
    workspace
}

fn append(workspace: &Workspace, text: &str) {
    let before = workspace.read(FILE);
    workspace.write(FILE, &(before + text));
}

fn test(workspace: &Workspace, arguments: &str) -> Answer {
    workspace.ringway(&format!("policy test {arguments} -c {FILE}"))
}

/// The places of rules in the answer's lines.
fn line_of(workspace: &Workspace, text: &str) -> String {
    let content = workspace.read(FILE);
    let line = content.lines().position(|line| line == text).unwrap() + 1;
    format!("{FILE}:{line}:1")
}

#[test]
fn the_verdict_names_the_rule_and_is_the_exit_code() {
    let workspace = with_rules();
    for (arguments, code, verdict) in [
        ("beta peer0 --port 7051", 0, "allow"),
        ("beta peer0 --service explorer", 0, "allow"),
        ("10.212.3.4 10.211.0.11 --port 8080/tcp", 0, "allow"),
        ("beta/west anchor --service fabric-peer", 0, "allow"),
        (
            "10.212.3.4 peer0.acme.consortium.example --port 7051",
            0,
            "allow",
        ),
        ("all 10.211.0.9 --proto icmp", 0, "allow"),
        ("beta/spare 10.211.0.70 --port 53/udp", 0, "allow"),
        ("beta/spare 10.211.0.70 --proto 47", 0, "allow"),
        ("peer0 beta --port 7050-7051", 0, "allow"),
        // Only the sites that beta serves itself, and only what the rules list.
        ("beta/spare peer0 --port 7051", 1, "deny"),
        ("10.213.0.1 peer0 --port 7051", 1, "deny"),
        ("beta peer0 --port 7051/udp", 1, "deny"),
        ("beta peer0 --port 7052", 1, "deny"),
        ("beta orderer0 --port 7051", 1, "deny"),
        ("beta 10.211.0.70 --proto 47", 1, "deny"),
        ("orderer0 beta --port 7051", 1, "deny"),
        ("peer0 beta --port 7052", 1, "deny"),
        ("peer0 beta/spare --port 7051", 1, "deny"),
        // Neither wholly: a range of ports, a prefix, and every member.
        ("beta peer0 --port 7051-7052", 1, "partly"),
        ("10.212.0.0/15 peer0 --port 7051", 1, "partly"),
        ("all peer0 --service fabric-peer", 1, "partly"),
        ("beta acme --port 7051", 1, "partly"),
        ("peer0 beta --proto tcp", 1, "partly"),
    ] {
        let answer = test(&workspace, arguments);
        assert_eq!(answer.err, "", "{arguments}");
        assert!(
            answer.out.starts_with(&format!("{verdict}: ")) && answer.code == code,
            "{arguments}: {} {}",
            answer.code,
            answer.out
        );
    }

    let out = test(&workspace, "10.212.3.4 peer0 --port 7051").out;
    let place = line_of(&workspace, "[[policy.allow]]");
    let expected = format!(
        "allow: 10.212.3.4 to peer0, tcp 7051\n  \
         allowed: 10.212.3.4 (beta/west) to 10.211.0.11, tcp 7051\n    \
         {place}: from beta to peer0.acme.consortium.example: tcp 7051,8080\n"
    );
    assert!(out.starts_with(&expected), "{out}");
}

#[test]
fn a_question_that_cannot_be_judged_here_says_why() {
    let workspace = with_rules();
    for (arguments, error) in [
        (
            "gamma peer0 --port 7051",
            "gamma is no member, and no name of our zone",
        ),
        (
            "beta/east peer0 --port 1",
            "beta/east is no site of a member, or has no prefix that is \
          available",
        ),
        (
            "192.0.2.1 peer0 --port 1",
            "192.0.2.1 is in no member's site",
        ),
        (
            "beta peer9.x --port 1",
            "peer9.x.acme.consortium.example has no address that is known \
          here",
        ),
        (
            "orderer0 peer0 --port 1",
            "both ends are in this site, whose hosts are not judged",
        ),
        (
            "beta beta/spare --port 1",
            "neither end is in this site; ask a gateway of one of them",
        ),
        (
            "beta 10.211.0.999 --port 1",
            "\"10.211.0.999\" is no organization, <org>/<site>, prefix, \
          address or name",
        ),
        (
            "beta 10.211.0.1/24 --port 1",
            "10.211.0.1/24 has host bits set; did you mean \
          10.211.0.0/24?",
        ),
        (
            "beta peer0 --port 0",
            "\"0\" is not a port from 1 to 65535, or a range of them",
        ),
        (
            "beta peer0 --port 1/icmp",
            "\"icmp\" has no ports; write tcp or udp, or --proto alone",
        ),
        (
            "beta peer0 --proto sctp",
            "\"sctp\" is no protocol; write tcp, udp, icmp or a number",
        ),
    ] {
        let answer = test(&workspace, arguments);
        answer.refuses(&[&format!("error: {error}")]);
    }
    let unknown = test(&workspace, "beta peer0 --service fabric-pear");
    assert!(
        unknown
            .err
            .starts_with("error: there is no service fabric-pear; known ones: explorer, ")
    );
    assert_eq!(unknown.code, 64);
}

#[test]
fn json_says_the_same_as_the_text() {
    let workspace = with_rules();
    let answer = test(&workspace, "10.212.0.0/15 peer0 --port 7051 --json");
    assert_eq!(answer.code, 1);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(report["verdict"], "partly");
    assert_eq!(report["allowed"]["source_site"], "beta/west");
    assert_eq!(
        report["allowed"]["rule"],
        line_of(&workspace, "[[policy.allow]]")
    );
    assert_eq!(report["denied"]["source_site"], "beta/spare");
    assert_eq!(report["denied"]["rule"], Value::Null);
}

#[test]
fn without_a_policy_echo_is_allowed_and_nothing_else() {
    let workspace = workspace();
    assert_eq!(test(&workspace, "beta peer0 --proto icmp").code, 0);
    assert_eq!(test(&workspace, "beta peer0 --port 7051").code, 1);
    assert_eq!(test(&workspace, "peer0 beta --port 7051").code, 0);
    append(&workspace, "\n[policy]\nallow = []\n");
    assert_eq!(test(&workspace, "beta peer0 --proto icmp").code, 1);
}

#[test]
fn show_lists_every_rule_with_its_place() {
    let workspace = with_rules();
    let out = workspace
        .ringway(&format!("policy show -c {FILE}"))
        .succeeds()
        .out;
    let rule = line_of(&workspace, "[[policy.allow]]");
    let egress = line_of(&workspace, "[[policy.allow-egress]]");
    for text in [
        "Others may open:\nFROM        TO                             SERVICE",
        &rule,
        &egress,
        "tcp 7051,8080",
        "icmp echo",
        "udp, protocol 47",
        "Our hosts may open only this (egress = \"none\"):",
        "peer0.acme.consortium.example   10.211.0.11, fd00:211::11\n",
        "anchor.acme.consortium.example  10.211.0.11, fd00:211::11\n",
        "Everything else is dropped.",
        "No gateway runs with this file.",
    ] {
        assert!(out.contains(text), "{text}\n{out}");
    }
}

#[test]
fn denied_needs_a_running_gateway() {
    let workspace = with_rules();
    let answer = workspace.ringway(&format!("policy denied -c {FILE}"));
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.contains("no running gateway answers"),
        "{}",
        answer.err
    );
}

#[test]
fn a_rule_is_added_behind_the_others_and_everything_else_stays() {
    let workspace = with_rules();
    let before = workspace.read(FILE);
    workspace.set_mode(FILE, 0o600);
    let allow = format!(
        "policy allow --from beta,beta/spare --to orderer0 --service fabric-orderer -c {FILE}"
    );
    let dry = workspace.ringway(&format!("{allow} --dry-run")).succeeds();
    assert_eq!(workspace.read(FILE), before);

    let out = workspace.ringway(&allow).succeeds().out;
    let rule = "\n[[policy.allow]]\nfrom = [\"beta\", \"beta/spare\"]\nto = \"orderer0\"\n\
                service = \"fabric-orderer\"\n";
    let place = "\n[[policy.allow-egress]]";
    assert_eq!(
        workspace.read(FILE),
        before.replace(place, &format!("{rule}{place}"))
    );
    assert_eq!(workspace.mode(FILE), 0o600);
    assert!(
        out.contains("+[[policy.allow]]\n+from = [\"beta\", \"beta/spare\"]\n"),
        "{out}"
    );
    assert!(out.contains("ringway reload -c acme/gateway.toml"), "{out}");
    assert_eq!(
        out.split("To apply").next(),
        dry.out.split("Nothing was").next()
    );

    assert_eq!(test(&workspace, "beta/spare orderer0 --port 7050").code, 0);
    for more in ["--port 7050-7054/udp", "--proto icmp", "--proto 132"] {
        let allow = format!("policy allow --from all --to 10.211.0.10 {more} -c {FILE}");
        workspace.ringway(&allow).succeeds();
        let text = workspace.read(FILE);
        let again = workspace.ringway(&allow).succeeds().out;
        assert!(again.starts_with("Nothing changes"), "{again}");
        assert_eq!(workspace.read(FILE), text);
    }
    assert_eq!(test(&workspace, "all orderer0 --proto 132").code, 0);
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn a_first_rule_makes_the_policy_and_an_empty_list_becomes_one() {
    let allow = format!("policy allow --from beta --to peer0 --port 7051 -c {FILE}");
    let first = workspace();
    let out = first.ringway(&allow).succeeds().out;
    assert!(out.contains("with a rule, echo needs one too"), "{out}");
    assert_eq!(test(&first, "beta peer0 --port 7051").code, 0);

    for empty in [
        "\n[policy]\n",
        "\n[policy]\nallow = []\n",
        "\n[policy]\nallow = [\n]\n",
    ] {
        let workspace = workspace();
        append(&workspace, empty);
        workspace.ringway(&allow).succeeds();
        assert_eq!(
            test(&workspace, "beta peer0 --port 7051").code,
            0,
            "{empty}"
        );
    }
}

#[test]
fn a_rule_that_is_wrong_or_matches_nothing_leaves_the_file_as_it_is() {
    let workspace = with_rules();
    append(
        &workspace,
        "\n[[policy.test]]\nfrom = \"beta\"\nto = \"orderer0\"\nproto = \"tcp\"\nports = 22\n\
         expect = \"deny\"\n",
    );
    let before = workspace.read(FILE);
    for (arguments, error) in [
        (
            "--from bteta --to peer0 --port 1",
            "org bteta is no member; did you mean beta?",
        ),
        (
            "--from beta --to peer9 --port 1",
            "peer9.acme.consortium.example has no address in this \
          site",
        ),
        (
            "--from beta --to 10.212.0.1 --port 1",
            "10.212.0.1 is not in this site",
        ),
        (
            "--from beta --to peer0 --service fabric-pear",
            "did you mean fabric-peer?",
        ),
        (
            "--from beta --to peer0 --proto 44",
            "protocol 44 is an extension header",
        ),
        (
            "--from beta --to orderer0 --proto tcp",
            "expected deny, but",
        ),
    ] {
        let answer = workspace.ringway(&format!("policy allow {arguments} -c {FILE}"));
        assert_eq!(answer.code, 64, "{arguments}");
        assert!(answer.err.contains(error), "{arguments}: {}", answer.err);
        assert_eq!(workspace.read(FILE), before, "{arguments}");
    }
}

#[test]
fn policy_tests_are_part_of_check() {
    let workspace = with_rules();
    let case = |from: &str, to: &str, service: &str, expect: &str| {
        format!(
            "\n[[policy.test]]\nfrom = \"{from}\"\nto = \"{to}\"\n{service}\n\
             expect = \"{expect}\"\n"
        )
    };
    let peer = "service = \"fabric-peer\"";
    append(&workspace, &case("beta", "peer0", peer, "allow"));
    append(&workspace, &case("beta/spare", "peer0", peer, "deny"));
    append(
        &workspace,
        &case("peer0", "beta", "proto = \"tcp\"\nports = 7050", "allow"),
    );
    append(&workspace, &case("gamma", "peer0", peer, "allow"));
    let check = format!("check -c {FILE}");
    let out = workspace.ringway(&check).succeeds().out;
    assert!(
        out.contains("\npolicy tests: 3 passed, 0 failed, 1 skipped\n"),
        "{out}"
    );
    assert!(
        out.contains("the test is skipped: gamma is no member, and no name of our zone\n"),
        "{out}"
    );

    append(&workspace, &case("all", "peer0", peer, "allow"));
    append(
        &workspace,
        &case("beta", "peer0", "proto = \"tcp\"", "deny"),
    );
    let answer = workspace.ringway(&check);
    assert_eq!(answer.code, 64);
    let lines: Vec<&str> = answer.err.lines().collect();
    assert!(
        lines[0].ends_with(
            "all to peer0, tcp 7051: expected allow, but 10.213.0.0 to 10.211.0.11, tcp 7051 is \
             denied; add a rule that allows it"
        ),
        "{lines:?}"
    );
    let rule = line_of(&workspace, "[[policy.allow]]");
    assert!(
        lines[1]
            .contains("beta to peer0, tcp: expected deny, but 10.212.0.0 to 10.211.0.11, tcp 7051")
            && lines[1].ends_with(&format!("is allowed by {rule}; narrow what allows it")),
        "{lines:?}"
    );
}

#[test]
fn a_rule_about_a_removed_member_is_reported_and_does_not_prevent_a_start() {
    let workspace = with_rules();
    workspace
        .ringway(&format!("member remove beta -c {FILE}"))
        .succeeds();
    let answer = workspace.ringway(&format!("check -c {FILE}"));
    assert_eq!(answer.code, 64);
    assert!(answer.out.contains("10.211.0.0/16  acme"), "{}", answer.out);
    assert!(
        answer
            .err
            .lines()
            .all(|line| line.contains("org beta is no member")),
        "{}",
        answer.err
    );
    assert_eq!(answer.err.lines().count(), 3);
}
