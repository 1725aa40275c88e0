//! `ringway check`.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::desk::{Answer, Desk};

const CHECK: &str = "check -c acme/gateway.toml";

fn check(desk: &Desk) -> Answer {
    desk.ringway(CHECK)
}

/// Makes acme's gateway certificate anew with openssl and these extensions, signed by acme's CA.
fn certify(desk: &Desk, extensions: &[&str]) {
    desk.write("ext", &extensions.join("\n"));
    desk.openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout acme/gateway.key -subj /CN=gw -out csr",
    );
    desk.openssl(
        "x509 -req -in csr -CA acme/ca/ca.crt -CAkey acme/ca/ca.key -days 30 -extfile ext -out acme/gateway.crt",
    );
    desk.set_mode("acme/gateway.key", 0o600);
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
    let desk = Desk::with_acme_and_beta();
    desk.ringway("member add beta/beta.member.toml -c acme/gateway.toml")
        .succeeds();
    let out = check(&desk).succeeds().out;
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
    let desk = Desk::with_acme_and_beta();
    desk.init("gamma", "--site south=10.211.9.0/24");
    desk.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    let answer = check(&desk).refuses(&[&format!(
        "{}: 10.211.9.0/24 (org gamma, site south) overlaps 10.211.0.0/16 (org acme, site east, {})",
        desk.place("acme/members/gamma.member.toml", "10.211.9.0/24"),
        desk.place("acme/acme.member.toml", "10.211.0.0/16")
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
    let desk = Desk::with_acme_and_beta();
    let report = |code| -> Value {
        let answer = desk.ringway(&format!("{CHECK} --json"));
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

    desk.init("gamma", "--site south=10.211.9.0/24");
    desk.copy("gamma/gamma.member.toml", "acme/members/gamma.member.toml");
    let conflicted = report(64);
    assert_eq!(conflicted["ok"], json!(false));
    assert_eq!(
        conflicted["prefixes"][2],
        json!({
            "prefix": "10.211.9.0/24", "org": "gamma", "site": "south", "verdict": "conflicted",
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
        desk.place("acme/members/gamma.member.toml", "10.211.9.0/24")
    );

    desk.remove("acme/gateway.key");
    let broken = report(64);
    assert_eq!(
        (&broken["ok"], &broken["prefixes"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(broken["faults"][0]["file"], "acme/gateway.key");
}

#[test]
fn certificates_made_with_openssl_are_in_order() {
    let desk = Desk::with_acme_and_beta();
    certify(&desk, &[NAME, USAGE, PURPOSES]);
    check(&desk).succeeds();
}

#[test]
fn says_how_to_mend_a_certificate_that_breaks_a_rule() {
    let desk = Desk::with_acme_and_beta();
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
            "certificate lacks keyUsage digitalSignature, or its keyUsage allows more than a leaf's; \
             issue one with keyUsage = critical, digitalSignature",
        ),
        (
            &[NAME, USAGE],
            "certificate lacks extendedKeyUsage serverAuth and clientAuth; \
             issue one with extendedKeyUsage = serverAuth, clientAuth",
        ),
        (
            &[NAME, USAGE, PURPOSES, "basicConstraints = CA:TRUE"],
            "certificate is a CA certificate; use a certificate that the CA issued to the gateway, CA:FALSE",
        ),
        (
            &[other, USAGE, PURPOSES],
            "the record of acme has no gateway other; add it to the own record, or issue one for gw.acme",
        ),
    ];
    for (extensions, message) in cases {
        certify(&desk, extensions);
        check(&desk).refuses(&[&format!("acme/gateway.crt: {message}")]);
    }
}

#[test]
fn an_expired_certificate_says_since_when() {
    let desk = Desk::with_acme_and_beta();
    let ca = KeyPair::from_pem(&desk.read("acme/ca/ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&desk.read("acme/ca/ca.crt"), ca).unwrap();
    let key = KeyPair::from_pem(&desk.read("acme/gateway.key")).unwrap();
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
    desk.write(
        "acme/gateway.crt",
        &params.signed_by(&key, &issuer).unwrap().pem(),
    );
    check(&desk).refuses(&[
        "acme/gateway.crt: certificate expired 3 days ago; issue a new one with the organization's CA",
    ]);
}

#[test]
fn a_certificate_of_another_gateway_or_ca_is_told_apart() {
    let desk = Desk::with_acme_and_beta();
    desk.ringway("member add beta/beta.member.toml -c acme/gateway.toml")
        .succeeds();
    desk.copy("beta/gateway.crt", "acme/gateway.crt");
    check(&desk).refuses(&[
        "acme/gateway.crt: is the certificate of gw.beta; this gateway is gw.acme",
        "acme/gateway.key: is not the key of acme/gateway.crt; put the pair's own key here",
    ]);
    desk.copy("beta/ca/ca.crt", "acme/ca/ca.crt");
    desk.copy("beta/ca/ca.key", "acme/ca/ca.key");
    certify(&desk, &[NAME, USAGE, PURPOSES]);
    let err = check(&desk).err;
    assert!(
        err.starts_with("acme/gateway.crt: certificate does not chain to a CA of acme ("),
        "{err}"
    );
    assert!(
        err.ends_with("); the own record's ca must be the CA that issued it\n"),
        "{err}"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let desk = Desk::with_acme_and_beta();
    desk.set_mode("acme/gateway.key", 0o640);
    check(&desk).refuses(&[
        "acme/gateway.key: others may use the private key (mode 0640); chmod 600 acme/gateway.key",
    ]);
}

#[test]
fn files_that_are_missing_or_no_pem_are_all_named() {
    let desk = Desk::with_acme_and_beta();
    desk.remove("acme/gateway.crt");
    desk.write("acme/gateway.key", "no key");
    check(&desk).refuses(&[
        "acme/gateway.crt: cannot be read (No such file or directory (os error 2)); ringway org init makes it, \
         or set [identity] certificate",
        "acme/gateway.key: holds no private key (no items found); it must be unencrypted PEM",
    ]);
}

#[test]
fn a_gateway_that_its_own_record_revokes_does_not_pass() {
    let desk = Desk::with_acme_and_beta();
    desk.edit(
        "acme/acme.member.toml",
        "\ngateways = []",
        "\ngateways = [\"gw\"]",
    );
    check(&desk).refuses(&[
        "acme/gateway.crt: gw.acme is revoked by its organization; take a new name or key, or mend [revoked]",
    ]);
}

#[test]
fn a_members_expired_ca_is_a_fault() {
    let desk = Desk::with_acme_and_beta();
    let mut params = expired();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let old = params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem();
    desk.edit("beta/beta.member.toml", &desk.read("beta/ca/ca.crt"), &old);
    desk.copy("beta/beta.member.toml", "acme/members/beta.member.toml");
    let place = desk.place("acme/members/beta.member.toml", "-----BEGIN");
    check(&desk).refuses(&[&format!(
        "{place}: CA certificate CN=rcgen self signed cert is expired; put the current one here"
    )]);
}

#[test]
fn nothing_is_changed() {
    let desk = Desk::with_acme_and_beta();
    let before = desk.list("acme");
    check(&desk).succeeds();
    assert_eq!(desk.list("acme"), before);
}
