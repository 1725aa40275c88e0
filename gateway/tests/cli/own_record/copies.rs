//! Our record in several places and versions: none older than the newest is changed.

use super::{HERE, RECORD, changes, refuses, serial, with_a_member};
use crate::workspace::Workspace;

/// Where the CA is, there need be no gateway.
#[test]
fn a_record_is_changed_where_there_is_no_gateway() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.make_directory("safe");
    workspace.copy(RECORD, "safe/acme.member.toml");
    let record = "--record safe/acme.member.toml";
    workspace
        .ringway(&format!(
            "gateway add gw2 --site west=10.215.0.0/16 --ca acme/ca {record}"
        ))
        .succeeds();
    workspace
        .ringway(&format!("gateway remove gw {record}"))
        .succeeds();
    refuses(
        &workspace,
        "gateway remove gw --record nowhere",
        "nowhere: cannot read the file",
    );
    let shown = workspace
        .ringway("member show safe/acme.member.toml")
        .succeeds()
        .out;
    assert!(
        shown.contains("gateway gw2") && !shown.contains("gateway gw "),
        "{shown}"
    );
}

/// A copy from a backup must not be changed: the next serial would be given twice.
#[test]
fn an_older_copy_of_a_record_beside_the_ca_is_not_changed() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.make_directory("safe");
    workspace.copy(RECORD, "safe/acme.member.toml");
    let record = "--record safe/acme.member.toml";
    workspace
        .ringway(&format!("site add one --prefix 10.215.0.0/16 {record}"))
        .succeeds();

    let newest = workspace.read("safe/acme.member.toml");
    workspace.copy(RECORD, "safe/acme.member.toml");
    refuses(
        &workspace,
        &format!("site add two --prefix 10.216.0.0/16 {record}"),
        "serial 1, but serial 2 of acme was accepted",
    );
    workspace.write("safe/acme.member.toml", &newest);
    workspace
        .ringway(&format!("site add two --prefix 10.216.0.0/16 {record}"))
        .succeeds();
    assert!(
        workspace
            .read("safe/acme.member.toml")
            .contains("\nserial = 3 ")
    );
}

/// Beside a gateway, both ways to name its record remember the same.
#[test]
fn a_record_that_is_named_beside_its_gateway_is_remembered_there() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "acme/gateway.toml",
        "# state-dir = \"/var/lib/ringway/gw.acme\"",
        "state-dir = \"kept\"",
    );
    let before = workspace.read(RECORD);
    workspace
        .ringway(&format!(
            "site add one --prefix 10.215.0.0/16 --record {RECORD}"
        ))
        .succeeds();
    assert!(workspace.exists("acme/kept/records") && !workspace.exists("acme/state"));

    workspace.write(RECORD, &before);
    refuses(
        &workspace,
        &format!("site add two --prefix 10.216.0.0/16 {HERE}"),
        "serial 1, but serial 2 of acme was accepted",
    );
}

#[test]
fn a_revocation_does_not_wait_for_faults_in_other_files() {
    let workspace = with_a_member();
    workspace.write("acme/members/beta.member.toml", "nonsense");
    let text = workspace.read("acme/gateway.toml");
    workspace.write("acme/gateway.toml", &(text + "\n[nonsense]\n"));
    let answer = workspace.ringway(&format!("revoke gateway gw {HERE}"));
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(workspace.read(RECORD).contains("gateways = [\"gw\"]\n"));
    assert_eq!(serial(&workspace), 2);
}

/// The changes of the newer versions would be undone.
#[test]
fn an_older_copy_of_the_record_is_not_changed() {
    let workspace = with_a_member();
    workspace.copy(RECORD, "old");
    changes(
        &workspace,
        &format!("site add west=10.215.0.0/16 {HERE}"),
        &[],
    );
    // No gateway has read the newer one yet.
    workspace.copy("old", RECORD);
    refuses(
        &workspace,
        &format!("site add north=10.216.0.0/16 {HERE}"),
        "is older than what this gateway has accepted",
    );
}

#[test]
fn a_record_of_version_1_becomes_one_of_version_2() {
    let workspace = with_a_member();
    let text = workspace.read(RECORD);
    let (text, _) = text.split_once("\n# The last line").unwrap();
    let text = text
        .replace("version = 2", "version = 1")
        .replace("serial = 1   # one more with each change\n", "");
    workspace.write(RECORD, &text);
    workspace
        .ringway(&format!("site add west=10.215.0.0/16 {HERE}"))
        .succeeds();
    assert_eq!(serial(&workspace), 1);
    assert!(workspace.read(RECORD).ends_with("\n[end]\n"));
}

#[test]
fn another_gateway_takes_the_new_record_over_and_its_rules_follow() {
    let workspace = with_a_member();
    changes(&workspace, &format!("gateway add gw2 {HERE}"), &[]);
    changes(
        &workspace,
        &format!("site set east --prefix 10.216.0.0/16 {HERE}"),
        &[],
    );
    let take =
        |file: &str| workspace.ringway(&format!("record take {file} -c acme/gw2/gateway.toml"));
    take(RECORD).succeeds();
    assert_eq!(
        workspace.fingerprint("acme/gw2/acme.member.toml"),
        workspace.fingerprint(RECORD)
    );
    workspace
        .ringway("check -c acme/gw2/gateway.toml")
        .succeeds();

    assert!(take(RECORD).succeeds().out.starts_with("Nothing changes"));
    assert_eq!(take("beta/beta.member.toml").code, 64);
    workspace.copy(RECORD, "other.toml");
    workspace.edit("other.toml", "10.216.0.0/16", "10.217.0.0/16");
    let answer = take("other.toml");
    assert!(
        answer.code == 64 && answer.err.contains("take one with serial 4"),
        "{answer:?}"
    );
}
