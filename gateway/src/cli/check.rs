//! `ringway check`: the faults that `run` would find, and the verdict on every prefix.
//!
//! The exit code is 64 for any fault, for any overlap, for any CA certificate that is not valid
//! now, for any rule of the policy that matches nothing, and for any policy test that fails. A
//! gateway starts in spite of all but the first. An overdue revocation list is a warning, as `run`
//! and `reload` say it. It is 1 for what of this host keeps it from
//! starting, as a port in use.

pub(in crate::cli) mod files;
pub(in crate::cli) mod host;
pub(in crate::cli) mod report;

use std::io::{self, Write as _};
use std::process::ExitCode;

use ringway_config::{Config, Escaped, Fault, Faults, Ruling, Verdict};
use ringway_identity::certificate::date;
use rustls_pki_types::UnixTime;

use super::table::Table;
use super::{Failure, Shown, answer, answer_json, block_on, named};
use crate::prepare::{Prepared, prepare};
use report::Report;

/// Runs `ringway check`.
pub fn run(args: Shown) -> Result<ExitCode, Failure> {
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

    // The JSON contains the faults, so none is printed on stderr.
    if args.json {
        let path = &args.config.path;
        let report = Report::of(prepared.as_ref().ok(), &faults, &findings, &obstacles, path);
        answer_json(&report)?;
        return Ok(match (faults.is_empty(), report.ok) {
            (true, true) => ExitCode::SUCCESS,
            (true, false) => ExitCode::FAILURE,
            (false, _) => Failure::Faults(faults).exit_code(),
        });
    }

    if let Ok(prepared) = &prepared {
        answer(describe(prepared) + &host::describe(&findings, &args.config.path))?;
        for hint in &prepared.notes() {
            answer(format!("\nwarning: {hint}\n"))?;
        }
        if let Some(unchecked) = host::unchecked() {
            answer(format!("\n{unchecked}\n"))?;
        }
    }
    for obstacle in &obstacles {
        _ = writeln!(io::stderr(), "error: {}", Escaped(&obstacle.to_string()));
    }
    if faults.is_empty() && !obstacles.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    // Rules of other programs are no fault of the files: the gateway starts all the same.
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
    /// Everything that makes `check` fail although the files load.
    fn faults(&self) -> Faults {
        let overdue = self.overdue();
        let warnings = self.warnings.0.iter();
        let warnings = warnings.filter(|warning| !overdue.contains(warning));
        let faults = self.conflicts.0.iter().chain(warnings);
        let faults = faults.chain(&self.policy_tests.failed.0);
        Faults::from(faults.cloned().collect::<Vec<_>>())
    }

    /// Overdue revocation lists. They are their organizations' problem, and a running gateway
    /// reports them by itself.
    fn overdue(&self) -> Vec<Fault> {
        let lists = self.trust.stale_lists(UnixTime::now());

        lists.into_iter().map(|(_, fault)| fault).collect()
    }

    /// Warnings and hints.
    fn notes(&self) -> Vec<Fault> {
        let mut notes = self.overdue();
        notes.extend(self.hints.0.iter().cloned());
        notes
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

/// The validity period of a certificate.
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
            site_of(ruling, &prepared.config),
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
    let place = match &config.attach {
        Some(attach) => format!("attached to site {}", attach.site),
        None => format!("site {}", config.site),
    };
    let policy = describe_policy(prepared);
    format!(
        "{}, {place}, listening on {}\n\n{prefixes}\n{certificates}{lists}{advice}{policy}",
        named(&config.id.to_string()),
        config.listen
    )
}

/// The revocation lists; empty if there are none.
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

/// The results of the policy's tests; empty if there are none.
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

/// The site, and the site that it is served via.
fn site_of(ruling: &Ruling, config: &Config) -> String {
    match config.via_of(&ruling.org, &ruling.site) {
        Some(via) => format!("{} via {via}", ruling.site),
        None => ruling.site.to_string(),
    }
}

fn verdict(ruling: &Ruling) -> String {
    match &ruling.verdict {
        Verdict::Available => "available".into(),
        Verdict::Conflicted { with, range, .. } => format!("conflicted: {range} with {with}"),
        Verdict::Unserved(reason) => format!("refused: {reason}"),
    }
}
