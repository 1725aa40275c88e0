//! `ringway member`.

use super::workspace::{Answer, Workspace};

const ADD: &str = "member add beta/beta.member.toml -c acme/gateway.toml";
const RECORD: &str = "beta/beta.member.toml";
const TAKEN: &str = "acme/members/beta.member.toml";

/// Adds beta on a host with this address.
fn connected(workspace: &Workspace, address: &str) -> Answer {
    let link = "ip link add lan0 type veth peer name lan1; ip link set lan0 up";
    workspace.offline(&format!(
        "{link}; ip addr add {address} dev lan0; $ringway {ADD} --fingerprint {}",
        workspace.fingerprint(RECORD)
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
         serial        1\n\
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
    let shown = format!(
        "  + endpoint 203.0.113.5:4600 of gateway gw\n\
         \x20 + gateway gw at site west\n\
         \x20 + prefix 10.212.0.0/16 of site west\n\
         \x20 + site west\n\
         fingerprint {fingerprint}\n"
    );
    assert!(
        answer
            .out
            .starts_with("beta, a new member, with serial 1:\n  + CA O=beta")
    );
    assert!(answer.out.contains(&shown), "{}", answer.out);
    assert!(
        answer.out.ends_with(
            "beta is a member: acme/members/beta.member.toml\n\
             To apply it to a running gateway: ringway reload -c acme/gateway.toml\n"
        ),
        "{}",
        answer.out
    );
    assert_eq!(
        workspace.read(TAKEN),
        workspace.read("beta/beta.member.toml")
    );
    assert_eq!(workspace.list("acme/members"), ["beta.member.toml"]);
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn without_a_terminal_the_fingerprint_is_required() {
    let workspace = Workspace::with_acme_and_beta();
    let refused = workspace.ringway(ADD);
    assert_eq!(refused.code, 64);
    assert!(
        refused.err.contains("--fingerprint sha256:… is required"),
        "{}",
        refused.err
    );
    assert!(
        refused.out.contains(&workspace.fingerprint(RECORD)),
        "{}",
        refused.out
    );
    assert!(!workspace.exists(TAKEN));
}

/// Runs `member add` at a terminal at which `typed` is typed.
fn at_a_terminal(workspace: &Workspace, typed: &str) -> Answer {
    workspace.offline(&format!(
        "printf '{typed}\\n' | script -qec \"$ringway {ADD}\" /dev/null"
    ))
}

#[test]
fn at_a_terminal_the_end_of_the_fingerprint_is_typed() {
    let workspace = Workspace::with_acme_and_beta();
    let fingerprint = workspace.fingerprint(RECORD);
    let end = &fingerprint[fingerprint.len() - 16..];

    // What stands at the beginning is no proof, and neither is a yes.
    for wrong in ["", "yes", &end[8..], &fingerprint[7..23]] {
        let refused = at_a_terminal(&workspace, wrong);
        assert_eq!(refused.code, 64, "{wrong:?}: {}", refused.out);
        assert!(!workspace.exists(TAKEN), "{wrong:?}");
    }
    let spaced = format!("{} {}", end[..8].to_uppercase(), &end[8..]);
    let added = at_a_terminal(&workspace, &spaced);
    assert!(
        added.code == 0 && added.out.contains("Type its last 16"),
        "{}",
        added.out
    );
    assert!(workspace.exists(TAKEN));
}

/// A workspace with gamma too; both records lie in the directory `records`, beside acme's.
fn with_records() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("gamma", "--site south=10.213.0.0/16");
    workspace.make_directory("records");
    for org in ["acme", "beta", "gamma"] {
        let name = format!("{org}.member.toml");
        workspace.copy(&format!("{org}/{name}"), &format!("records/{name}"));
    }
    workspace
}

#[test]
fn several_records_are_added_with_the_file_of_sha256sum() {
    let workspace = with_records();
    let sums = workspace
        .offline("cd records && sha256sum *.member.toml > ../SHA256SUMS")
        .succeeds();
    assert_eq!(sums.out, "");
    let command = "member add records -c acme/gateway.toml --fingerprints SHA256SUMS";
    let added = workspace.ringway(command).succeeds().out;
    for org in ["beta", "gamma"] {
        assert!(added.contains(&format!("{org} is a member: ")), "{added}");
    }
    assert_eq!(
        workspace.list("acme/members"),
        ["beta.member.toml", "gamma.member.toml"]
    );

    // One alone, by its sum.
    workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    let sum = workspace.fingerprint(RECORD).replace("sha256:", "");
    workspace
        .ringway(&format!("{ADD} --fingerprint {sum}"))
        .succeeds();
}

#[test]
fn of_several_records_all_are_added_or_none() {
    let workspace = with_records();
    workspace.edit(
        "records/gamma.member.toml",
        "10.213.0.0/16",
        "10.212.9.0/24",
    );
    workspace
        .offline("sha256sum records/*.toml > SHA256SUMS")
        .succeeds();
    let command = "member add records -c acme/gateway.toml --fingerprints SHA256SUMS";
    let refused = workspace.ringway(command);
    assert_eq!(refused.code, 64);
    assert!(
        refused.err.contains("overlaps 10.212.0.0/16"),
        "{}",
        refused.err
    );
    assert!(workspace.list("acme/members").is_empty());

    workspace.copy("gamma/gamma.member.toml", "records/gamma.member.toml");
    let refused = workspace.ringway(command);
    assert_eq!(refused.code, 64);
    assert!(
        refused.err.contains("which is none of those given"),
        "{}",
        refused.err
    );
    assert!(workspace.list("acme/members").is_empty());
}

/// A record with another CA and more prefixes came in the place of a member's without a word.
#[test]
fn what_a_record_changes_is_shown() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add(RECORD).succeeds();
    workspace.init("other", "--site west=10.216.0.0/16");
    let [old, new] = ["beta/ca/ca.crt", "other/ca/ca.crt"].map(|name| workspace.read(name));
    workspace.edit(RECORD, &old, &new);
    workspace.edit(
        RECORD,
        "[\"10.212.0.0/16\"]",
        "[\"10.212.0.0/17\", \"10.240.0.0/16\"]",
    );
    workspace.edit(RECORD, "\ngateways = []", "\ngateways = [\"old\"]");
    workspace.set_serial(RECORD, 2);

    let shown = workspace.add(RECORD).succeeds().out;
    for line in [
        "beta, from serial 1 to serial 2:\n",
        "  - CA O=beta, CN=Ringway CA",
        "  + CA O=other, CN=Ringway CA",
        "  - prefix 10.212.0.0/16 of site west\n",
        "  + prefix 10.212.0.0/17 of site west\n",
        "  + prefix 10.240.0.0/16 of site west\n",
        "  + revoked gateway old\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(
        !shown.contains("203.0.113.5"),
        "what stays is not shown: {shown}"
    );
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
    workspace.add(RECORD).succeeds();
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
    workspace.add(RECORD).succeeds();
    let again = workspace.add(RECORD).succeeds().out;
    assert_eq!(
        again,
        "beta is a member with this very record: acme/members/beta.member.toml\n"
    );
    workspace.edit("beta/beta.member.toml", "10.212.0.0/16", "10.213.0.0/16");
    workspace.set_serial("beta/beta.member.toml", 2);
    let replaced = workspace.add(RECORD).succeeds().out;
    assert!(
        replaced.contains("The record of beta is replaced: acme/members/beta.member.toml\n"),
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
    workspace.add(RECORD).succeeds();
    let old = workspace.read(TAKEN);
    workspace.edit("beta/beta.member.toml", "10.212.0.0/16", "10.211.1.0/24");
    workspace.set_serial("beta/beta.member.toml", 2);
    assert_eq!(workspace.add(RECORD).code, 64);
    workspace.write("beta/beta.member.toml", "version = 3");
    assert_eq!(workspace.add(RECORD).code, 64);
    assert_eq!(workspace.read(TAKEN), old);
    assert_eq!(workspace.list("acme/members"), ["beta.member.toml"]);
}

#[test]
fn an_overlap_that_is_there_already_does_not_keep_others_out() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("gamma", "--site south=10.211.4.0/24");
    workspace.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    workspace.add(RECORD).succeeds();
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
    workspace.add(RECORD).refuses(&[&format!(
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
    workspace.add(RECORD).succeeds();
    let answer = workspace
        .ringway("member remove beta -c acme/gateway.toml")
        .succeeds();
    assert_eq!(
        answer.out,
        "beta is no longer a member: acme/members/beta.member.toml is removed\n\
         To apply it to a running gateway: ringway reload -c acme/gateway.toml\n"
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
    workspace.add(RECORD).succeeds();
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

#[test]
fn add_says_which_gateways_can_never_be_met() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("gamma", "--site south=10.215.0.0/16");
    let out = workspace.add("gamma/gamma.member.toml").succeeds().out;
    assert!(
        out.contains(
            "warning: gamma/gamma.member.toml: gw.gamma has no endpoint, and neither has this \
             gateway: no tunnel between them can ever come up; give one of them an endpoint in its \
             record\n"
        ),
        "{out}"
    );
    // beta can be dialled, and the warning about gamma is not repeated with it.
    let out = workspace.add(RECORD).succeeds().out;
    assert!(!out.contains("warning"), "{out}");
}
