//! What a change of our record never does, and what keeps none back: with faults elsewhere, with
//! overlaps that are there already, and with a disk that fails half-way.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::workspace::{Answer, Workspace};

const RECORD: &str = "acme/acme.member.toml";
const CONFIG: &str = "acme/gateway.toml";
const BETA: &str = "acme/members/beta.member.toml";
const HERE: &str = "-c acme/gateway.toml";

fn with_a_member() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
}

/// Makes gateway.toml a file that does not load, for a reason that no change of the record removes.
fn break_config(workspace: &Workspace) {
    let text = workspace.read(CONFIG);
    workspace.write(CONFIG, &(text + "\n[nonsense]\n"));
}

#[track_caller]
fn refused(answer: Answer, part: &str) {
    assert_eq!(answer.code, 64, "{answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
}

#[test]
fn a_record_of_version_1_gets_a_serial_above_every_accepted_one() {
    let workspace = with_a_member();
    let text = workspace.read(RECORD);
    let (text, _) = text.split_once("\n# The last line").unwrap();
    let text = text
        .replace("version = 2", "version = 1")
        .replace("serial = 1   # one more with each change\n", "");
    workspace.write(RECORD, &text);
    // As a gateway has written it that ran with a version 2 of the record.
    let digest = workspace.fingerprint(CONFIG);
    workspace.write_state("acme/state/records", &format!("5 {digest} acme\n"));

    workspace
        .ringway(&format!("site add west=10.215.0.0/16 {HERE}"))
        .succeeds();
    let text = workspace.read(RECORD);
    assert!(text.contains("\nserial = 6"), "{text}");
}

#[test]
fn a_certificate_that_is_no_cas_does_not_get_into_the_record() {
    let workspace = with_a_member();
    let before = workspace.read(RECORD);
    // Beside a gateway, and where none is.
    for place in [HERE.to_owned(), format!("--record {RECORD}")] {
        let script = "python3 - \"$1\" <<'E'\nimport sys\ntext = open(sys.argv[1]).read()\n\
                      ca, leaf = (open(f).read().strip() for f in ('acme/ca/ca.crt', \
                      'acme/gateway.crt'))\nassert ca in text\n\
                      open(sys.argv[1], 'w').write(text.replace(ca, leaf))\nE\n";
        workspace.write("script", script);
        let command = format!(
            "printf 'n\\n' | EDITOR=\"sh $PWD/script\" {} record edit {place}",
            env!("CARGO_BIN_EXE_ringway")
        );
        workspace.write("edit", &command);
        let answer = workspace.run(Path::new("sh"), "edit");
        refused(answer, "is not a CA certificate");
        assert_eq!(workspace.read(RECORD), before, "{place}");
    }
}

/// No fault elsewhere is a licence to take another member's range.
#[test]
fn an_overlap_is_refused_also_where_other_files_have_faults() {
    let workspace = with_a_member();
    break_config(&workspace);
    let before = workspace.read(RECORD);
    refused(
        workspace.ringway(&format!("site add south=10.212.7.0/24 {HERE}")),
        "overlaps 10.212.0.0/16 (org beta, site west,",
    );
    refused(
        workspace.ringway(&format!("site add south=10.211.7.0/24 {HERE}")),
        "overlaps 10.211.0.0/16",
    );
    assert_eq!(workspace.read(RECORD), before);
    workspace
        .ringway(&format!("site add south=10.216.0.0/16 {HERE}"))
        .succeeds();
}

/// A revocation must not wait until two organizations agree about a range.
#[test]
fn an_overlap_that_is_there_already_keeps_no_revocation_back() {
    for is_broken in [false, true] {
        let workspace = with_a_member();
        workspace.edit(BETA, "10.212.0.0/16", "10.211.0.0/16");
        if is_broken {
            break_config(&workspace);
        }
        let answer = workspace.ringway(&format!("revoke gateway gw {HERE}"));
        assert_eq!(answer.code, 0, "broken {is_broken}: {answer:?}");
        assert!(workspace.read(RECORD).contains("gateways = [\"gw\"]\n"));
    }
}

/// The overlap of two others is theirs: a correction of our files does not wait for them.
#[test]
fn an_overlap_of_two_other_organizations_does_not_concern_our_record() {
    let workspace = with_a_member();
    workspace.init("gamma", "--site north=10.219.0.0/16");
    workspace.add("gamma/gamma.member.toml").succeeds();
    let gamma = "acme/members/gamma.member.toml";
    workspace.edit(gamma, "10.219.0.0/16", "10.212.0.0/16");
    workspace
        .ringway(&format!("site add west=10.215.0.0/16 {HERE}"))
        .succeeds();
    let text = workspace.read(CONFIG);
    let (text, _) = text.split_once("\n[policy]\n").unwrap();
    workspace.write(CONFIG, &text.replace("site = \"east\"", "site = \"west\""));
    assert_eq!(workspace.ringway(&format!("check {HERE}")).code, 64);

    // Then the record says the same as the file: what was wrong is right.
    workspace
        .ringway(&format!("gateway set gw --site west {HERE}"))
        .succeeds();
}

#[test]
fn a_change_that_cannot_be_written_whole_is_not_written_at_all() {
    let workspace = with_a_member();
    let before = [RECORD, CONFIG].map(|file| workspace.read(file));
    // Both files would change; the second one, the record, cannot be replaced.
    workspace.make_directory(&format!("{RECORD}.new"));
    let answer = workspace.ringway(&format!("site set east --prefix 10.216.0.0/16 {HERE}"));
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.err.contains("cannot write"), "{}", answer.err);
    assert_eq!([RECORD, CONFIG].map(|file| workspace.read(file)), before);
}

#[test]
fn revoking_this_hosts_own_gateway_or_key_warns_the_operator() {
    let workspace = with_a_member();
    workspace
        .ringway(&format!("gateway add gw2 --ca acme/ca {HERE}"))
        .succeeds();
    let key = |file: &str| {
        let shown = workspace.ringway(&format!("cert show {file}")).succeeds();
        let line = shown.out.lines().find(|line| line.starts_with("key "));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let revoke = |what: &str| {
        let answer = workspace.ringway(&format!("revoke {what} {HERE}"));
        answer.succeeds().out
    };

    let theirs = revoke(&format!("key {}", key("acme/gw2/gateway.crt")));
    assert!(!theirs.contains("the gateway here"), "{theirs}");
    let ours = revoke(&format!("key {}", key("acme/gateway.crt")));
    assert!(ours.contains("It is the key of the gateway here"), "{ours}");
    assert!(ours.contains("ringway cert renew --new-key"), "{ours}");

    let other = revoke("gateway gw2");
    assert!(!other.contains("stop it"), "{other}");
    let here = revoke("gateway gw");
    assert!(here.contains("It is the gateway here: stop it"), "{here}");
}

#[test]
fn a_file_keeps_its_mode_and_a_link_stays_one() {
    let workspace = with_a_member();
    for mode in [0o600, 0o644] {
        workspace.set_mode(CONFIG, mode);
        let command = format!("dns add host{mode}=10.211.0.9 {HERE}");
        workspace.ringway(&command).succeeds();
        assert_eq!(workspace.mode(CONFIG), mode);
    }

    // As configuration management has it.
    let real = workspace.path().join("real.toml");
    let link = workspace.path().join(CONFIG);
    std::fs::rename(&link, &real).unwrap();
    symlink(&real, &link).unwrap();
    workspace
        .ringway(&format!("dns add linked=10.211.0.10 {HERE}"))
        .succeeds();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(workspace.read("real.toml").contains("linked"));
}
