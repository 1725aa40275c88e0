//! What a change of our record leaves of it: ranges, endpoints, comments, and what others need.

use std::path::Path;

use super::{HERE, RECORD, changes, refuses, serial, with_a_member};
use crate::workspace::{Answer, Workspace};

#[test]
fn comments_and_order_of_the_record_survive_every_change() {
    let workspace = with_a_member();
    workspace.edit(
        RECORD,
        "[[gateway]]",
        "# Ours\n[[gateway]] # at the ring road",
    );
    workspace.edit(RECORD, "[revoked]", "# Careful\n[revoked]");
    for command in [
        "gateway add gw2 --endpoint 203.0.113.9:4600",
        "gateway set gw --endpoint 203.0.113.8:4600",
        "site add west --prefix 10.215.0.0/16 --prefix fd00:215::/48",
        "site set west --remove-prefix fd00:215::/48",
        "gateway set gw2 --dials-only --site west",
        "revoke gateway gw2",
        "gateway remove gw2",
        "site remove west",
        &format!("revoke key {}", workspace.fingerprint("acme/gateway.toml")),
    ] {
        changes(&workspace, &format!("{command} {HERE}"), &[]);
        let text = workspace.read(RECORD);
        for part in [
            "# Ours\n[[gateway]] # at the ring road\n",
            "# Careful\n[revoked]\n",
            "   # one more with each change\n",
            "   # without any it only dials\n",
            "# The last line: without it, the file is not whole.\n[end]\n",
        ] {
            assert!(text.contains(part), "{command}: {part}: {text}");
        }
        assert!(text.ends_with("\n[end]\n"), "{text}");
    }
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn endpoints_and_ranges_are_added_removed_and_replaced() {
    let workspace = with_a_member();
    let set = |options: &str, lines: &[&str]| {
        changes(
            &workspace,
            &format!("gateway set gw {options} {HERE}"),
            lines,
        );
    };
    set(
        "--add-endpoint 203.0.113.7:1 --add-endpoint a.example:2",
        &[
            "+ endpoint 203.0.113.7:1 of gateway gw",
            "+ endpoint a.example:2 of gateway gw",
        ],
    );
    set(
        "--remove-endpoint 203.0.113.7:1",
        &["- endpoint 203.0.113.7:1 of gateway gw"],
    );
    set("--dials-only", &["- endpoint a.example:2 of gateway gw"]);
    refuses(
        &workspace,
        &format!("gateway set gw --remove-endpoint a.example:2 {HERE}"),
        "a.example:2 is no endpoint of gateway gw",
    );
    refuses(
        &workspace,
        &format!("gateway set gw9 --dials-only {HERE}"),
        "known ones: gw",
    );
    refuses(&workspace, &format!("gateway set gw {HERE}"), "required");
    let nothing = workspace
        .ringway(&format!("gateway set gw --dials-only {HERE}"))
        .succeeds();
    assert!(
        nothing.out.starts_with("Nothing changes"),
        "{}",
        nothing.out
    );
}

/// Otherwise the operator would have to edit two files by hand at one moment.
#[test]
fn rules_of_the_gateway_follow_the_ranges_of_its_site() {
    let workspace = with_a_member();
    let out = changes(
        &workspace,
        &format!("site set east --prefix 10.216.0.0/16 --prefix fd00:211::/48 {HERE}"),
        &[
            "- prefix 10.211.0.0/16 of site east",
            "+ prefix 10.216.0.0/16 of site east",
        ],
    );
    assert!(
        out.contains("acme/gateway.toml is changed with it"),
        "{out}"
    );
    let rules = workspace.read("acme/gateway.toml");
    assert!(
        !rules.contains("10.211.0.0/16") && rules.contains("\"10.216.0.0/16\""),
        "{rules}"
    );
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn what_others_need_is_not_removed() {
    let workspace = with_a_member();
    refuses(
        &workspace,
        &format!("site remove east {HERE}"),
        "first ringway gateway remove gw",
    );
    refuses(
        &workspace,
        &format!("gateway remove gw {HERE}"),
        "gw is the gateway here",
    );
    refuses(
        &workspace,
        &format!("gateway remove gw9 {HERE}"),
        "known ones: gw",
    );
    refuses(
        &workspace,
        &format!("revoke gateway gw9 {HERE}"),
        "nothing was revoked",
    );
}

fn edit(workspace: &Workspace, script: &str, typed: &str) -> Answer {
    workspace.write("script", script);
    let command = format!(
        "printf '{typed}' | EDITOR='sh {}' {} record edit {HERE}",
        "$PWD/script",
        env!("CARGO_BIN_EXE_ringway")
    );
    workspace.write("edit", &command);
    workspace.run(Path::new("sh"), "edit")
}

#[test]
fn an_edited_record_counts_only_as_a_whole() {
    let workspace = with_a_member();
    let before = workspace.read(RECORD);
    // Wrong at first, and corrected when it is offered again.
    let script = "if grep -q 10.211.0.5 \"$1\"; then sed -i s,10.211.0.5/16,10.218.0.0/16, \"$1\"\n\
                  else sed -i s,10.211.0.0/16,10.211.0.5/16, \"$1\"; fi\n";
    let answer = edit(&workspace, script, "n\\n");
    let place = "acme/.acme.member.toml.edit:";
    assert!(
        answer.code == 64 && answer.err.contains("has host bits set"),
        "{answer:?}"
    );
    assert!(answer.err.contains(place), "{}", answer.err);
    assert!(
        answer
            .err
            .contains("what you wrote is in acme/.acme.member.toml.edit")
    );
    assert_eq!(workspace.read(RECORD), before);

    let answer = edit(&workspace, script, "\\n");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(
        answer.out.contains("+ prefix 10.218.0.0/16 of site east"),
        "{}",
        answer.out
    );
    assert_eq!(serial(&workspace), 2);
    assert!(!workspace.exists("acme/.acme.member.toml.edit"));

    let answer = edit(&workspace, "true", "").succeeds();
    assert!(answer.out.starts_with("Nothing was changed"));
    let answer = edit(
        &workspace,
        "sed -i 's/org = \"acme\"/org = \"gamma\"/' \"$1\"",
        "n\\n",
    );
    assert!(answer.err.contains("that cannot be changed"), "{answer:?}");
    let answer = edit(&workspace, "exit 3", "");
    assert!(
        answer.code == 64 && answer.err.contains("failed"),
        "{answer:?}"
    );
    assert_eq!(serial(&workspace), 2);
}
