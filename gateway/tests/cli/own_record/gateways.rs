//! `ringway gateway add | remove`: files, names and rules of the gateways of our record.

use super::{HERE, RECORD, changes, refuses, with_a_member};
use crate::workspace::Workspace;

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
