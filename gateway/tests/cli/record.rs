//! Serials of member records: an older copy and another one of the same serial are refused, by
//! every command and whatever happened between. And `ringway record`.

use super::workspace::Workspace;

const REMOVE: &str = "member remove beta -c acme/gateway.toml";
const CHECK: &str = "check -c acme/gateway.toml";
const TAKEN: &str = "acme/members/beta.member.toml";
const RECORD: &str = "beta/beta.member.toml";

/// Acme has accepted beta's record of serial 3; `old.toml` is an earlier one.
fn with_serial_3() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.copy(RECORD, "old.toml");
    workspace.set_serial(RECORD, 3);
    workspace.add(RECORD).succeeds();
    workspace
}

fn old(place: &str) -> String {
    format!(
        "{place}: is older than what this gateway has accepted: serial 1, but serial 3 of beta was \
         accepted; take the newest record of beta"
    )
}

#[test]
fn an_older_record_is_refused_and_both_serials_are_named() {
    let workspace = with_serial_3();
    workspace.add("old.toml").refuses(&[&old("old.toml")]);

    // As a restored backup, past the command.
    workspace.copy("old.toml", TAKEN);
    let left_out = format!("{}; a start goes on without tunnels to beta", old(TAKEN));
    workspace.ringway(CHECK).refuses(&[&left_out]);
}

#[test]
fn what_was_accepted_outlives_the_member() {
    let workspace = with_serial_3();
    workspace.ringway(REMOVE).succeeds();
    workspace.add("old.toml").refuses(&[&old("old.toml")]);
    assert!(!workspace.exists(TAKEN));
    workspace.add(RECORD).succeeds();
    workspace.ringway(CHECK).succeeds();
}

#[test]
fn another_record_of_the_same_serial_is_equivocation() {
    let workspace = with_serial_3();
    let accepted = workspace.fingerprint(RECORD);
    workspace.edit(RECORD, "10.212.0.0/16", "10.213.0.0/16");
    let other = workspace.fingerprint(RECORD);
    let fault = format!(
        "equivocates: another record of beta with serial 3 was accepted, {accepted}, and this one \
         is {other}; each change needs a higher serial"
    );
    workspace
        .add(RECORD)
        .refuses(&[&format!("{RECORD}: {fault}")]);
    workspace.copy(RECORD, TAKEN);
    workspace.ringway(CHECK).refuses(&[&format!(
        "{TAKEN}: {fault}; a start goes on without tunnels to beta"
    )]);
}

#[test]
fn our_own_record_is_bound_alike() {
    let workspace = Workspace::with_acme_and_beta();
    let own = "acme/acme.member.toml";
    workspace.copy(own, "backup");
    workspace.set_serial(own, 2);
    let digest = workspace.fingerprint(own);
    // As a gateway does that ran with it.
    workspace.write_state("acme/state/records", &format!("2 {digest} acme\n"));
    workspace.ringway(CHECK).succeeds();

    workspace.copy("backup", own);
    workspace.ringway(CHECK).refuses(&[&format!(
        "{own}: is older than what this gateway has accepted: serial 1, but serial 2 of acme was \
         accepted; take the newest record of acme"
    )]);
}

#[test]
fn a_damaged_state_is_a_fault_and_nothing_new_is_accepted() {
    let workspace = with_serial_3();
    workspace.edit("acme/state/records", "3 sha256", "2 sha256");
    let check = workspace.ringway(CHECK);
    assert_eq!(check.code, 64);
    for part in [
        "state/records is damaged",
        "a start goes on without tunnels to acme",
        "a start goes on without tunnels to beta",
    ] {
        assert!(check.err.contains(part), "{part}: {}", check.err);
    }

    let add = workspace.add("old.toml");
    assert!(add.code != 0 && add.err.contains("is damaged"), "{add:?}");
    // Removing takes rights away: that is never held back.
    workspace.ringway(REMOVE);
    assert!(!workspace.exists(TAKEN));
}

#[test]
fn an_empty_members_directory_is_a_fault_unless_the_members_were_removed() {
    let workspace = with_serial_3();
    workspace.remove(TAKEN);
    workspace.ringway(CHECK).refuses(&[
        "acme/members: holds no member record, although this gateway had accepted beta; restore \
         the records, or run ringway member remove beta for each that is no member any more",
    ]);
    workspace.ringway(REMOVE).succeeds();
    workspace.ringway(CHECK).succeeds();
    workspace
        .ringway(REMOVE)
        .refuses(&["error: beta is not a member"]);
}

#[test]
fn a_member_is_removed_despite_faults_in_other_files() {
    let workspace = with_serial_3();
    workspace.write("acme/members/gamma.member.toml", "nonsense");
    workspace.write("acme/acme.member.toml", "nonsense");
    workspace.ringway(REMOVE).succeeds();
    assert!(!workspace.exists(TAKEN));
}

/// A record as version 0.1 wrote it.
fn make_old(workspace: &Workspace, name: &str) {
    let text = workspace.read(name);
    let (text, _) = text.split_once("\n# The last line").unwrap();
    let serial = "serial = 1   # one more with each change\n";
    let text = text
        .replace("version = 2", "version = 1")
        .replace(serial, "");
    workspace.write(name, &text);
}

#[test]
fn a_version_1_record_is_used_with_a_warning_until_a_version_2_record_is_accepted() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.copy(RECORD, "new.toml");
    make_old(&workspace, RECORD);
    workspace.add(RECORD).succeeds();
    let check = workspace.ringway(CHECK).succeeds().out;
    let warning = "warning: acme/members/beta.member.toml: is of version 1, in which an older copy \
                   cannot be told from the newest; ask beta to upgrade it with ringway record \
                   upgrade, and to hand it over\n";
    assert!(check.contains(warning), "{check}");

    workspace.add("new.toml").succeeds();
    let check = workspace.ringway(CHECK).succeeds().out;
    assert!(!check.contains("warning"), "{check}");
    workspace.add(RECORD).refuses(&[
        "beta/beta.member.toml: is older than what this gateway has accepted: serial 0, but serial \
         1 of beta was accepted; take the newest record of beta",
    ]);
}

#[test]
fn upgrade_writes_version_2_with_the_next_serial() {
    let workspace = Workspace::with_acme_and_beta();
    make_old(&workspace, "acme/acme.member.toml");
    let check = workspace.ringway(CHECK).succeeds().out;
    assert!(
        check.contains("upgrade it with ringway record upgrade"),
        "{check}"
    );

    let upgraded = workspace
        .ringway("record upgrade -c acme/gateway.toml")
        .succeeds()
        .out;
    let fingerprint = workspace.fingerprint("acme/acme.member.toml");
    assert!(upgraded.contains(&fingerprint), "{upgraded}");
    assert!(
        upgraded.contains("version 2 now, with serial 1"),
        "{upgraded}"
    );
    let check = workspace.ringway(CHECK).succeeds().out;
    assert!(!check.contains("warning"), "{check}");
    workspace
        .ringway("record upgrade -c acme/gateway.toml")
        .refuses(&["acme/acme.member.toml: is of version 2 already, with serial 1"]);
}

#[test]
fn diff_shows_what_changes() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.copy(RECORD, "old.toml");
    workspace.edit(RECORD, "10.212.0.0/16", "10.213.0.0/16");
    workspace.set_serial(RECORD, 2);
    let shown = workspace
        .ringway(&format!("record diff old.toml {RECORD}"))
        .succeeds()
        .out;
    let expected = "beta, from serial 1 to serial 2:\n\
                    \x20 - prefix 10.212.0.0/16 of site west\n\
                    \x20 + prefix 10.213.0.0/16 of site west\n\
                    fingerprint sha256:";
    assert!(shown.starts_with(expected), "{shown}");
    workspace
        .ringway("record diff old.toml acme/acme.member.toml")
        .refuses(&["acme/acme.member.toml: is of acme, and the other record of beta"]);
}
