//! `ringway member`.

use super::desk::{Answer, Desk};

const ADD: &str = "member add beta/beta.member.toml -c acme/gateway.toml";
const TAKEN: &str = "acme/members/beta.member.toml";

/// Adds beta on a host with this address.
fn connected(desk: &Desk, address: &str) -> Answer {
    let link = "ip link add lan0 type veth peer name lan1; ip link set lan0 up";
    desk.offline(&format!(
        "{link}; ip addr add {address} dev lan0; $ringway {ADD}"
    ))
}

#[test]
fn shows_what_people_compare_and_what_they_agree_to() {
    let desk = Desk::with_acme_and_beta();
    desk.edit(
        "beta/beta.member.toml",
        "\ngateways = []",
        "\ngateways = [\"old\"]",
    );
    let shown = desk
        .ringway("member show beta/beta.member.toml")
        .succeeds()
        .out;
    let fingerprint = desk.fingerprint("beta/beta.member.toml");
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
fn takes_a_record_in_byte_for_byte() {
    let desk = Desk::with_acme_and_beta();
    let fingerprint = desk.fingerprint("beta/beta.member.toml");
    let answer = desk
        .ringway(&format!("{ADD} --fingerprint {fingerprint}"))
        .succeeds();
    assert_eq!(
        answer.out,
        "beta is a member: acme/members/beta.member.toml\n\
         A running gateway takes it over with: systemctl reload ringway, or kill -HUP <its pid>\n"
    );
    assert_eq!(desk.read(TAKEN), desk.read("beta/beta.member.toml"));
    assert_eq!(desk.list("acme/members"), ["beta.member.toml"]);
    desk.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn asks_to_compare_the_fingerprint_if_nobody_has() {
    let desk = Desk::with_acme_and_beta();
    let fingerprint = desk.fingerprint("beta/beta.member.toml");
    let answer = desk.ringway(ADD).succeeds().out;
    let line = format!("Compare its fingerprint with beta over a second channel: {fingerprint}");
    assert_eq!(answer.lines().nth(1), Some(line.as_str()));
}

#[test]
fn refuses_a_record_with_another_fingerprint() {
    let desk = Desk::with_acme_and_beta();
    let agreed = desk.fingerprint("beta/beta.member.toml");
    desk.edit("beta/beta.member.toml", "10.212.0.0/16", "10.213.0.0/16");
    let found = desk.fingerprint("beta/beta.member.toml");
    desk.ringway(&format!("{ADD} --fingerprint {agreed}")).refuses(&[&format!(
        "beta/beta.member.toml: fingerprint is {found}, not {agreed}; ask beta for the right record"
    )]);
    assert!(!desk.exists(TAKEN));
}

#[test]
fn refuses_an_overlap_and_names_both_places() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway(ADD).succeeds();
    desk.init(
        "gamma",
        "--site south=10.212.7.0/24,10.211.0.0/16,10.219.0.0/16",
    );
    desk.edit(
        "acme/gateway.toml",
        "reserved = []",
        "reserved = [\"10.219.5.0/24\"]",
    );
    let new = |text| desk.place("gamma/gamma.member.toml", text);
    desk.ringway("member add gamma/gamma.member.toml -c acme/gateway.toml").refuses(&[
        &format!(
            "{}: 10.212.7.0/24 (org gamma, site south) overlaps 10.212.0.0/16 (org beta, site west, {})",
            new("10.212.7.0/24"),
            desk.place(TAKEN, "10.212.0.0/16")
        ),
        &format!(
            "{}: 10.211.0.0/16 (org gamma, site south) overlaps 10.211.0.0/16 (org acme, site east, {})",
            new("10.211.0.0/16"),
            desk.place("acme/acme.member.toml", "10.211.0.0/16")
        ),
        &format!(
            "{}: 10.219.0.0/16 (org gamma, site south) overlaps 10.219.5.0/24 (reserved, {})",
            new("10.219.0.0/16"),
            desk.place("acme/gateway.toml", "10.219.5.0/24")
        ),
    ]);
    assert!(!desk.exists("acme/members/gamma.member.toml"));
}

#[test]
fn refuses_an_overlap_with_a_network_of_this_host() {
    let desk = Desk::with_acme_and_beta();
    let place = desk.place("beta/beta.member.toml", "10.212.0.0/16");
    connected(&desk, "10.212.200.1/24").refuses(&[&format!(
        "{place}: 10.212.0.0/16 (org beta, site west) overlaps 10.212.200.0/24 (connected, interface lan0)"
    )]);
    assert!(!desk.exists(TAKEN));
}

#[test]
fn a_network_of_the_own_site_is_in_nobodys_way() {
    let desk = Desk::with_acme_and_beta();
    connected(&desk, "10.211.3.1/24").succeeds();
}

#[test]
fn replaces_the_record_of_a_member() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway(ADD).succeeds();
    let again = desk.ringway(ADD).succeeds().out;
    assert_eq!(
        again,
        "beta is a member with this very record: acme/members/beta.member.toml\n"
    );
    desk.edit("beta/beta.member.toml", "10.212.0.0/16", "10.213.0.0/16");
    let replaced = desk.ringway(ADD).succeeds().out;
    assert!(
        replaced.starts_with("The record of beta is replaced: acme/members/beta.member.toml\n"),
        "{replaced}"
    );
    assert_eq!(desk.read(TAKEN), desk.read("beta/beta.member.toml"));
}

#[test]
fn keeps_the_old_record_when_the_new_one_is_refused() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway(ADD).succeeds();
    let old = desk.read(TAKEN);
    desk.edit("beta/beta.member.toml", "10.212.0.0/16", "10.211.1.0/24");
    assert_eq!(desk.ringway(ADD).code, 64);
    desk.write("beta/beta.member.toml", "version = 2");
    assert_eq!(desk.ringway(ADD).code, 64);
    assert_eq!(desk.read(TAKEN), old);
    assert_eq!(desk.list("acme/members"), ["beta.member.toml"]);
}

#[test]
fn an_overlap_that_is_there_already_does_not_keep_others_out() {
    let desk = Desk::with_acme_and_beta();
    desk.init("gamma", "--site south=10.211.4.0/24");
    desk.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    desk.ringway(ADD).succeeds();
}

#[test]
fn refuses_our_own_record_and_other_consortia() {
    let desk = Desk::with_acme_and_beta();
    desk.init("other", "--domain other.example --site west=10.215.0.0/16");
    desk.ringway("member add acme/acme.member.toml -c acme/gateway.toml").refuses(&[
        "acme/acme.member.toml: acme is this gateway's own organization; its record is acme/acme.member.toml",
    ]);
    desk.ringway("member add other/other.member.toml -c acme/gateway.toml").refuses(&[
        "other/other.member.toml: is of the consortium other.example; this gateway's is consortium.example",
    ]);
}

#[test]
fn refuses_a_record_whose_ca_is_none() {
    let desk = Desk::with_acme_and_beta();
    desk.edit(
        "beta/beta.member.toml",
        &desk.read("beta/ca/ca.crt"),
        &desk.read("beta/gateway.crt"),
    );
    let place = desk.place("beta/beta.member.toml", "-----BEGIN");
    desk.ringway(ADD).refuses(&[&format!(
        "{place}: O=beta, CN=gw is no CA certificate; it needs basicConstraints CA:TRUE"
    )]);
}

#[test]
fn refuses_what_is_no_record() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway("member add nowhere.toml -c acme/gateway.toml").refuses(&[
        "nowhere.toml: cannot read the file: No such file or directory (os error 2); create it, or correct the path",
    ]);
    assert_eq!(desk.ringway("member show acme/gateway.toml").code, 64);
    assert_eq!(
        desk.ringway("member add acme/gateway.crt -c acme/gateway.toml")
            .code,
        64
    );
}

#[test]
fn removes_a_member() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway(ADD).succeeds();
    let answer = desk
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    assert_eq!(
        answer.out,
        "beta is no longer a member: acme/members/beta.member.toml is removed\n\
         A running gateway takes it over with: systemctl reload ringway, or kill -HUP <its pid>\n"
    );
    assert!(!desk.exists(TAKEN));
    desk.ringway("member remove beta -c acme/gateway.toml")
        .refuses(&["error: beta is not a member"]);
    desk.ringway("member remove acme -c acme/gateway.toml")
        .refuses(&["error: acme is this gateway's own organization"]);
    assert!(desk.exists("acme/acme.member.toml"));
}

#[test]
fn removes_a_member_whose_record_has_faults() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway(ADD).succeeds();
    desk.edit(TAKEN, "version = 1", "version = 9");
    desk.ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    assert!(!desk.exists(TAKEN));
    desk.edit("acme/acme.member.toml", "version = 1", "version = 9");
    assert_eq!(
        desk.ringway("member remove acme -c acme/gateway.toml").code,
        64
    );
    assert!(
        desk.exists("acme/acme.member.toml"),
        "the own record is not a member's"
    );
}
