//! A real etcd cluster with one member at each organization, which know each other by name only.
//!
//! Certificates are made with openssl: one CA, and per member one certificate with its DNS name, for both
//! roles. A member checks that the address a peer comes from is one of the names in the peer's certificate:
//! so the cluster forms only if names and source addresses are right on every path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use ringway_lab::program;
use serde_json::Value;

use crate::{Background, Scene};

/// The machines that run a member.
pub const MEMBERS: [&str; 3] = ["orderer0.org0", "peer0.org1", "peer0.org2"];

/// A running cluster.
pub struct Cluster {
    dir: PathBuf,
    members: Vec<Background>,
}

impl Cluster {
    /// Starts all members; does not wait until they have found each other.
    pub fn start(scene: &Scene) -> Cluster {
        let dir = scene.topology().dir().join("etcd");
        fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
        certify(&dir).unwrap_or_else(|error| panic!("{error:#}"));
        let members = MEMBERS
            .iter()
            .map(|member| start_member(scene, &dir, member))
            .collect();
        Cluster { dir, members }
    }

    /// Runs etcdctl on `member`'s machine against `member` itself.
    pub fn ctl(&self, scene: &Scene, member: &str, arguments: &[&str]) -> Result<String> {
        let dir = self.dir.display();
        let mut ctl = scene.command(member, "etcdctl")?;
        ctl.env("ETCDCTL_API", "3")
            .arg(format!("--endpoints=https://{}:2379", fqdn(member)));
        ctl.arg(format!("--cacert={dir}/ca.crt"))
            .arg(format!("--cert={dir}/{member}.crt"));
        ctl.arg(format!("--key={dir}/{member}.key"))
            .arg("--command-timeout=3s")
            .args(arguments);
        program::output(&mut ctl)
    }

    /// What `member` itself holds under `key`, whether or not it can reach anyone. It is asked by address: the
    /// names of a machine whose gateway is away are away too.
    pub fn own_copy(&self, scene: &Scene, member: &str, key: &str) -> Result<String> {
        let address = scene.node(member)?.addresses[0];
        let itself = [
            &format!("--endpoints=https://{address}:2379"),
            "--insecure-skip-tls-verify",
        ];
        let local = ["get", "--consistency=s", "--print-value-only", key];
        self.ctl(scene, member, &[&itself[..], &local[..]].concat())
    }

    /// The member that `member` holds for the leader, if it knows of one.
    pub fn leader(&self, scene: &Scene, member: &str) -> Result<&'static str> {
        let leader = self.number(scene, member, "/0/Status/leader")?;
        let is_leader = |other: &&str| {
            self.number(scene, other, "/0/Status/header/member_id")
                .is_ok_and(|id| id == leader)
        };
        MEMBERS
            .into_iter()
            .find(is_leader)
            .with_context(|| format!("{member} knows no leader"))
    }

    /// A number in what `member` says of itself.
    fn number(&self, scene: &Scene, member: &str, pointer: &str) -> Result<u64> {
        let text = self.ctl(scene, member, &["endpoint", "status", "-w", "json"])?;
        let status: Value = serde_json::from_str(&text)?;
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.with_context(|| format!("no {pointer} in {text}"))
    }

    /// What every member has printed, for the message of a failure.
    pub fn printed(&self) -> String {
        let last = |text: String| {
            text.lines()
                .rev()
                .take(15)
                .map(|line| line.to_string() + "\n")
                .collect::<String>()
        };
        MEMBERS
            .iter()
            .zip(&self.members)
            .map(|(name, etcd)| format!("── {name}\n{}", last(etcd.printed())))
            .collect()
    }
}

fn start_member(scene: &Scene, dir: &Path, member: &str) -> Background {
    let names = MEMBERS.map(|other| format!("{other}=https://{}:2380", fqdn(other)));
    let address = scene.node(member).expect("a node").addresses[0];
    let (dir, name) = (dir.display(), fqdn(member));
    let mut etcd = scene.command(member, "etcd").expect("a node");
    etcd.arg(format!("--name={member}"))
        .arg(format!("--data-dir={dir}/{member}.data"));
    etcd.arg(format!("--initial-cluster={}", names.join(",")));
    etcd.arg(format!("--listen-peer-urls=https://{address}:2380"));
    etcd.arg(format!("--initial-advertise-peer-urls=https://{name}:2380"));
    etcd.arg(format!("--listen-client-urls=https://{address}:2379"));
    etcd.arg(format!("--advertise-client-urls=https://{name}:2379"));
    for role in ["", "peer-"] {
        etcd.arg(format!("--{role}client-cert-auth"))
            .arg(format!("--{role}trusted-ca-file={dir}/ca.crt"));
        etcd.arg(format!("--{role}cert-file={dir}/{member}.crt"));
        etcd.arg(format!("--{role}key-file={dir}/{member}.key"));
    }
    Background::spawn(scene, &format!("etcd-{member}"), etcd)
}

/// The name under which the others know `member`.
fn fqdn(member: &str) -> String {
    format!("{member}.{}", ringway_lab::topology::DOMAIN)
}

/// One CA and a certificate per member.
fn certify(dir: &Path) -> Result<()> {
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let file = |name: &str, kind: &str| dir.join(format!("{name}.{kind}"));
    let mut ca = Command::new("openssl");
    ca.args(["req", "-x509"])
        .args(key)
        .args(["-days", "2", "-subj", "/CN=etcd test CA"]);
    program::output(
        ca.arg("-keyout")
            .arg(file("ca", "key"))
            .arg("-out")
            .arg(file("ca", "crt")),
    )?;
    for member in MEMBERS {
        let mut certificate = Command::new("openssl");
        certificate
            .args(["req", "-x509"])
            .args(key)
            .args(["-days", "2", "-subj"])
            .arg(format!("/CN={member}"));
        certificate
            .arg("-addext")
            .arg(format!("subjectAltName=DNS:{}", fqdn(member)));
        certificate.args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"]);
        certificate.args(["-addext", "basicConstraints=critical,CA:false"]);
        certificate
            .arg("-CA")
            .arg(file("ca", "crt"))
            .arg("-CAkey")
            .arg(file("ca", "key"));
        certificate
            .arg("-keyout")
            .arg(file(member, "key"))
            .arg("-out")
            .arg(file(member, "crt"));
        program::output(&mut certificate)?;
    }
    Ok(())
}
