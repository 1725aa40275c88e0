//! `ringway cert`: renewal, requests, signatures, and a CA whose key is in a PKCS#11 token.

use super::workspace::{Answer, Workspace};

const HERE: &str = "-c acme/gateway.toml";
const RECORD: &str = "acme/acme.member.toml";
const SIGN: &str = "--ca acme/ca --record acme/acme.member.toml";

fn acme() -> Workspace {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    workspace
}

/// The digest of a certificate's key, by openssl.
fn key_of(workspace: &Workspace, file: &str) -> String {
    workspace.write(
        "digest",
        "openssl x509 -in $1 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum",
    );
    let answer = workspace.run(std::path::Path::new("sh"), &format!("digest {file}"));
    format!("sha256:{}", &answer.succeeds().out[..64])
}

#[track_caller]
fn refuses(answer: Answer, part: &str) {
    assert_eq!(answer.code, 64, "{answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
}

#[test]
fn show_prints_names_validity_and_the_digest_for_a_revocation() {
    let workspace = acme();
    let shown = workspace
        .ringway(&format!("cert show {HERE}"))
        .succeeds()
        .out;
    let key = key_of(&workspace, "acme/gateway.crt");
    for line in [
        "subject      O=acme, CN=gw\n",
        "issuer       O=acme, CN=Ringway CA\n",
        "names        URI:spiffe://acme.consortium.example/gateway/gw\n",
        &format!("key          {key}\n"),
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let ca = workspace.ringway("cert show acme/ca/ca.crt").succeeds().out;
    assert!(ca.contains("CA           yes\n"), "{ca}");
    let json = workspace
        .ringway(&format!("cert show --json {HERE}"))
        .succeeds()
        .out;
    assert!(json.contains(&format!("\"key\": \"{key}\"")), "{json}");
    refuses(
        workspace.ringway("cert show acme/gateway.toml"),
        "holds neither a certificate",
    );

    // The digest is what a revocation takes.
    workspace
        .ringway(&format!("revoke key {key} {HERE}"))
        .succeeds();
    refuses(workspace.ringway(&format!("check {HERE}")), "revoked");
    refuses(
        workspace.ringway(&format!("cert renew {HERE}")),
        "make a new one with --new-key",
    );
    workspace
        .ringway(&format!("cert renew --new-key {HERE}"))
        .succeeds();
    workspace.ringway(&format!("check {HERE}")).succeeds();
}

#[test]
fn a_renewal_keeps_the_key_unless_a_new_one_is_asked_for() {
    let workspace = acme();
    let certificate = workspace.read("acme/gateway.crt");
    let key = workspace.read("acme/gateway.key");
    workspace.ringway(&format!("cert renew {HERE}")).succeeds();
    assert_ne!(workspace.read("acme/gateway.crt"), certificate);
    assert_eq!(workspace.read("acme/gateway.key"), key);

    let old = key_of(&workspace, "acme/gateway.crt");
    let out = workspace
        .ringway(&format!("cert renew --new-key {HERE}"))
        .succeeds()
        .out;
    let kept = format!("acme/gateway.key.{}", &old["sha256:".len()..][..12]);
    assert_eq!(workspace.read(&kept), key, "no key is lost");
    for file in [kept.as_str(), "acme/gateway.key"] {
        assert_eq!(workspace.mode(file), 0o600, "{file}");
    }
    assert!(out.contains(&format!("ringway revoke key {old}")), "{out}");
    workspace.ringway(&format!("check {HERE}")).succeeds();
}

#[test]
fn without_the_ca_a_request_is_signed_where_the_ca_is() {
    let workspace = acme();
    workspace
        .run(std::path::Path::new("mv"), "acme/ca away")
        .succeeds();
    refuses(
        workspace.ringway(&format!("cert renew {HERE}")),
        "the CA is not here",
    );
    // Another gateway, whose key is made on its own host.
    let out = workspace
        .ringway(&format!("gateway add gw2 {HERE}"))
        .succeeds()
        .out;
    assert!(
        out.contains("ringway cert request -c gateway.toml"),
        "{out}"
    );
    assert!(!workspace.exists("acme/gw2/gateway.key"));

    let there = "-c acme/gw2/gateway.toml";
    let asked = workspace
        .ringway(&format!("cert request {there}"))
        .succeeds()
        .out;
    let key = workspace.read("acme/gw2/gateway.key");
    assert_eq!(workspace.mode("acme/gw2/gateway.key"), 0o600);
    workspace.openssl("req -in acme/gw2/gateway.csr -noout -verify");
    let sign = format!("cert sign acme/gw2/gateway.csr --ca away --record {RECORD} --out new.crt");
    let signed = workspace.ringway(&sign).succeeds().out;
    let digest = key_of(&workspace, "new.crt");
    assert!(
        asked.contains(&digest) && signed.contains(&digest),
        "{asked}{signed}"
    );
    workspace
        .ringway(&format!("cert renew --certificate new.crt {there}"))
        .succeeds();
    workspace.ringway(&format!("check {there}")).succeeds();
    assert_eq!(workspace.read("acme/gw2/gateway.key"), key);

    // Again, with another key, which counts when its certificate is there.
    workspace
        .ringway(&format!("cert request --new-key {there}"))
        .succeeds();
    assert_eq!(workspace.read("acme/gw2/gateway.key"), key);
    let sign = format!("cert sign acme/gw2/gateway.csr --ca away --record {RECORD} --out 2.crt");
    workspace.ringway(&sign).succeeds();
    workspace
        .ringway(&format!("cert renew --certificate 2.crt {there}"))
        .succeeds();
    assert_ne!(workspace.read("acme/gw2/gateway.key"), key);
    assert!(!workspace.exists("acme/gw2/gateway.key.next"));
    workspace.ringway(&format!("check {there}")).succeeds();
    refuses(
        workspace.ringway(&format!(
            "cert renew --certificate acme/gateway.crt {there}"
        )),
        "",
    );
}

/// A request with this subject and these extensions, for a new key in `key.pem`.
fn request(workspace: &Workspace, options: &str) {
    workspace.openssl(&format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out a.csr \
         {options}"
    ));
}

const GW: &str = "-addext subjectAltName=URI:spiffe://acme.consortium.example/gateway/gw";

#[test]
fn only_the_key_is_taken_from_a_request() {
    let workspace = acme();
    request(
        &workspace,
        "-subj /O=evil/CN=root -addext basicConstraints=critical,CA:TRUE,pathlen:5 -addext \
         keyUsage=keyCertSign,cRLSign -addext \
         subjectAltName=URI:spiffe://acme.consortium.example/gateway/gw,DNS:bank.example,\
         IP:10.0.0.1",
    );
    let out = workspace
        .ringway(&format!("cert sign a.csr {SIGN}"))
        .succeeds()
        .out;
    assert!(
        out.contains("It asks to be a CA, which no gateway becomes"),
        "{out}"
    );
    assert!(
        out.contains("DNS:bank.example"),
        "it shows what was asked for: {out}"
    );
    let signed = workspace.ringway("cert show a.crt").succeeds().out;
    assert!(signed.contains("subject      O=acme, CN=gw\n"), "{signed}");
    for absent in ["CA  ", "bank.example", "evil", "10.0.0.1"] {
        assert!(!signed.contains(absent), "{absent}: {signed}");
    }
    workspace.openssl("verify -x509_strict -CAfile acme/ca/ca.crt a.crt");
    let text = workspace
        .run(
            std::path::Path::new("openssl"),
            "x509 -in a.crt -noout -text",
        )
        .succeeds()
        .out;
    assert!(
        text.contains("Digital Signature\n") && !text.contains("Certificate Sign"),
        "{text}"
    );
    refuses(
        workspace.ringway(&format!("cert sign a.csr {SIGN}")),
        "a.crt: is there already; nothing is overwritten",
    );
}

#[test]
fn a_request_for_anything_but_a_gateway_of_ours_is_refused() {
    let workspace = acme();
    let name = |uri: &str| format!("-subj /CN=x -addext subjectAltName=URI:{uri}");
    let own = "spiffe://acme.consortium.example/gateway";
    for (options, part) in [
        (
            name("spiffe://beta.consortium.example/gateway/gw"),
            "no gateway of acme",
        ),
        (
            name(&format!("{own}/gw9")),
            "is not in acme/acme.member.toml; add it with",
        ),
        (
            name("spiffe://acme.other.example/gateway/gw"),
            "no gateway of consortium.example",
        ),
        (
            name("https://acme.consortium.example/gateway/gw"),
            "no gateway of",
        ),
        (name(&format!("{own}/gw,URI:{own}/gw2")), "has 2 URI names"),
        (
            "-subj /CN=gw".to_owned(),
            "say which one it is for with --gateway",
        ),
    ] {
        request(&workspace, &options);
        refuses(workspace.ringway(&format!("cert sign a.csr {SIGN}")), part);
        assert!(!workspace.exists("a.crt"), "{options}");
    }

    // Without a name, the operator says it; a name is not overruled.
    workspace
        .ringway(&format!("cert sign a.csr {SIGN} --gateway gw --out b.crt"))
        .succeeds();
    request(&workspace, &format!("-subj /CN=x {GW}"));
    refuses(
        workspace.ringway(&format!("cert sign a.csr {SIGN} --gateway gw2")),
        "is for gw.acme, not for gw2.acme",
    );
    let other = workspace.fingerprint("a.csr");
    refuses(
        workspace.ringway(&format!("cert sign a.csr {SIGN} --key {other}")),
        "it was exchanged on its way",
    );
    workspace
        .ringway(&format!("revoke gateway gw {HERE}"))
        .succeeds();
    refuses(
        workspace.ringway(&format!("cert sign a.csr {SIGN}")),
        "which is revoked",
    );
}

#[test]
fn a_forged_or_damaged_request_is_refused() {
    let workspace = acme();
    // Signed with another key than the one that it is for.
    request(&workspace, &format!("-subj /CN=x {GW}"));
    workspace.openssl("req -in a.csr -outform DER -out a.der");
    workspace.write(
        "forge",
        "python3 - <<'E'\nb = bytearray(open('a.der','rb').read())\n\
         i = b.index(b'\\x03\\x42\\x00\\x04') + 10\nb[i] ^= 1\nopen('f.der','wb').write(b)\n\
         b = bytearray(open('a.der','rb').read()); b[-3] ^= 1\nopen('g.der','wb').write(b)\nE\n\
         for f in f g; do (echo -----BEGIN CERTIFICATE REQUEST-----; base64 $f.der; \
         echo -----END CERTIFICATE REQUEST-----) > $f.csr; done\n",
    );
    workspace
        .run(std::path::Path::new("sh"), "forge")
        .succeeds();
    for file in ["f.csr", "g.csr"] {
        refuses(workspace.ringway(&format!("cert sign {file} {SIGN}")), "");
        assert!(!workspace.exists(&file.replace("csr", "crt")));
    }
    refuses(
        workspace.ringway(&format!("cert sign acme/gateway.crt {SIGN} --out x.crt")),
        "is no certificate request",
    );
    workspace.write("big.csr", &"x".repeat(20_000));
    refuses(
        workspace.ringway(&format!("cert sign big.csr {SIGN}")),
        "is larger than",
    );

    // A key that peers refuse.
    workspace.openssl(&format!(
        "req -new -newkey rsa:1024 -nodes -keyout key.pem -out weak.csr -subj /CN=x {GW}"
    ));
    refuses(workspace.ringway(&format!("cert sign weak.csr {SIGN}")), "");
}

#[test]
fn nothing_in_a_request_or_a_certificate_reaches_the_terminal() {
    let workspace = acme();
    workspace.write(
        "hostile.cnf",
        "[req]\ndistinguished_name = dn\nprompt = no\nutf8 = yes\nstring_mask = utf8only\n\
         req_extensions = v3\n[dn]\nCN = \"X\u{1b}[2J\u{9b}2J\u{202e}\u{200b}Y\"\n[v3]\n\
         subjectAltName = URI:spiffe://acme.consortium.example/gateway/gw,DNS:a\u{1b}[A.example\n",
    );
    request(&workspace, "-config hostile.cnf");
    let out = workspace
        .ringway(&format!("cert sign a.csr {SIGN}"))
        .succeeds()
        .out
        + &workspace.ringway("cert show a.csr").succeeds().out;
    assert!(out.contains("\\u{1b}[2J"), "it is shown escaped: {out}");
    for character in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}'] {
        assert!(!out.contains(character), "{character:?}");
    }
}

/// What tells the engine where the token is.
const TOKEN: &str = "export SOFTHSM2_CONF=$PWD/softhsm.conf\n\
                     for module in /usr/lib/softhsm /usr/lib/*/softhsm; do\n\
                     [ ! -e $module/libsofthsm2.so ] || \
                     export PKCS11_MODULE_PATH=$module/libsofthsm2.so; done\n";

/// The CA's key is in SoftHSM; nothing but the token has it.
#[test]
fn a_ca_in_a_token_signs_and_renews() {
    let workspace = Workspace::new();
    workspace.write("token", TOKEN);
    let script = r#"
mkdir tokens ca
echo "directories.tokendir = $PWD/tokens" > softhsm.conf
. ./token
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key.pem
softhsm2-util --init-token --free --label acme-ca --so-pin 1234 --pin 4321
softhsm2-util --import key.pem --token acme-ca --label root --id 01 --pin 4321
openssl req -x509 -key key.pem -days 3650 -subj /O=acme/CN=HSM -out ca/ca.crt \
  -addext basicConstraints=critical,CA:TRUE,pathlen:0 \
  -addext keyUsage=critical,keyCertSign,cRLSign
rm key.pem
printf 4321 > pin
uri="pkcs11:token=acme-ca;object=root;type=private?pin-value=4321"
$ringway org init acme --domain consortium.example --site east=10.211.0.0/16 --dir acme \
  --ca ca --ca-key "$uri"
openssl verify -x509_strict -CAfile ca/ca.crt acme/gateway.crt
$ringway cert renew --new-key --ca ca --ca-key "$uri" -c acme/gateway.toml
$ringway gateway add gw2 --ca ca --ca-key "$uri" -c acme/gateway.toml
$ringway cert request -c acme/gateway.toml
$ringway cert sign acme/gateway.csr --ca ca --ca-key "$uri" --out signed.crt \
  --record acme/acme.member.toml
for c in acme/gateway.crt acme/gw2/gateway.crt signed.crt; do
  openssl verify -x509_strict -CAfile ca/ca.crt $c
done
ls ca
"#;
    workspace.write("hsm", script);
    let answer = workspace.offline("sh -e hsm");
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    assert!(
        answer.out.ends_with("ca.crt\n"),
        "the key is in the token alone: {}",
        answer.out
    );

    // Another key in the token: the result would be refused everywhere.
    let wrong = r#"
. ./token
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key.pem
softhsm2-util --import key.pem --token acme-ca --label other --id 02 --pin 4321
uri="pkcs11:token=acme-ca;object=other;type=private?pin-value=4321"
$ringway cert renew --ca ca --ca-key "$uri" -c acme/gateway.toml
"#;
    let before = workspace.read("acme/gateway.crt");
    refuses(
        workspace.offline(wrong),
        "the key in the token is not the key of the CA certificate",
    );
    let wrong = ". ./token\n$ringway cert renew --ca ca --ca-key pkcs11:token=none \
                 -c acme/gateway.toml";
    refuses(workspace.offline(wrong), "the token did not sign");
    let newline = ". ./token\necho 4321 > pin\n$ringway cert renew --ca ca --ca-key \
                   'pkcs11:token=acme-ca;object=root;type=private?pin-source=file:pin' \
                   -c acme/gateway.toml";
    refuses(
        workspace.offline(newline),
        "the token refuses the PIN: it is wrong; pin ends with a newline",
    );
    assert_eq!(workspace.read("acme/gateway.crt"), before);
}
