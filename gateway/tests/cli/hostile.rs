//! Records whose certificates try to control the operator's terminal: only printable lines come
//! out.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::workspace::Workspace;

/// Moves the cursor up, writes another fingerprint over the record's, and moves down again.
const SPOOFED: &str =
    "\u{1b}[A\u{1b}[22G7ccb04f07e4f2ffcc019117c86209805\u{1b}[B\u{1b}[G\u{1b}[KCA   O=beta";
/// Starts a line that looks like one of the log.
const FORGED_LINE: &str = "X\r\n2026-11-28T01:00:00.000000Z  INFO Configuration reloaded";
/// Outside ASCII: CSI as a single character, right-to-left override, zero width space, line
/// separator.
const BEYOND_ASCII: &str = "X\u{9b}2J\u{202e}ateb\u{200b}\u{2028}Y";
/// Rings the bell, ends a C string, and isolates what follows from the text around it.
const SILENT: &str = "X\u{7}\0\u{2066}\u{feff}\u{200d}Y";

/// Puts a CA certificate of this subject into beta's record.
fn set_ca(workspace: &Workspace, subject: &str, not_after: OffsetDateTime) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_after = not_after;

    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let genuine = workspace.read("beta/ca/ca.crt");
    workspace.edit(
        "beta/beta.member.toml",
        &genuine,
        &certificate.replace("\r\n", "\n"),
    );
}

/// Every character is printable ASCII, as all genuine text of these verbs is, or a newline.
#[track_caller]
fn assert_printable(text: &str) {
    let odd: Vec<char> = text
        .chars()
        .filter(|c| !matches!(c, '\n' | ' '..='~' | '…'))
        .collect();
    assert!(odd.is_empty(), "{odd:?} in {text:?}");
}

#[test]
fn show_prints_a_hostile_subject_in_its_place() {
    for subject in [SPOOFED, FORGED_LINE, BEYOND_ASCII, SILENT] {
        let workspace = Workspace::with_acme_and_beta();
        let lines = workspace
            .ringway("member show beta/beta.member.toml")
            .succeeds()
            .out
            .lines()
            .count();
        set_ca(
            &workspace,
            subject,
            OffsetDateTime::now_utc() + Duration::days(30),
        );

        let shown = workspace
            .ringway("member show beta/beta.member.toml")
            .succeeds()
            .out;
        assert_printable(&shown);
        assert_eq!(
            shown.lines().count(),
            lines,
            "the subject starts a line: {shown}"
        );
        let fingerprint = workspace.fingerprint("beta/beta.member.toml");
        assert!(
            shown.contains(&format!("\nfingerprint   {fingerprint}\n")),
            "{shown}"
        );
    }
}

#[test]
fn add_and_check_print_a_hostile_subject_in_its_place() {
    for subject in [SPOOFED, FORGED_LINE, BEYOND_ASCII, SILENT] {
        let workspace = Workspace::with_acme_and_beta();
        // The fault of an expired CA certificate names its subject.
        set_ca(
            &workspace,
            subject,
            OffsetDateTime::now_utc() - Duration::days(3),
        );
        let refused = workspace.ringway("member add beta/beta.member.toml -c acme/gateway.toml");
        assert_eq!(
            (refused.code, refused.err.lines().count()),
            (64, 1),
            "{}",
            refused.err
        );
        assert_printable(&refused.err);

        workspace.copy("beta/beta.member.toml", "acme/members/beta.member.toml");
        for verb in ["check", "check --json"] {
            let checked = workspace.ringway(&format!("{verb} -c acme/gateway.toml"));
            assert_eq!(checked.code, 64);
            assert_printable(&checked.out);
            assert_printable(&checked.err);
        }
    }
}

#[test]
fn a_hostile_key_of_a_record_stays_in_its_fault() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "beta/beta.member.toml",
        "version = 2",
        "version = 2\n\"\\u001b[2J\\u009b\\n\\u202e\\u0007\\u0000\\u200b\" = 1",
    );
    let refused = workspace.ringway("member show beta/beta.member.toml");
    assert_eq!(
        (refused.code, refused.err.lines().count()),
        (64, 1),
        "{}",
        refused.err
    );
    assert_printable(&refused.err);
    assert!(
        refused
            .err
            .contains(r"\u{1b}[2J\u{9b}\n\u{202e}\u{7}\0\u{200b}"),
        "{}",
        refused.err
    );
}
