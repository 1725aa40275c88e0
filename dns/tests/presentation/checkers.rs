//! The checkers of BIND and NSD, and the records that they read.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::APEX;

/// A record as a checker read it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// In wire format, lowercase.
    pub(crate) owner: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} TYPE{} {}",
            self.owner.escape_ascii(),
            self.ttl,
            self.kind,
            self.data.escape_ascii()
        )
    }
}

/// The records of a zone, or why it was refused.
pub(crate) type Outcome = Result<BTreeSet<Record>, String>;

pub(crate) struct Checkers {
    compile: PathBuf,
    check: PathBuf,
}

impl Checkers {
    /// Panics if they are not installed.
    pub(crate) fn find() -> Checkers {
        Checkers {
            compile: program("named-compilezone"),
            check: program("nsd-checkzone"),
        }
    }

    /// What BIND reads.
    pub(crate) fn bind(&self, text: &str) -> Outcome {
        let ignore = ["-k", "-n", "-m", "-r", "-M", "-S", "-W"].into_iter();
        let mut command = Command::new(&self.compile);
        command
            .args(ignore.flat_map(|check| [check, "ignore"]))
            .args([
                "-q",
                "-i",
                "none",
                "-F",
                "raw",
                "-o",
                "-",
                APEX,
                "/dev/stdin",
            ]);

        let (is_good, output) = run(&mut command, text);
        if is_good {
            Ok(records(&output).expect("BIND's raw format"))
        } else {
            Err(String::from_utf8_lossy(&output).into_owned())
        }
    }

    /// What NSD reads: BIND reads the text that it prints.
    pub(crate) fn nsd(&self, text: &str) -> Outcome {
        let mut command = Command::new(&self.check);
        command.args(["-p", APEX, "-"]);

        let (is_good, output) = run(&mut command, text);
        if is_good {
            self.bind(&String::from_utf8_lossy(&output))
        } else {
            Err(String::from_utf8_lossy(&output).into_owned())
        }
    }
}

fn program(name: &str) -> PathBuf {
    let path = ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.exists());

    path.unwrap_or_else(|| panic!("{name} is missing: tests/run packages installs it"))
}

fn run(command: &mut Command, input: &str) -> (bool, Vec<u8>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    // Snippets are shorter than a pipe's buffer. A checker may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        (true, output.stdout)
    } else {
        (false, output.stderr)
    }
}

/// BIND's raw format: a header of 24 octets, then each set of records, preceded by its length.
fn records(raw: &[u8]) -> Option<BTreeSet<Record>> {
    let mut records = BTreeSet::new();
    let mut rest = raw.get(24..)?;
    while !rest.is_empty() {
        let len = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (set, tail) = rest.split_at_checked(len)?;
        put_set(&mut records, set)?;
        rest = tail;
    }

    Some(records)
}

/// Length, class, type, covered type, TTL, count, owner; then each record's data with its length.
fn put_set(records: &mut BTreeSet<Record>, set: &[u8]) -> Option<()> {
    let kind = u16::from_be_bytes(*set.get(6..)?.first_chunk()?);
    let ttl = u32::from_be_bytes(*set.get(10..)?.first_chunk()?);
    let (owner, mut rest) = sized(set.get(18..)?)?;
    let mut owner = owner.to_vec();
    owner.make_ascii_lowercase();

    while !rest.is_empty() {
        let (data, tail) = sized(rest)?;
        records.insert(Record {
            owner: owner.clone(),
            kind,
            ttl,
            data: data.to_vec(),
        });
        rest = tail;
    }
    Some(())
}

/// Octets preceded by their length in 16 bits, and what follows them.
fn sized(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = octets.split_first_chunk()?;

    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
