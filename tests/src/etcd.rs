//! A real etcd cluster with one member at each organization, in its VPC or its data centre. Members
//! know each other by name only.
//!
//! openssl creates the certificates: one CA, and for each member one certificate with its DNS name,
//! for both roles. A member checks that a peer's source address is among the addresses of the names
//! in its certificate. The cluster therefore forms only if names and source addresses are right on
//! every path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use ringway_lab::program;
use ringway_lab::topology::DOMAIN;
use serde_json::Value;

use crate::{Background, Scene};

/// The machines that run a member.
pub type Members = [&'static str; 3];

/// One in each organization's VPC.
pub const MEMBERS: Members = ["orderer0.org0", "peer0.org1", "peer0.org2"];
/// One on the attached host of org0's data centre, the others in the VPCs of two organizations.
pub const WITH_ATTACHED: Members = ["dc0.org0", "peer0.org1", "peer0.org2"];

/// Number of lines of each member's output in a failure's message.
const LOG_LINES: usize = 15;

/// A running cluster.
pub struct Cluster {
    dir: PathBuf,
    /// The machines.
    pub members: Members,
    processes: Vec<Background>,
}

impl Cluster {
    /// Starts all members; does not wait until they have found each other.
    pub fn start(scene: &Scene, members: Members) -> Cluster {
        let dir = scene.topology().dir().join("etcd");
        fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
        create_certificates(&dir, members).unwrap_or_else(|error| panic!("{error:#}"));

        let processes = members
            .iter()
            .map(|member| start_member(scene, &dir, members, member))
            .collect();
        Cluster {
            dir,
            members,
            processes,
        }
    }

    /// Runs etcdctl on the machine of `member`, against `member` itself.
    pub fn ctl(&self, scene: &Scene, member: &str, arguments: &[&str]) -> Result<String> {
        let dir = self.dir.display();
        let mut ctl = scene.command(member, "etcdctl")?;
        ctl.env("ETCDCTL_API", "3")
            .arg(format!("--endpoints=https://{}:2379", fqdn(member)))
            .arg(format!("--cacert={dir}/ca.crt"))
            .arg(format!("--cert={dir}/{member}.crt"))
            .arg(format!("--key={dir}/{member}.key"))
            .arg("--command-timeout=3s")
            .args(arguments);
        program::output(&mut ctl)
    }

    /// The value that `member` itself has stored under `key`, whether or not it reaches the others.
    pub fn stored_by(&self, scene: &Scene, member: &str, key: &str) -> Result<String> {
        // By address, because names do not resolve while the machine's gateway is away.
        let address = scene.node(member)?.addresses[0];
        let endpoint = format!("--endpoints=https://{address}:2379");
        let arguments = [
            &endpoint,
            "--insecure-skip-tls-verify",
            "get",
            "--consistency=s",
            "--print-value-only",
            key,
        ];
        self.ctl(scene, member, &arguments)
    }

    /// The leader according to `member`; an error if it knows none.
    pub fn leader(&self, scene: &Scene, member: &str) -> Result<&'static str> {
        let leader = self.status_number(scene, member, "/0/Status/leader")?;
        for other in self.members {
            let id = self.status_number(scene, other, "/0/Status/header/member_id");
            if id.is_ok_and(|id| id == leader) {
                return Ok(other);
            }
        }
        bail!("{member} knows no leader")
    }

    /// Has `member` lead, which may do so already.
    pub fn have_lead(&self, scene: &Scene, member: &str) -> Result<()> {
        let leader = self.leader(scene, member)?;
        if leader == member {
            return Ok(());
        }

        let id = self.status_number(scene, member, "/0/Status/header/member_id")?;
        self.ctl(scene, leader, &["move-leader", &format!("{id:x}")])?;
        Ok(())
    }

    /// How many elections there have been, by what `member` knows.
    pub fn term(&self, scene: &Scene, member: &str) -> Result<u64> {
        self.status_number(scene, member, "/0/Status/raftTerm")
    }

    /// The number at the JSON pointer `pointer` in the status of `member`.
    fn status_number(&self, scene: &Scene, member: &str, pointer: &str) -> Result<u64> {
        let text = self.ctl(scene, member, &["endpoint", "status", "-w", "json"])?;
        let status: Value = serde_json::from_str(&text)?;
        status
            .pointer(pointer)
            .and_then(Value::as_u64)
            .with_context(|| format!("no {pointer} in {text}"))
    }

    /// The last lines that every member has printed, newest first, for the message of a failure.
    pub fn printed(&self) -> String {
        let mut text = String::new();
        for (name, etcd) in self.members.iter().zip(&self.processes) {
            text += &format!("── {name}\n");
            for line in etcd.printed().lines().rev().take(LOG_LINES) {
                text += line;
                text.push('\n');
            }
        }
        text
    }
}

fn start_member(scene: &Scene, dir: &Path, members: Members, member: &str) -> Background {
    let cluster = members.map(|other| format!("{other}=https://{}:2380", fqdn(other)));
    let address = scene.node(member).expect("a node").addresses[0];
    let name = fqdn(member);
    let dir = dir.display();

    let mut etcd = scene.command(member, "etcd").expect("a node");
    etcd.arg(format!("--name={member}"))
        .arg(format!("--data-dir={dir}/{member}.data"))
        .arg(format!("--initial-cluster={}", cluster.join(",")))
        .arg(format!("--listen-peer-urls=https://{address}:2380"))
        .arg(format!("--initial-advertise-peer-urls=https://{name}:2380"))
        .arg(format!("--listen-client-urls=https://{address}:2379"))
        .arg(format!("--advertise-client-urls=https://{name}:2379"));
    for role in ["", "peer-"] {
        etcd.arg(format!("--{role}client-cert-auth"))
            .arg(format!("--{role}trusted-ca-file={dir}/ca.crt"))
            .arg(format!("--{role}cert-file={dir}/{member}.crt"))
            .arg(format!("--{role}key-file={dir}/{member}.key"));
    }
    Background::spawn(scene, &format!("etcd-{member}"), etcd)
}

/// Name of `member` in the consortium's DNS.
fn fqdn(member: &str) -> String {
    format!("{member}.{DOMAIN}")
}

/// Options of `openssl req` for a new P-256 key without a passphrase.
const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

/// Creates one CA and a certificate for each member.
fn create_certificates(dir: &Path, members: Members) -> Result<()> {
    let mut ca = Command::new("openssl");
    ca.current_dir(dir)
        .args(["req", "-x509"])
        .args(NEW_KEY)
        .args(["-days", "2", "-subj", "/CN=etcd test CA"])
        .args(["-keyout", "ca.key", "-out", "ca.crt"]);
    program::output(&mut ca)?;

    for member in members {
        let mut certificate = Command::new("openssl");
        certificate
            .current_dir(dir)
            .args(["req", "-x509"])
            .args(NEW_KEY)
            .args(["-days", "2", "-subj", &format!("/CN={member}")])
            .arg("-addext")
            .arg(format!("subjectAltName=DNS:{}", fqdn(member)))
            .args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"])
            .args(["-addext", "basicConstraints=critical,CA:false"])
            .args(["-CA", "ca.crt", "-CAkey", "ca.key"])
            .args(["-keyout", &format!("{member}.key")])
            .args(["-out", &format!("{member}.crt")]);
        program::output(&mut certificate)?;
    }
    Ok(())
}
