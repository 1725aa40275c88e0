//! The output of `check --json`, and the parts of it that other verbs print too.

use std::path::Path;

use ringway_config::{Config, Fault, Faults, Ruling, Verdict};
use ringway_host::obstacles::Obstacle;
use ringway_identity::certificate::rfc3339;
use ringway_intent::Finding;
use rustls_pki_types::UnixTime;
use serde::Serialize;

use crate::admin::report::RevocationListReport;
use crate::cli::remedy;
use crate::prepare::Prepared;

/// Everything that `check` finds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    obstacles: Vec<String>,
    faults: Vec<FaultReport>,
    hints: Vec<FaultReport>,
    prefixes: Vec<PrefixReport>,
    certificates: Vec<CertificateReport>,
    revocation_lists: Vec<RevocationListReport>,
    attention: Vec<FindingReport>,
    policy_tests: PolicyTestsReport,
}

/// A finding.
#[derive(Debug, Serialize)]
struct FindingReport {
    name: String,
    what: String,
    remedy: String,
}

impl FindingReport {
    /// Commands in it refer to the gateway of the file `config`.
    fn of(finding: &Finding, config: &Path) -> FindingReport {
        FindingReport {
            name: finding.name.clone(),
            what: finding.what.clone(),
            remedy: remedy::for_gateway(&finding.remedy, config),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct PolicyTestsReport {
    passed: usize,
    failed: Vec<FaultReport>,
    skipped: Vec<FaultReport>,
}

/// A fault in a file; line and column are 0 for a file as a whole.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct FaultReport {
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
    /// The site whose gateways serve it.
    via: Option<String>,
    verdict: &'static str,
    refused: Option<String>,
    conflict_with: Option<String>,
    range: Option<String>,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    subject: String,
    not_after: String,
}

impl Report {
    pub(super) fn of(
        prepared: Option<&Prepared>,
        faults: &Faults,
        findings: &[Finding],
        obstacles: &[Obstacle],
        config: &Path,
    ) -> Report {
        let prefixes = prepared.into_iter().flat_map(|prepared| {
            let rulings = prepared.rulings.iter();
            rulings.map(|ruling| PrefixReport::of(ruling, &prepared.config))
        });
        let certificates = prepared.into_iter().flat_map(Prepared::certificates);
        let hints = prepared.map(Prepared::notes).unwrap_or_default();

        Report {
            ok: faults.is_empty() && obstacles.is_empty(),
            obstacles: obstacles.iter().map(Obstacle::to_string).collect(),
            faults: faults.0.iter().map(FaultReport::of).collect(),
            hints: hints.iter().map(FaultReport::of).collect(),
            prefixes: prefixes.collect(),
            revocation_lists: prepared.map(lists).unwrap_or_default(),
            certificates: certificates
                .map(|certificate| CertificateReport {
                    subject: certificate.subject.to_owned(),
                    not_after: rfc3339(certificate.not_after),
                })
                .collect(),
            attention: findings
                .iter()
                .map(|finding| FindingReport::of(finding, config))
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
    pub(in crate::cli) fn of(fault: &Fault) -> FaultReport {
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
    fn of(ruling: &Ruling, config: &Config) -> PrefixReport {
        let mut refused = None;
        let (verdict, conflict) = match &ruling.verdict {
            Verdict::Available => ("available", None),
            Verdict::Conflicted { with, range, .. } => ("conflicted", Some((with, range))),
            Verdict::Unserved(reason) => {
                refused = Some(reason.to_string());
                ("refused", None)
            }
        };
        PrefixReport {
            prefix: ruling.prefix.to_string(),
            org: ruling.org.to_string(),
            site: ruling.site.to_string(),
            via: config
                .via_of(&ruling.org, &ruling.site)
                .map(ToString::to_string),
            verdict,
            refused,
            conflict_with: conflict.map(|(with, _)| with.to_string()),
            range: conflict.map(|(_, range)| range.to_string()),
        }
    }
}
