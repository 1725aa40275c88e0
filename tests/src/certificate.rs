//! New certificates for a gateway of the laboratory. openssl creates them, as an organization with
//! a CA of its own would.

use std::fs;
use std::ops::Range;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ringway_lab::program;

use crate::Scene;

/// Replaces certificate and key of `gateway`. The new certificate is valid in the time `valid`, in
/// seconds since 1970.
pub fn replace(scene: &Scene, gateway: &str, valid: Range<u64>) {
    let (_, org) = gateway
        .split_once('.')
        .expect("a gateway of the laboratory");
    let dir = scene.beside(gateway, "ca");
    let text = OPENSSL.replace("ORG", org);
    fs::write(dir.join("openssl.cnf"), text).expect("the CA's directory is writable");
    fs::write(dir.join("index"), "").expect("the CA's directory is writable");

    let mut request = Command::new("openssl");
    request
        .current_dir(&dir)
        .args(["req", "-new", "-subj", "/CN=made with openssl"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-keyout", "../gateway.key", "-out", "new.csr"]);
    run(&mut request);

    let mut sign = Command::new("openssl");
    sign.current_dir(&dir)
        .args(["ca", "-batch", "-notext", "-config", "openssl.cnf"])
        .args(["-in", "new.csr", "-out", "../gateway.crt"])
        .args(["-startdate", &generalized_time(valid.start)])
        .args(["-enddate", &generalized_time(valid.end)]);
    run(&mut sign);
}

/// The serial number of the certificate of `gateway`, in hexadecimal.
pub fn serial(scene: &Scene, gateway: &str) -> String {
    let file = scene.beside(gateway, "gateway.crt");
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-serial", "-in"]);

    let text = run(openssl.arg(file));
    text.trim().trim_start_matches("serial=").to_owned()
}

/// `time` in seconds since 1970.
pub fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
}

/// As openssl takes it (RFC 5280, section 4.1.2.5.2).
pub fn generalized_time(seconds: u64) -> String {
    let at = format!("@{seconds}");
    let text = run(Command::new("date").args(["-u", "+%Y%m%d%H%M%SZ", "-d", &at]));
    text.trim().to_owned()
}

fn run(command: &mut Command) -> String {
    program::output(command).unwrap_or_else(|error| panic!("{error:#}"))
}

const OPENSSL: &str = "
[ca]
default_ca = ORG
[ORG]
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
subjectAltName = URI:spiffe://ORG.consortium.example/gateway/gw
";
