//! Each directory under tests/cases is a configuration and the exact text that it must produce:
//! The file is gateway.toml, or node.toml of an attached node.
//! `expected` holds the faults of loading it, or else the notes, the overlaps and the verdict on
//! each prefix.
//! `connected` (prefix and interface a line) and `accepted` (an organization a line) are optional.
//!
//! `BLESS=1 cargo test -p ringway-config --test cases` writes the produced texts. Read the
//! difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use ringway_config::{Config, Connected, Digest, Verdict, conflicts, rule};

#[test]
fn every_case_produces_its_text() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut failures = String::new();
    let mut count = 0;
    for entry in fs::read_dir(&cases).unwrap() {
        let dir = entry.unwrap().path();
        let produced = produce(&dir).replace(&format!("{}/", dir.display()), "");
        let expected = dir.join("expected");
        if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
            fs::write(&expected, &produced).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        if produced != expected {
            writeln!(
                failures,
                "{}\n--- expected\n{expected}--- produced\n{produced}",
                dir.display()
            )
            .unwrap();
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(count > 10, "the cases are missing");
}

fn produce(dir: &Path) -> String {
    let node = dir.join("node.toml");
    let file = if node.exists() {
        node
    } else {
        dir.join("gateway.toml")
    };
    match Config::load(&file) {
        Err(faults) => format!("{faults}\n"),
        Ok(config) => verdicts(&config, &connected(dir), &accepted(dir, &config)),
    }
}

fn verdicts(config: &Config, connected: &[Connected], accepted: &BTreeSet<Digest>) -> String {
    let mut text = String::new();
    for note in &config.notes.0 {
        writeln!(text, "{note}").unwrap();
    }
    let unserved = config.unserved().into_iter();
    for fault in unserved
        .chain(config.unused_transit())
        .chain(config.not_accepted())
    {
        writeln!(text, "{fault}").unwrap();
    }
    for fault in conflicts(config, connected, accepted).0 {
        writeln!(text, "{fault}").unwrap();
    }
    for ruling in rule(config, connected, accepted) {
        let verdict = match &ruling.verdict {
            Verdict::Available => "available".into(),
            Verdict::Conflicted { with, range, .. } => format!("conflicted in {range} with {with}"),
            Verdict::Unserved(reason) => format!("refused: {reason}"),
        };
        writeln!(
            text,
            "{} {} {}: {verdict}",
            ruling.org, ruling.site, ruling.prefix
        )
        .unwrap();
    }
    text
}

fn connected(dir: &Path) -> Vec<Connected> {
    let lines = fs::read_to_string(dir.join("connected")).unwrap_or_default();
    let read = |line: &str| {
        let (prefix, interface) = line.split_once(' ').unwrap();
        Connected {
            prefix: prefix.parse().unwrap(),
            interface: interface.into(),
        }
    };
    lines.lines().map(read).collect()
}

fn accepted(dir: &Path, config: &Config) -> BTreeSet<Digest> {
    let lines = fs::read_to_string(dir.join("accepted")).unwrap_or_default();
    let orgs = lines.lines().map(|org| org.parse().unwrap());
    orgs.map(|org| config.record(&org).unwrap().digest)
        .collect()
}
