//! `ringway check`.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::workspace::{Answer, Workspace};

const CHECK: &str = "check -c acme/gateway.toml";

fn check(workspace: &Workspace) -> Answer {
    workspace.ringway(CHECK)
}

/// Replaces acme's gateway certificate by one that openssl makes with these extensions, signed by
/// acme's CA.
fn certify(workspace: &Workspace, extensions: &[&str]) {
    workspace.write("ext", &extensions.join("\n"));
    workspace.openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout acme/gateway.key \
         -subj /CN=gw -out csr",
    );
    workspace.openssl(
        "x509 -req -in csr -CA acme/ca/ca.crt -CAkey acme/ca/ca.key -days 30 -extfile ext -out \
         acme/gateway.crt",
    );
    workspace.set_mode("acme/gateway.key", 0o600);
}

/// A certificate whose time was over three days ago.
fn expired() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_after = OffsetDateTime::now_utc() - Duration::days(3) - Duration::hours(1);
    params
}

const NAME: &str = "subjectAltName = URI:spiffe://acme.consortium.example/gateway/gw";
const USAGE: &str = "keyUsage = critical, digitalSignature";
const PURPOSES: &str = "extendedKeyUsage = serverAuth, clientAuth";

#[test]
fn shows_the_verdict_on_every_prefix_and_when_certificates_end() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    let out = check(&workspace).succeeds().out;
    let head = "gateway gw.acme, site east, listening on 0.0.0.0:4600\n\n\
                prefix         org   site  verdict\n\
                10.211.0.0/16  acme  east  available\n\
                fd00:211::/48  acme  east  available\n\
                10.212.0.0/16  beta  west  available\n\n\
                certificate            until\n\
                O=acme, CN=gw          20";
    assert!(out.starts_with(head), "{out}");
    assert!(out.ends_with("\n\nEverything is in order.\n"), "{out}");
}

#[test]
fn overlapping_records_put_there_by_hand_are_conflicted() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.init("gamma", "--site south=10.211.9.0/24");
    workspace.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    let answer = check(&workspace).refuses(&[&format!(
        "{}: 10.211.9.0/24 (org gamma, site south) overlaps 10.211.0.0/16 (org acme, site east, \
         {})",
        workspace.place("acme/members/gamma.member.toml", "10.211.9.0/24"),
        workspace.place("acme/acme.member.toml", "10.211.0.0/16")
    )]);
    assert!(
        answer.out.contains(
            "10.211.0.0/16  acme   east   conflicted: 10.211.9.0/24 with org gamma, site south\n\
             fd00:211::/48  acme   east   available\n\
             10.211.9.0/24  gamma  south  conflicted: 10.211.9.0/24 with org acme, site east\n"
        ),
        "{}",
        answer.out
    );
}

#[test]
fn json_says_the_same() {
    let workspace = Workspace::with_acme_and_beta();
    let report = |code| -> Value {
        let answer = workspace.ringway(&format!("{CHECK} --json"));
        assert_eq!((answer.code, answer.err.as_str()), (code, ""));
        serde_json::from_str(&answer.out).unwrap()
    };
    let good = report(0);
    assert_eq!((&good["ok"], &good["faults"]), (&json!(true), &json!([])));
    assert_eq!(good["certificates"][0]["subject"], "O=acme, CN=gw");
    assert!(
        good["certificates"][0]["not_after"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );

    workspace.init("gamma", "--site south=10.211.9.0/24");
    workspace.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    let conflicted = report(64);
    assert_eq!(conflicted["ok"], json!(false));
    assert_eq!(
        conflicted["prefixes"][2],
        json!({
            "prefix": "10.211.9.0/24", "org": "gamma", "site": "south", "via": null,
            "verdict": "conflicted", "refused": null,
            "conflict_with": "org acme, site east", "range": "10.211.9.0/24"
        })
    );
    let fault = &conflicted["faults"][0];
    let place = format!(
        "{}:{}:{}",
        fault["file"].as_str().unwrap(),
        fault["line"],
        fault["column"]
    );
    assert_eq!(
        place,
        workspace.place("acme/members/gamma.member.toml", "10.211.9.0/24")
    );

    workspace.remove("acme/gateway.key");
    let broken = report(64);
    assert_eq!(
        (&broken["ok"], &broken["prefixes"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(broken["faults"][0]["file"], "acme/gateway.key");
}

#[test]
fn certificates_made_with_openssl_are_in_order() {
    let workspace = Workspace::with_acme_and_beta();
    certify(&workspace, &[NAME, USAGE, PURPOSES]);
    check(&workspace).succeeds();
}

#[test]
fn names_the_remedy_for_a_certificate_that_breaks_a_rule() {
    let workspace = Workspace::with_acme_and_beta();
    let other = "subjectAltName = URI:spiffe://acme.consortium.example/gateway/other";
    let foreign = "subjectAltName = URI:spiffe://acme.consortium.example:1/gateway/gw";
    let cases: [(&[&str], &str); 6] = [
        (
            &[USAGE, PURPOSES],
            "certificate has 0 URI names where exactly one SPIFFE id is required; \
             issue one whose only URI name is spiffe://acme.consortium.example/gateway/gw",
        ),
        (
            &[foreign, USAGE, PURPOSES],
            "\"spiffe://acme.consortium.example:1/gateway/gw\" is not \
             spiffe://<org>.consortium.example/gateway/<name>; \
             issue one whose only URI name is spiffe://acme.consortium.example/gateway/gw",
        ),
        (
            &[NAME, PURPOSES],
            "certificate lacks keyUsage digitalSignature, or its keyUsage allows more than a \
             leaf's; \
             issue one with keyUsage = critical, digitalSignature",
        ),
        (
            &[NAME, USAGE],
            "certificate lacks extendedKeyUsage serverAuth and clientAuth; \
             issue one with extendedKeyUsage = serverAuth, clientAuth",
        ),
        (
            &[NAME, USAGE, PURPOSES, "basicConstraints = CA:TRUE"],
            "certificate is a CA certificate; use a certificate that the CA issued to the gateway, \
             CA:FALSE",
        ),
        (
            &[other, USAGE, PURPOSES],
            "the record of acme has no gateway other; add it to our record, or issue one for \
             gw.acme",
        ),
    ];
    for (extensions, message) in cases {
        certify(&workspace, extensions);
        check(&workspace).refuses(&[&format!("acme/gateway.crt: {message}")]);
    }
}

#[test]
fn an_expired_certificate_says_since_when() {
    let workspace = Workspace::with_acme_and_beta();
    let ca = KeyPair::from_pem(&workspace.read("acme/ca/ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&workspace.read("acme/ca/ca.crt"), ca).unwrap();
    let key = KeyPair::from_pem(&workspace.read("acme/gateway.key")).unwrap();
    let mut params = expired();
    params.subject_alt_names = vec![SanType::URI(
        "spiffe://acme.consortium.example/gateway/gw"
            .try_into()
            .unwrap(),
    )];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    workspace.write(
        "acme/gateway.crt",
        &params.signed_by(&key, &issuer).unwrap().pem(),
    );
    check(&workspace).refuses(&[
        "acme/gateway.crt: certificate expired 3 days ago; issue a new one with the organization's \
         CA",
    ]);
}

#[test]
fn a_certificate_of_another_gateway_or_ca_is_refused_with_the_reason() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace.copy("beta/gateway.crt", "acme/gateway.crt");
    check(&workspace).refuses(&[
        "acme/gateway.crt: is the certificate of gw.beta; this gateway is gw.acme",
        "acme/gateway.key: is not the key of acme/gateway.crt; put the pair's own key here",
    ]);
    workspace.copy("beta/ca/ca.crt", "acme/ca/ca.crt");
    workspace.copy("beta/ca/ca.key", "acme/ca/ca.key");
    certify(&workspace, &[NAME, USAGE, PURPOSES]);
    let err = check(&workspace).err;
    assert!(
        err.starts_with("acme/gateway.crt: certificate does not chain to a CA of acme ("),
        "{err}"
    );
    assert!(
        err.ends_with("); the ca of our record must be the CA that issued it\n"),
        "{err}"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let workspace = Workspace::with_acme_and_beta();
    for (mode, shown) in [(0o644, "0644"), (0o660, "0660"), (0o604, "0604")] {
        workspace.set_mode("acme/gateway.key", mode);
        check(&workspace).refuses(&[&format!(
            "acme/gateway.key: others may use the private key (mode {shown}); chmod 600 \
             acme/gateway.key"
        )]);
    }
}

#[test]
fn files_that_are_missing_or_no_pem_are_all_named() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.remove("acme/gateway.crt");
    workspace.write("acme/gateway.key", "no key");
    check(&workspace).refuses(&[
        "acme/gateway.crt: cannot be read (No such file or directory (os error 2)); make it with \
         ringway cert renew, or with ringway cert request if the CA is elsewhere, or set \
         [identity] certificate",
        "acme/gateway.key: holds no private key; it must be unencrypted PEM",
    ]);
}

#[test]
fn a_certificate_in_place_of_a_key_is_named_and_not_to_be_hidden() {
    let workspace = Workspace::with_acme_and_beta();
    for mode in [0o644, 0o600] {
        workspace.edit("acme/gateway.toml", "\"gateway.key\"", "\"gateway.crt\"");
        workspace.set_mode("acme/gateway.crt", mode);
        check(&workspace).refuses(&[
            "acme/gateway.crt: is a certificate, and no private key; set [identity] key to the \
             file of that",
        ]);
        workspace.edit(
            "acme/gateway.toml",
            "key = \"gateway.crt\"",
            "key = \"gateway.key\"",
        );
    }

    workspace.edit("acme/gateway.toml", "\"gateway.crt\"", "\"gateway.key\"");
    check(&workspace).refuses(&[
        "acme/gateway.key: is a private key, and no certificate; set [identity] certificate to \
         the file of that",
    ]);
}

#[test]
fn a_gateway_that_its_own_record_revokes_does_not_pass() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.edit(
        "acme/acme.member.toml",
        "\ngateways = []",
        "\ngateways = [\"gw\"]",
    );
    check(&workspace).refuses(&[
        "acme/gateway.crt: gw.acme is revoked by its organization; take a new name or key, or \
         correct [revoked]",
    ]);
}

#[test]
fn a_members_expired_ca_is_a_fault() {
    let workspace = Workspace::with_acme_and_beta();
    let mut params = expired();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let old = params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem();
    workspace.edit(
        "beta/beta.member.toml",
        &workspace.read("beta/ca/ca.crt"),
        &old,
    );
    workspace.copy("beta/beta.member.toml", "acme/members/beta.member.toml");
    let place = workspace.place("acme/members/beta.member.toml", "-----BEGIN");
    check(&workspace).refuses(&[&format!(
        "{place}: CA certificate CN=rcgen self signed cert is expired; put the current one here"
    )]);
}

#[test]
fn nothing_is_changed() {
    let workspace = Workspace::with_acme_and_beta();
    let before = workspace.list("acme");
    check(&workspace).succeeds();
    assert_eq!(workspace.list("acme"), before);
}
