//! `ringway member`.

use super::workspace::{Answer, Workspace};

const ADD: &str = "member add beta/beta.member.toml -c acme/gateway.toml";
const TAKEN: &str = "acme/members/beta.member.toml";

/// Adds beta on a host with this address.
fn connected(workspace: &Workspace, address: &str) -> Answer {
    let link = "ip link add lan0 type veth peer name lan1; ip link set lan0 up";
    workspace.offline(&format!(
        "{link}; ip addr add {address} dev lan0; $ringway {ADD}"
    ))
}

#[test]
fn shows_the_fingerprint_and_the_contents_of_a_record() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "beta/beta.member.toml",
        "\ngateways = []",
        "\ngateways = [\"old\"]",
    );
    let shown = workspace
        .ringway("member show beta/beta.member.toml")
        .succeeds()
        .out;
    let fingerprint = workspace.fingerprint("beta/beta.member.toml");
    let start = format!(
        "organization  beta\n\
         zone          beta.consortium.example\n\
         fingerprint   {fingerprint}\n\
         CA            O=beta, CN=Ringway CA, until 20"
    );
    assert!(shown.starts_with(&start), "{shown}");
    let end = "\n\
               site west     10.212.0.0/16\n\
               gateway gw    at west, dialled at 203.0.113.5:4600\n\
               revoked       gateway old\n";
    assert!(shown.ends_with(end), "{shown}");
}

#[test]
fn adds_a_record_byte_for_byte() {
    let workspace = Workspace::with_acme_and_beta();
    let fingerprint = workspace.fingerprint("beta/beta.member.toml");
    let answer = workspace
        .ringway(&format!("{ADD} --fingerprint {fingerprint}"))
        .succeeds();
    assert_eq!(
        answer.out,
        "beta is a member: acme/members/beta.member.toml\n\
         To apply it to a running gateway: systemctl reload ringway, or kill -HUP <its pid>\n"
    );
    assert_eq!(
        workspace.read(TAKEN),
        workspace.read("beta/beta.member.toml")
    );
    assert_eq!(workspace.list("acme/members"), ["beta.member.toml"]);
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn asks_to_compare_the_fingerprint_if_none_was_given() {
    let workspace = Workspace::with_acme_and_beta();
    let fingerprint = workspace.fingerprint("beta/beta.member.toml");
    let answer = workspace.ringway(ADD).succeeds().out;
    let line = format!("Compare its fingerprint with beta over a second channel: {fingerprint}");
    assert_eq!(answer.lines().nth(1), Some(line.as_str()));
}

#[test]
fn refuses_a_record_with_another_fingerprint() {
    let workspace = Workspace::with_acme_and_beta();
    let agreed = workspace.fingerprint("beta/beta.member.toml");
    workspace.edit("beta/beta.member.toml", "10.212.0.0/16", "10.213.0.0/16");
    let found = workspace.fingerprint("beta/beta.member.toml");
    workspace.ringway(&format!("{ADD} --fingerprint {agreed}")).refuses(&[&format!(
        "beta/beta.member.toml: fingerprint is {found}, not {agreed}; ask beta for the right record"
    )]);
    assert!(!workspace.exists(TAKEN));
}

#[test]
fn refuses_an_overlap_and_names_both_places() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway(ADD).succeeds();
    workspace.init(
        "gamma",
        "--site south=10.212.7.0/24,10.211.0.0/16,10.219.0.0/16",
    );
    workspace.edit(
        "acme/gateway.toml",
        "reserved = []",
        "reserved = [\"10.219.5.0/24\"]",
    );
    let new = |text| workspace.place("gamma/gamma.member.toml", text);
    workspace
        .ringway("member add gamma/gamma.member.toml -c acme/gateway.toml")
        .refuses(&[
            &format!(
                "{}: 10.212.7.0/24 (org gamma, site south) overlaps 10.212.0.0/16 (org beta, site \
             west, {})",
                new("10.212.7.0/24"),
                workspace.place(TAKEN, "10.212.0.0/16")
            ),
            &format!(
                "{}: 10.211.0.0/16 (org gamma, site south) overlaps 10.211.0.0/16 (org acme, site \
             east, {})",
                new("10.211.0.0/16"),
                workspace.place("acme/acme.member.toml", "10.211.0.0/16")
            ),
            &format!(
                "{}: 10.219.0.0/16 (org gamma, site south) overlaps 10.219.5.0/24 (reserved, {})",
                new("10.219.0.0/16"),
                workspace.place("acme/gateway.toml", "10.219.5.0/24")
            ),
        ]);
    assert!(!workspace.exists("acme/members/gamma.member.toml"));
}

#[test]
fn refuses_an_overlap_with_a_network_of_this_host() {
    let workspace = Workspace::with_acme_and_beta();
    let place = workspace.place("beta/beta.member.toml", "10.212.0.0/16");
    connected(&workspace, "10.212.200.1/24").refuses(&[&format!(
        "{place}: 10.212.0.0/16 (org beta, site west) overlaps 10.212.200.0/24 (connected, \
         interface lan0)"
    )]);
    assert!(!workspace.exists(TAKEN));
}

#[test]
fn a_connected_network_of_our_site_is_no_overlap() {
    let workspace = Workspace::with_acme_and_beta();
    connected(&workspace, "10.211.3.1/24").succeeds();
}

#[test]
fn replaces_the_record_of_a_member() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway(ADD).succeeds();
    let again = workspace.ringway(ADD).succeeds().out;
    assert_eq!(
        again,
        "beta is a member with this very record: acme/members/beta.member.toml\n"
    );
    workspace.edit("beta/beta.member.toml", "10.212.0.0/16", "10.213.0.0/16");
    workspace.set_serial("beta/beta.member.toml", 2);
    let replaced = workspace.ringway(ADD).succeeds().out;
    assert!(
        replaced.starts_with("The record of beta is replaced: acme/members/beta.member.toml\n"),
        "{replaced}"
    );
    assert_eq!(
        workspace.read(TAKEN),
        workspace.read("beta/beta.member.toml")
    );
}

#[test]
fn keeps_the_old_record_when_the_new_one_is_refused() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway(ADD).succeeds();
    let old = workspace.read(TAKEN);
    workspace.edit("beta/beta.member.toml", "10.212.0.0/16", "10.211.1.0/24");
    assert_eq!(workspace.ringway(ADD).code, 64);
    workspace.write("beta/beta.member.toml", "version = 3");
    assert_eq!(workspace.ringway(ADD).code, 64);
    assert_eq!(workspace.read(TAKEN), old);
    assert_eq!(workspace.list("acme/members"), ["beta.member.toml"]);
}

#[test]
fn an_overlap_that_is_there_already_does_not_keep_others_out() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("gamma", "--site south=10.211.4.0/24");
    workspace.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    workspace.ringway(ADD).succeeds();
}

#[test]
fn refuses_our_own_record_and_other_consortia() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("other", "--domain other.example --site west=10.215.0.0/16");
    workspace
        .ringway("member add acme/acme.member.toml -c acme/gateway.toml")
        .refuses(&[
            "acme/acme.member.toml: acme is this gateway's own organization; its record is \
         acme/acme.member.toml",
        ]);
    workspace
        .ringway("member add other/other.member.toml -c acme/gateway.toml")
        .refuses(&[
            "other/other.member.toml: is of the consortium other.example; this gateway's is \
         consortium.example",
        ]);
}

#[test]
fn refuses_a_record_whose_certificate_is_not_a_cas() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "beta/beta.member.toml",
        &workspace.read("beta/ca/ca.crt"),
        &workspace.read("beta/gateway.crt"),
    );
    let place = workspace.place("beta/beta.member.toml", "-----BEGIN");
    workspace.ringway(ADD).refuses(&[&format!(
        "{place}: O=beta, CN=gw is not a CA certificate; it needs basicConstraints CA:TRUE"
    )]);
}

#[test]
fn refuses_a_file_that_is_not_a_record() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway("member add nowhere.toml -c acme/gateway.toml").refuses(&[
        "nowhere.toml: cannot read the file: No such file or directory (os error 2); create it, or \
         correct the path",
    ]);
    assert_eq!(workspace.ringway("member show acme/gateway.toml").code, 64);
    assert_eq!(
        workspace
            .ringway("member add acme/gateway.crt -c acme/gateway.toml")
            .code,
        64
    );
}

#[test]
fn removes_a_member() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway(ADD).succeeds();
    let answer = workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    assert_eq!(
        answer.out,
        "beta is no longer a member: acme/members/beta.member.toml is removed\n\
         To apply it to a running gateway: systemctl reload ringway, or kill -HUP <its pid>\n"
    );
    assert!(!workspace.exists(TAKEN));
    workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .refuses(&["error: beta is not a member"]);
    workspace
        .ringway("member remove acme -c acme/gateway.toml")
        .refuses(&["error: acme is this gateway's own organization"]);
    assert!(workspace.exists("acme/acme.member.toml"));
}

#[test]
fn removes_a_member_whose_record_has_faults() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.ringway(ADD).succeeds();
    workspace.edit(TAKEN, "version = 2", "version = 9");
    workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    assert!(!workspace.exists(TAKEN));
    workspace.edit("acme/acme.member.toml", "version = 2", "version = 9");
    assert_eq!(
        workspace
            .ringway("member remove acme -c acme/gateway.toml")
            .code,
        64
    );
    assert!(
        workspace.exists("acme/acme.member.toml"),
        "our record is not a member's"
    );
}
