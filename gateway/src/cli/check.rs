//! `ringway check`: what `run` would find wrong, and the verdict on every prefix.
//!
//! Exit code 64 on any fault, on any overlap and on any CA certificate out of date, though a gateway
//! starts in spite of the last two.

use std::process::ExitCode;

use ringway_config::{Fault, Faults, Ruling, Verdict};
use rustls_pki_types::UnixTime;
use serde::Serialize;

use super::table::Table;
use super::{ConfigFile, Failure, answer, block_on};
use crate::identity::certificate::{date, rfc3339};
use crate::json;
use crate::prepare::{Prepared, prepare};

/// What `check` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let prepared = block_on(prepare(&args.config.path))?;
    let faults = match &prepared {
        Ok(prepared) => prepared.faults(),
        Err(faults) => faults.clone(),
    };
    if args.json {
        let report = Report::of(prepared.as_ref().ok(), &faults);
        answer(json::pretty(&report).map_err(anyhow::Error::from)?)?;
        return Ok(if report.ok {
            ExitCode::SUCCESS
        } else {
            Failure::Faults(faults).exit_code()
        });
    }
    if let Ok(prepared) = &prepared {
        answer(describe(prepared))?;
    }
    if faults.is_empty() {
        answer("\nEverything is in order.\n")
    } else {
        Err(faults.into())
    }
}

impl Prepared {
    /// Everything that `check` does not let pass.
    fn faults(&self) -> Faults {
        Faults::from(
            self.conflicts
                .0
                .iter()
                .chain(&self.warnings.0)
                .cloned()
                .collect::<Vec<_>>(),
        )
    }

    /// Subject and end of the own certificate and of every CA certificate.
    fn certificates(&self) -> impl Iterator<Item = (String, UnixTime)> {
        let own = (
            self.identity.subject().to_owned(),
            self.identity.not_after(),
        );
        let authorities = self
            .trust
            .authorities()
            .map(|ca| (ca.subject.clone(), ca.not_after));
        std::iter::once(own).chain(authorities)
    }
}

fn describe(prepared: &Prepared) -> String {
    let config = &prepared.config;
    let mut prefixes = Table::new(["prefix", "org", "site", "verdict"]);
    for ruling in &prepared.rulings {
        let Ruling {
            org, site, prefix, ..
        } = ruling;
        prefixes.row([
            prefix.to_string(),
            org.to_string(),
            site.to_string(),
            verdict(ruling),
        ]);
    }
    let mut certificates = Table::new(["certificate", "until"]);
    for (subject, not_after) in prepared.certificates() {
        certificates.row([subject, date(not_after)]);
    }
    let advice = prepared.identity.age(UnixTime::now()).advice();
    let advice = advice
        .map(|advice| format!("\n{advice}\n"))
        .unwrap_or_default();
    format!(
        "gateway {}, site {}, listening on {}\n\n{prefixes}\n{certificates}{advice}",
        config.id, config.site, config.listen
    )
}

fn verdict(ruling: &Ruling) -> String {
    match &ruling.verdict {
        Verdict::Available => "available".into(),
        Verdict::Conflicted { with, range, .. } => format!("conflicted: {range} with {with}"),
    }
}

/// `check --json`.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    faults: Vec<FaultReport>,
    prefixes: Vec<PrefixReport>,
    certificates: Vec<CertificateReport>,
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
    fn of(prepared: Option<&Prepared>, faults: &Faults) -> Report {
        let rulings = prepared.into_iter().flat_map(|prepared| &prepared.rulings);
        let certificates = prepared.into_iter().flat_map(Prepared::certificates);
        Report {
            ok: faults.is_empty(),
            faults: faults.0.iter().map(FaultReport::of).collect(),
            prefixes: rulings.map(PrefixReport::of).collect(),
            certificates: certificates
                .map(|(subject, not_after)| CertificateReport {
                    subject,
                    not_after: rfc3339(not_after),
                })
                .collect(),
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
