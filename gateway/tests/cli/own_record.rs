//! `ringway gateway`, `site`, `revoke` and `record edit | take`: every change of our own record.

use std::path::Path;

use super::workspace::{Answer, Workspace};

const RECORD: &str = "acme/acme.member.toml";
const HERE: &str = "-c acme/gateway.toml";

/// Acme with beta as a member.
fn with_a_member() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
}

fn serial(workspace: &Workspace) -> u64 {
    let text = workspace.read(RECORD);
    let line = text.lines().find(|line| line.starts_with("serial = "));
    let number = line.unwrap().split(' ').nth(2).unwrap();
    number.parse().unwrap()
}

/// The change succeeds, raises the serial by one, leaves a sound record, and says what to do.
#[track_caller]
fn changes(workspace: &Workspace, command: &str, lines: &[&str]) -> String {
    let before = serial(workspace);
    let out = workspace.ringway(command).succeeds().out;
    assert_eq!(serial(workspace), before + 1, "{command}");
    for line in lines {
        assert!(out.contains(&format!("\n  {line}\n")), "{line}: {out}");
    }

    let fingerprint = workspace.fingerprint(RECORD);
    for part in [
        &format!("fingerprint {fingerprint}\n"),
        "Hand acme/acme.member.toml to every member (beta)",
        &format!("ringway member add acme.member.toml --fingerprint {fingerprint}"),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    workspace
        .ringway(&format!("member show {RECORD}"))
        .succeeds();
    out
}

#[track_caller]
fn refuses(workspace: &Workspace, command: &str, part: &str) -> Answer {
    let before = workspace.read(RECORD);
    let answer = workspace.ringway(command);
    assert_eq!(answer.code, 64, "{command}: {answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
    assert_eq!(workspace.read(RECORD), before, "{command}");
    answer
}

#[test]
fn a_second_gateway_gets_its_files_and_the_record_a_new_serial() {
    let workspace = with_a_member();
    let out = changes(
        &workspace,
        &format!("gateway add gw2 --endpoint 203.0.113.9:4600 --ca acme/ca {HERE}"),
        &[
            "+ gateway gw2 at site east",
            "+ endpoint 203.0.113.9:4600 of gateway gw2",
        ],
    );
    assert!(out.contains("Hand acme/gw2/ to the host of gw2"), "{out}");
    let files = [
        "acme.member.toml",
        "gateway.crt",
        "gateway.key",
        "gateway.toml",
        "members/",
        "members/beta.member.toml",
    ];
    assert_eq!(workspace.list("acme/gw2"), files);
    assert_eq!(workspace.mode("acme/gw2/gateway.key"), 0o600);
    assert_eq!(
        workspace.fingerprint("acme/gw2/acme.member.toml"),
        workspace.fingerprint(RECORD)
    );
    for config in ["acme/gateway.toml", "acme/gw2/gateway.toml"] {
        workspace.ringway(&format!("check -c {config}")).succeeds();
    }
}

/// Rules of another gateway of the site must not open what those here close.
#[test]
fn a_second_gateway_of_a_site_has_the_rules_and_names_of_the_first() {
    let workspace = with_a_member();
    let config = "acme/gateway.toml";
    workspace.edit(config, "\"fabric-orderer\", \"fabric-peer\", ", "");
    let host = "\n# The certificate authority\n[[dns.host]]\nname = \"ca\"\naddresses = \
                [\"10.211.0.9\"]\n";
    let text = workspace.read(config);
    workspace.write(config, &(text + host));
    workspace
        .ringway(&format!("gateway add gw2 --dns-listen 10.211.0.3 {HERE}"))
        .succeeds();
    let second = workspace.read("acme/gw2/gateway.toml");
    assert!(!second.contains("gw.acme"), "{second}");
    for part in [
        "gateway = \"gw2\"\n",
        "service = [\"fabric-ca\"]",
        host,
        "listen = [\"10.211.0.3:53\"]",
    ] {
        assert!(second.contains(part), "{part}: {second}");
    }
    workspace
        .ringway("check -c acme/gw2/gateway.toml")
        .succeeds();
}

#[test]
fn another_gateway_of_the_site_has_the_same_virtual_addresses_and_answers_there() {
    let workspace = with_a_member();
    let text = workspace.read("acme/gateway.toml");
    let (before, rest) = text.split_once("[dns]\nlisten = ").expect("it is there");
    let (_, after) = rest.split_once('\n').expect("it is a line");
    let listen = "[\"10.211.0.2:53\", \"10.211.0.250:53\"]";
    let ha = "[ha]\naddresses = [\"10.211.0.250/24\"]\ninterface = \"lan0\"\n";
    let text = format!("{before}[dns]\nlisten = {listen}\n{after}\n{ha}");
    workspace.write("acme/gateway.toml", &text);

    workspace
        .ringway(&format!("gateway add gw2 --dns-listen 10.211.0.3 {HERE}"))
        .succeeds();
    let second = workspace.read("acme/gw2/gateway.toml");
    for part in [ha, "listen = [\"10.211.0.3:53\", \"10.211.0.250:53\"]"] {
        assert!(second.contains(part), "{part}: {second}");
    }
}

#[test]
fn a_gateway_at_a_new_site_brings_the_site_with_it() {
    let workspace = with_a_member();
    changes(
        &workspace,
        &format!("gateway add north --site north=10.214.0.0/16 {HERE} --dir elsewhere"),
        &["+ site north", "+ prefix 10.214.0.0/16 of site north"],
    );
    let text = workspace.read("elsewhere/gateway.toml");
    assert!(text.contains("to = [\"10.214.0.0/16\"]"), "{text}");
    workspace
        .ringway("check -c elsewhere/gateway.toml")
        .succeeds();
    let out = changes(
        &workspace,
        &format!("gateway set north --site east {HERE}"),
        &[],
    );
    assert!(
        out.contains("No gateway serves site north any more"),
        "{out}"
    );
}

#[test]
fn a_gateway_that_cannot_be_added_leaves_nothing() {
    let workspace = with_a_member();
    let out = changes(
        &workspace,
        &format!("site add west=10.215.0.0/16 {HERE}"),
        &["+ site west"],
    );
    assert!(
        out.contains(&format!("--endpoint <host:port> {HERE}")),
        "{out}"
    );
    for (options, part) in [
        (
            "gw --site east",
            "gateway gw is in acme/acme.member.toml already; ringway gateway set",
        ),
        (
            "gw2",
            "which site does it serve? --site east | west, or a new one",
        ),
        (
            "gw2 --site south",
            "a new one has address ranges: --site south=10.9.0.0/16",
        ),
        ("gw2 --site east=10.9.0.0/16", "ringway site set east"),
        (
            "gw2 --site south=10.212.7.0/24",
            "overlaps 10.212.0.0/16 (org beta, site west,",
        ),
        (
            "gw2 --site south=10.211.7.0/24",
            "overlaps 10.211.0.0/16 (org acme, site east,",
        ),
        (
            "gw2 --site south=203.0.113.0/24",
            "if it is the organization's own, say --public",
        ),
        (
            "gw2 --site south=127.0.0.0/24 --public",
            "which no site may use",
        ),
        (
            "gw2 --site east --ca beta/ca",
            "is not among the CA certificates of acme/acme",
        ),
        ("gw2 --site east --ca nowhere", ""),
    ] {
        let command = format!("gateway add {options} {HERE}");
        let before = workspace.list(".");
        let record = workspace.read(RECORD);
        let answer = workspace.ringway(&command);
        assert!(
            answer.code != 0 && answer.err.contains(part),
            "{command}: {answer:?}"
        );
        assert_eq!(workspace.list("."), before, "{command}");
        assert_eq!(workspace.read(RECORD), record);
    }
}

#[test]
fn a_revoked_name_is_not_used_again() {
    let workspace = with_a_member();
    changes(&workspace, &format!("gateway add gw2 {HERE}"), &[]);
    let out = changes(
        &workspace,
        &format!("revoke gateway gw2 {HERE}"),
        &["+ revoked gateway gw2"],
    );
    assert!(!out.contains("other gateways of acme"), "{out}");
    changes(
        &workspace,
        &format!("gateway remove gw2 {HERE}"),
        &["- gateway gw2 at site east"],
    );
    refuses(
        &workspace,
        &format!("gateway add gw2 {HERE} --dir other"),
        "gateway gw2 is revoked in acme/acme.member.toml, for good",
    );
}

#[test]
fn no_key_and_no_file_of_a_new_gateway_is_overwritten() {
    let workspace = with_a_member();
    workspace.make_directory("acme/gw2");
    workspace.write("acme/gw2/gateway.key", "precious");
    refuses(
        &workspace,
        &format!("gateway add gw2 {HERE}"),
        "acme/gw2/gateway.key: is there already; nothing is overwritten",
    );
    assert_eq!(workspace.read("acme/gw2/gateway.key"), "precious");
}

#[test]
fn an_org_with_a_record_gets_no_second_one_and_the_command_is_named() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    for (dir, record) in [
        ("acme", "acme/acme.member.toml"),
        ("second", "acme/ca/../acme.member.toml"),
    ] {
        let options = "--domain consortium.example --site east=10.211.0.0/16 --gateway gw2";
        workspace
            .ringway(&format!("org init acme {options} --ca acme/ca --dir {dir}"))
            .refuses(&[&format!(
                "{record}: is the record of acme already, and a new one would leave its gateways \
                 out; add this one to it with ringway gateway add gw2 --record {record}"
            )]);
    }
    assert!(!workspace.exists("second"));
}

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
fn a_revocation_does_not_wait_for_what_is_wrong_elsewhere() {
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
