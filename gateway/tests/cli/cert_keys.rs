//! Keys of certificates: a revoked one gets none, and none is lost.

use super::workspace::{Answer, Workspace};

const HERE: &str = "-c acme/gateway.toml";
const SIGN: &str = "--ca acme/ca --record acme/acme.member.toml";
const KEY: &str = "acme/gateway.key";
const CERTIFICATE: &str = "acme/gateway.crt";

fn acme() -> Workspace {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    workspace
}

/// The digest of the key in a certificate or request.
fn digest(workspace: &Workspace, file: &str) -> String {
    let shown = workspace.ringway(&format!("cert show {file}")).succeeds();
    let line = shown.out.lines().find(|line| line.starts_with("key "));

    line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

#[track_caller]
fn refused(answer: Answer, part: &str) {
    assert_eq!(answer.code, 64, "{answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
}

#[test]
fn a_revoked_gateway_gets_no_other_certificate() {
    let workspace = acme();
    workspace
        .ringway(&format!("revoke gateway gw {HERE}"))
        .succeeds();
    let before = workspace.read(CERTIFICATE);
    for options in ["", "--new-key", "--certificate acme/gateway.crt"] {
        refused(
            workspace.ringway(&format!("cert renew {options} {HERE}")),
            "gateway gw is revoked in acme/acme.member.toml",
        );
    }
    assert_eq!(workspace.read(CERTIFICATE), before);
}

#[test]
fn a_revoked_key_is_neither_asked_for_nor_signed() {
    let workspace = acme();
    workspace
        .ringway(&format!("cert request {HERE}"))
        .succeeds();
    let request = "acme/gateway.csr";
    let key = digest(&workspace, request);
    workspace
        .ringway(&format!("revoke key {key} {HERE}"))
        .succeeds();

    refused(
        workspace.ringway(&format!("cert sign {request} {SIGN} --out a.crt")),
        &format!("is for the key {key}, which is revoked"),
    );
    assert!(!workspace.exists("a.crt"));
    workspace.remove(request);
    refused(
        workspace.ringway(&format!("cert request {HERE}")),
        "is a revoked key; make another with --new-key",
    );
    assert!(!workspace.exists(request));
    workspace
        .ringway(&format!("cert request --new-key {HERE}"))
        .succeeds();
}

/// A request for another key may be under way while the present one is renewed.
#[test]
fn a_key_that_waits_takes_no_certificate_of_another() {
    let workspace = acme();
    let key = workspace.read(KEY);
    workspace
        .ringway(&format!("cert request {HERE}"))
        .succeeds();
    workspace
        .ringway(&format!("cert sign acme/gateway.csr {SIGN} --out same.crt"))
        .succeeds();
    workspace
        .ringway(&format!("cert request --new-key {HERE}"))
        .succeeds();
    let waiting = workspace.read("acme/gateway.key.next");

    workspace
        .ringway(&format!("cert renew --certificate same.crt {HERE}"))
        .succeeds();
    assert_eq!(workspace.read(KEY), key);
    assert_eq!(workspace.read("acme/gateway.key.next"), waiting);
    workspace.ringway(&format!("check {HERE}")).succeeds();
}

#[test]
fn a_pair_that_cannot_be_written_whole_is_the_one_of_before() {
    let workspace = acme();
    let before = [KEY, CERTIFICATE].map(|file| workspace.read(file));
    // The key is written first; the certificate cannot be.
    workspace.make_directory("acme/gateway.crt.new");
    let answer = workspace.ringway(&format!("cert renew --new-key {HERE}"));
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!([KEY, CERTIFICATE].map(|file| workspace.read(file)), before);
    assert_eq!(workspace.mode(KEY), 0o600);
    workspace.ringway(&format!("check {HERE}")).succeeds();
}

/// A CA certificate for an RSA key of so many bits, in `dir`.
fn rsa_authority(workspace: &Workspace, dir: &str, bits: u32) {
    workspace.make_directory(dir);
    workspace.openssl(&format!(
        "req -x509 -newkey rsa:{bits} -nodes -keyout {dir}/ca.key -out {dir}/ca.crt -subj /CN=rsa \
         -days 90 -addext keyUsage=critical,keyCertSign,cRLSign"
    ));
}

#[test]
fn a_key_that_is_too_short_is_reported_at_every_entry() {
    let workspace = acme();
    let short = "for an RSA key of 1024 bits, and gateways accept 2048 to 8192";
    rsa_authority(&workspace, "short", 1024);
    let init = "org init gamma --domain consortium.example --site a=10.213.0.0/16 --dir gamma";
    refused(workspace.ringway(&format!("{init} --ca short")), short);

    // The record of an organization that has made its CA otherwise.
    rsa_authority(&workspace, "long", 2048);
    workspace.ringway(&format!("{init} --ca long")).succeeds();
    let record = workspace.read("gamma/gamma.member.toml");
    let pem = |file: &str| {
        let lines = workspace.read(file);
        let lines: Vec<String> = lines.lines().map(|line| line.trim().to_owned()).collect();
        lines.join("\n")
    };
    let begin = record.find("-----BEGIN").unwrap();
    let end = record.find("-----END CERTIFICATE-----").unwrap() + 25;
    let record = format!(
        "{}{}{}",
        &record[..begin],
        pem("short/ca.crt"),
        &record[end..]
    );
    workspace.write("gamma.member.toml", &record);
    refused(workspace.add("gamma.member.toml"), short);

    // Our own key, and a request for a certificate.
    workspace.write(
        "ext",
        "subjectAltName=URI:spiffe://gamma.consortium.example/gateway/gw\n\
         extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n",
    );
    workspace.openssl(
        "req -newkey rsa:1024 -nodes -keyout gamma/gateway.key -subj /CN=gw -out gamma/r.csr",
    );
    workspace.openssl(
        "x509 -req -in gamma/r.csr -CA long/ca.crt -CAkey long/ca.key -days 30 -extfile ext \
         -out gamma/gateway.crt",
    );
    workspace.set_mode("gamma/gateway.key", 0o600);
    let answer = workspace.ringway("check -c gamma/gateway.toml");
    assert!(
        answer.err.contains("ringway cert renew --new-key"),
        "{answer:?}"
    );
    refused(answer, short);
    refused(
        workspace.ringway(
            "cert sign gamma/r.csr --ca long --record gamma/gamma.member.toml --out a.crt",
        ),
        short,
    );
}
