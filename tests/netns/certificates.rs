//! A gateway's certificate changes and expires while the mesh runs. It is made with openssl, as an
//! organization with a CA of its own would.
//!
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_lab::program;
use ringway_tests::scene::eventually;
use ringway_tests::{Flow, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

/// How long the short-lived certificate is valid, seconds: longer than the session it replaces drains (10 s),
/// since that one would take over again.
const LIFETIME: u64 = 17;
/// An expired certificate loses its session within this; and `not after` itself is still valid (RFC 5280).
const CONTRACT: Duration = Duration::from_secs(2);

#[test]
fn a_new_certificate_is_taken_over_without_a_lost_packet_and_ends_its_session_when_it_expires() {
    let scene = Scene::new("expiry", RINGWAY);
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let bystander = Flow::start(&scene, "orderer1.org0", "peer0.org1");
    let kept = keep_the_old_pair(&scene);

    let expiry = SystemTime::now() + Duration::from_secs(LIFETIME);
    let not_after = expiry
        .duration_since(UNIX_EPOCH)
        .expect("it is past 1970")
        .as_secs();
    certify(&scene, not_after);
    scene.reload("gw.org2");
    eventually("the new certificate in the status", 5, || {
        subjects(&scene).contains("CN=made with openssl")
    });
    assert!(scene.is_up("gw.org2", "gw.org0") && scene.is_up("gw.org0", "gw.org2"));

    for gateway in ["gw.org0", "gw.org1"] {
        eventually(
            "the session to end with its certificate",
            LIFETIME + 5,
            || !scene.is_up(gateway, "gw.org2"),
        );
        let ended = SystemTime::now();
        assert!(
            ended >= UNIX_EPOCH + Duration::from_secs(not_after),
            "before the certificate expired"
        );
        assert!(
            ended < expiry + CONTRACT,
            "{:?} after it expired",
            ended.duration_since(expiry)
        );
    }
    let tally = flow.stop();
    assert!(
        tally.replies > 20 && tally.lost == 0,
        "until it expired nothing was lost: {tally:?}"
    );
    eventually("gw.org0 to say why", 5, || {
        last_error(&scene).contains("expired")
    });

    restore(&scene, &kept);
    scene.reload("gw.org2");
    scene
        .wait_until_joined()
        .expect("the old pair is still valid");
    let tally = bystander.stop();
    assert!(
        tally.replies > 20 && tally.lost == 0,
        "the others' tunnel: {tally:?}"
    );
    scene.close();
}

fn subjects(scene: &Scene) -> String {
    scene.status("gw.org2")["certificates"].to_string()
}

fn last_error(scene: &Scene) -> String {
    scene
        .tunnel("gw.org0", "gw.org2")
        .map(|tunnel| tunnel["last_error"].to_string())
        .unwrap_or_default()
}

const PAIR: [&str; 2] = ["gateway.crt", "gateway.key"];

fn keep_the_old_pair(scene: &Scene) -> PathBuf {
    let kept = scene.beside("gw.org2", "kept");
    std::fs::create_dir(&kept).expect("it is not there yet");
    copy_pair(kept.parent().expect("it has one"), &kept);
    kept
}

fn restore(scene: &Scene, kept: &Path) {
    copy_pair(kept, scene.beside("gw.org2", "").as_path());
}

fn copy_pair(from: &Path, to: &Path) {
    for file in PAIR {
        std::fs::copy(from.join(file), to.join(file)).expect("the pair can be copied");
    }
}

/// Puts a certificate for gw.org2 that ends at `not_after`, and its key, in the place of the old pair.
fn certify(scene: &Scene, not_after: u64) {
    let dir = scene.beside("gw.org2", "ca");
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        program::output(command.args(arguments).current_dir(&dir))
            .unwrap_or_else(|error| panic!("{error:#}"));
    };
    std::fs::write(dir.join("openssl.cnf"), OPENSSL).expect("the CA's directory is writable");
    std::fs::write(dir.join("index"), "").expect("the CA's directory is writable");
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "../gateway.key",
    ];
    openssl(
        &[
            &[
                "req",
                "-new",
                "-subj",
                "/CN=made with openssl",
                "-out",
                "new.csr",
            ][..],
            &key,
        ]
        .concat(),
    );
    let end = program::output(Command::new("date").args([
        "-u",
        "+%Y%m%d%H%M%SZ",
        "-d",
        &format!("@{not_after}"),
    ]));
    let end = end.expect("date runs");
    openssl(&[
        "ca",
        "-batch",
        "-notext",
        "-config",
        "openssl.cnf",
        "-in",
        "new.csr",
        "-out",
        "../gateway.crt",
        "-enddate",
        end.trim(),
    ]);
}

const OPENSSL: &str = "
[ca]
default_ca = org2
[org2]
certificate = ca.crt
private_key = ca.key
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = gateway
[any]
commonName = supplied
[gateway]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = URI:spiffe://org2.consortium.example/gateway/gw
";
