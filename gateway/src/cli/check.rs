//! `ringway check`: the faults that `run` would find, and the verdict on every prefix.
//!
//! The exit code is 64 for any fault, for any overlap, for any CA certificate that is not valid
//! now, for any rule of the policy that matches nothing, and for any policy test that fails. A
//! gateway starts in spite of all but the first. It is 1 for what of this host keeps it from
//! starting, as a port in use.

pub(in crate::cli) mod host;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ringway_config::{Escaped, Fault, Faults, Ruling, Verdict};
use ringway_identity::certificate::{date, rfc3339};
use ringway_intent::Finding;
use rustls_pki_types::UnixTime;
use serde::Serialize;

use super::table::Table;
use super::{ConfigFile, Failure, answer, block_on};
use crate::admin::report::RevocationListReport;
use crate::json;
use crate::prepare::{Prepared, prepare};

/// Arguments of `ringway check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `ringway check`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let prepared = block_on(prepare(&args.config.path))?;
    let findings = match &prepared {
        Ok(prepared) => block_on(host::findings(prepared))?,
        Err(_) => Vec::new(),
    };
    let faults = match &prepared {
        Ok(prepared) => prepared.faults(),
        Err(faults) => faults.clone(),
    };
    let obstacles = match &prepared {
        Ok(prepared) => host::obstacles(&prepared.config),
        Err(_) => Vec::new(),
    };

    // The faults are part of the JSON, so none is printed on stderr.
    if args.json {
        let report = Report::of(prepared.as_ref().ok(), &faults, &findings, obstacles);
        answer(json::pretty(&report).map_err(anyhow::Error::from)?)?;
        return Ok(match (faults.is_empty(), report.ok) {
            (true, true) => ExitCode::SUCCESS,
            (true, false) => ExitCode::FAILURE,
            (false, _) => Failure::Faults(faults).exit_code(),
        });
    }

    if let Ok(prepared) = &prepared {
        answer(describe(prepared) + &host::describe(&findings))?;
        for hint in &prepared.hints.0 {
            answer(format!("\nwarning: {hint}\n"))?;
        }
        if let Some(unchecked) = host::unchecked() {
            answer(format!("\n{unchecked}\n"))?;
        }
    }
    for obstacle in &obstacles {
        _ = writeln!(io::stderr(), "error: {}", Escaped(obstacle));
    }
    if faults.is_empty() && !obstacles.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    // What others have set is no fault of the files: a gateway starts, and goes on.
    if faults.is_empty() && !findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if faults.is_empty() {
        answer("\nEverything is in order.\n")
    } else {
        Err(faults.into())
    }
}

impl Prepared {
    /// Everything for which `check` fails, though the files load.
    fn faults(&self) -> Faults {
        let faults = self.conflicts.0.iter().chain(&self.warnings.0);
        let faults = faults.chain(&self.policy_tests.failed.0);
        Faults::from(faults.cloned().collect::<Vec<_>>())
    }

    /// This gateway's certificate and every CA certificate.
    fn certificates(&self) -> impl Iterator<Item = Validity<'_>> {
        let gateway = Validity {
            subject: self.identity.subject(),
            not_after: self.identity.not_after(),
        };
        let authorities = self.trust.authorities().map(|ca| Validity {
            subject: &ca.subject,
            not_after: ca.not_after,
        });
        std::iter::once(gateway).chain(authorities)
    }
}

/// How long a certificate is valid.
struct Validity<'a> {
    subject: &'a str,
    not_after: UnixTime,
}

fn describe(prepared: &Prepared) -> String {
    let mut prefixes = Table::new(["prefix", "org", "site", "verdict"]);
    for ruling in &prepared.rulings {
        prefixes.row([
            ruling.prefix.to_string(),
            ruling.org.to_string(),
            ruling.site.to_string(),
            verdict(ruling),
        ]);
    }

    let mut certificates = Table::new(["certificate", "until"]);
    for certificate in prepared.certificates() {
        certificates.row([certificate.subject.to_owned(), date(certificate.not_after)]);
    }

    let lists = describe_lists(prepared);
    let advice = match prepared.identity.age(UnixTime::now()).advice() {
        Some(advice) => format!("\n{advice}\n"),
        None => String::new(),
    };
    let config = &prepared.config;
    let policy = describe_policy(prepared);
    format!(
        "gateway {}, site {}, listening on {}\n\n{prefixes}\n{certificates}{lists}{advice}{policy}",
        config.id, config.site, config.listen
    )
}

/// The revocation lists; nothing if there are none.
fn describe_lists(prepared: &Prepared) -> String {
    let mut table = Table::new(["revocation list", "CA", "number", "revokes", "due"]);
    for (org, list) in prepared.trust.lists() {
        table.row([
            org.to_string(),
            list.issuer.clone(),
            list.number.to_string(),
            list.revoked.len().to_string(),
            date(list.next_update),
        ]);
    }

    match prepared.trust.lists().next() {
        Some(_) => format!("\n{table}"),
        None => String::new(),
    }
}

/// The results of the policy's tests; nothing if there are none.
fn describe_policy(prepared: &Prepared) -> String {
    let results = &prepared.policy_tests;
    let failed = results.failed.0.len();
    let skipped = results.skipped.0.len();
    if results.passed + failed + skipped == 0 {
        return String::new();
    }

    let mut text = format!(
        "\npolicy tests: {} passed, {failed} failed, {skipped} skipped\n",
        results.passed
    );
    for test in &results.skipped.0 {
        text.push_str(&format!("{test}\n"));
    }
    text
}

fn verdict(ruling: &Ruling) -> String {
    match &ruling.verdict {
        Verdict::Available => "available".into(),
        Verdict::Conflicted { with, range, .. } => format!("conflicted: {range} with {with}"),
    }
}

/// The output of `check --json`.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    ok: bool,
    obstacles: Vec<String>,
    faults: Vec<FaultReport>,
    hints: Vec<FaultReport>,
    prefixes: Vec<PrefixReport>,
    certificates: Vec<CertificateReport>,
    revocation_lists: Vec<RevocationListReport>,
    attention: Vec<FindingReport>,
    policy_tests: PolicyTestsReport,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    name: String,
    what: String,
    remedy: String,
}

#[derive(Debug, Default, Serialize)]
struct PolicyTestsReport {
    passed: usize,
    failed: Vec<FaultReport>,
    skipped: Vec<FaultReport>,
}

#[derive(Debug, Serialize)]
struct FaultReport {
    file: String,
    line: u32,
    column: u32,
    message: String,
}

#[derive(Debug, Serialize)]
struct PrefixReport {
    prefix: String,
    org: String,
    site: String,
    verdict: &'static str,
    conflict_with: Option<String>,
    range: Option<String>,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    subject: String,
    not_after: String,
}

impl Report {
    fn of(
        prepared: Option<&Prepared>,
        faults: &Faults,
        findings: &[Finding],
        obstacles: Vec<String>,
    ) -> Report {
        let rulings = prepared.into_iter().flat_map(|prepared| &prepared.rulings);
        let certificates = prepared.into_iter().flat_map(Prepared::certificates);
        let hints = prepared.into_iter().flat_map(|prepared| &prepared.hints.0);

        Report {
            schema: json::SCHEMA,
            ok: faults.is_empty() && obstacles.is_empty(),
            obstacles,
            faults: faults.0.iter().map(FaultReport::of).collect(),
            hints: hints.map(FaultReport::of).collect(),
            prefixes: rulings.map(PrefixReport::of).collect(),
            revocation_lists: prepared.map(lists).unwrap_or_default(),
            certificates: certificates
                .map(|certificate| CertificateReport {
                    subject: certificate.subject.to_owned(),
                    not_after: rfc3339(certificate.not_after),
                })
                .collect(),
            attention: findings
                .iter()
                .map(|finding| FindingReport {
                    name: finding.name.clone(),
                    what: finding.what.clone(),
                    remedy: finding.remedy.clone(),
                })
                .collect(),
            policy_tests: prepared.map(PolicyTestsReport::of).unwrap_or_default(),
        }
    }
}

fn lists(prepared: &Prepared) -> Vec<RevocationListReport> {
    let now = UnixTime::now();
    let lists = prepared.trust.lists();

    lists
        .map(|(org, list)| RevocationListReport::of(org, list, now))
        .collect()
}

impl PolicyTestsReport {
    fn of(prepared: &Prepared) -> PolicyTestsReport {
        let results = &prepared.policy_tests;
        PolicyTestsReport {
            passed: results.passed,
            failed: results.failed.0.iter().map(FaultReport::of).collect(),
            skipped: results.skipped.0.iter().map(FaultReport::of).collect(),
        }
    }
}

impl FaultReport {
    fn of(fault: &Fault) -> FaultReport {
        let place = &fault.place;
        FaultReport {
            file: place.file.display().to_string(),
            line: place.position.map_or(0, |position| position.line),
            column: place.position.map_or(0, |position| position.column),
            message: fault.message.clone(),
        }
    }
}

impl PrefixReport {
    fn of(ruling: &Ruling) -> PrefixReport {
        let (verdict, conflict) = match &ruling.verdict {
            Verdict::Available => ("available", None),
            Verdict::Conflicted { with, range, .. } => ("conflicted", Some((with, range))),
        };
        PrefixReport {
            prefix: ruling.prefix.to_string(),
            org: ruling.org.to_string(),
            site: ruling.site.to_string(),
            verdict,
            conflict_with: conflict.map(|(with, _)| with.to_string()),
            range: conflict.map(|(_, range)| range.to_string()),
        }
    }
}
