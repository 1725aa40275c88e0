//! Certificates made with the openssl program: the rules are X.509's, not one library's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::world::{Ca, Presented, World};

const NAME: &str = "subjectAltName = URI:spiffe://beta.consortium.example/gateway/gw";
const USAGE: &str = "keyUsage = critical, digitalSignature";
const PURPOSES: &str = "extendedKeyUsage = serverAuth, clientAuth";

pub(crate) fn good(world: &World) -> Presented {
    issue(world, &[NAME, USAGE, PURPOSES])
}

pub(crate) fn two_names(world: &World) -> Presented {
    issue(
        world,
        &[
            &format!("{NAME}, URI:spiffe://beta.consortium.example/gateway/gw2"),
            USAGE,
            PURPOSES,
        ],
    )
}

pub(crate) fn no_purpose(world: &World) -> Presented {
    issue(world, &[NAME, USAGE])
}

/// Without extensions openssl writes version 1.
pub(crate) fn version_1(world: &World) -> Presented {
    issue(world, &[])
}

/// Has beta's CA sign a certificate with these extensions.
fn issue(world: &World, extensions: &[&str]) -> Presented {
    let dir = directory(world);
    fs::write(dir.join("ca.crt"), world.beta.certificate.pem()).unwrap();
    fs::write(dir.join("ca.key"), world.beta.issuer.key().serialize_pem()).unwrap();
    openssl(
        &dir,
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout gw.key -subj /CN=gw \
         -out gw.csr",
    );
    let mut sign = "x509 -req -in gw.csr -CA ca.crt -CAkey ca.key -days 5 -out gw.crt".to_owned();
    if !extensions.is_empty() {
        fs::write(dir.join("gw.ext"), extensions.join("\n")).unwrap();
        sign.push_str(" -extfile gw.ext");
    }
    openssl(&dir, &sign);
    Presented {
        chain: vec![CertificateDer::from_pem_file(dir.join("gw.crt")).unwrap()],
        key: PrivateKeyDer::from_pem_file(dir.join("gw.key")).unwrap(),
    }
}

/// A revocation list of `ca` with this number, which openssl has written.
pub(crate) fn list(world: &World, ca: &Ca, number: u32, serials: &[u64]) -> Vec<u8> {
    let dir = directory(world);
    fs::write(dir.join("ca.crt"), ca.certificate.pem()).unwrap();
    fs::write(dir.join("ca.key"), ca.issuer.key().serialize_pem()).unwrap();
    let revoked = serials
        .iter()
        .map(|serial| format!("R\t350101000000Z\t250101000000Z\t{serial:04X}\tunknown\t/CN=gw\n"));
    fs::write(dir.join("index.txt"), revoked.collect::<String>()).unwrap();
    fs::write(dir.join("number"), format!("{number:04X}\n")).unwrap();
    let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = number\n\
                  default_md = sha256\ndefault_crl_days = 7\n";
    fs::write(dir.join("ca.cnf"), config).unwrap();

    openssl(
        &dir,
        "ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.crt -out list.crl",
    );
    fs::read(dir.join("list.crl")).unwrap()
}

/// The same list in DER.
pub(crate) fn der(world: &World, list: &[u8]) -> Vec<u8> {
    let dir = directory(world);
    fs::write(dir.join("list.pem"), list).unwrap();
    openssl(&dir, "crl -in list.pem -outform DER -out list.crl");
    fs::read(dir.join("list.crl")).unwrap()
}

fn directory(world: &World) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let dir = world
        .dir
        .join(format!("openssl-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {error}");
}
