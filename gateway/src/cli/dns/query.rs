//! `ringway dns query`: answers one query, with the source of each record, in the format of dig.

use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::reverse_name;
use ringway_dns::explain::{Response, ResponseRecord, query_message, question_text};
use ringway_dns::rdata::kind;
use ringway_dns::{Name, Transport, answer as answer_question};
use serde::Serialize;

use super::Query;
use super::view::View;
use crate::cli::{Failure, answer, answer_json};

/// The output of `dns query --json`.
#[derive(Debug, Serialize)]
struct Report {
    about: String,
    question: String,
    status: String,
    authoritative: bool,
    /// Why the query is refused, why the zone fails, or why the name has no such records.
    reason: Option<String>,
    answer: Vec<RecordReport>,
    authority: Vec<RecordReport>,
    additional: Vec<RecordReport>,
}

#[derive(Debug, Serialize)]
struct RecordReport {
    name: String,
    ttl: u32,
    /// Name, TTL, class, type and data, as in a zone file.
    record: String,
    source: String,
}

/// Runs `ringway dns query`.
pub(super) fn run(query: &Query) -> Result<ExitCode, Failure> {
    let view = match &query.zone_file {
        Some(file) => View::of_file(file, query.zone.as_ref())?,
        None => View::of_gateway(&query.config.path)?,
    };
    let (name, kind) = question(query)?;

    // Uses the server's own function, so that the answer is what hosts get. Over TCP nothing is
    // truncated.
    let mut response = Vec::new();
    let message = query_message(&name, kind);
    answer_question(&view.set(), &message, Transport::Tcp, &mut response);
    let response = Response::parse(&response).context("the answer cannot be read")?;

    let report = report(&view, &name, kind, &response);
    if query.json {
        answer_json(&report)
    } else {
        answer(text(&report))
    }
}

/// The name and type of the query.
fn question(query: &Query) -> Result<(Name, u16), Failure> {
    if let Some(address) = query.address {
        let name =
            Name::from_text(&reverse_name(address)).context("an address has a reverse name")?;
        return Ok((name, kind::PTR));
    }

    let name = query.name.context("the command line has a name")?;
    Ok((name, query.kind))
}

fn report(view: &View, name: &Name, kind: u16, response: &Response) -> Report {
    let [answer, authority, additional] = response.sections.each_ref().map(|records| {
        records
            .iter()
            .map(|record| of_record(view, record))
            .collect()
    });

    Report {
        about: view.about.clone(),
        question: question_text(name, kind),
        status: response.status(),
        authoritative: response.authoritative,
        reason: reason(view, name, response),
        answer,
        authority,
        additional,
    }
}

fn of_record(view: &View, record: &ResponseRecord) -> RecordReport {
    RecordReport {
        name: record.owner.to_string(),
        ttl: record.ttl,
        record: record.to_string(),
        source: view.source(record),
    }
}

fn reason(view: &View, name: &Name, response: &Response) -> Option<String> {
    // Without a usable copy, the server fails such queries.
    let failed = view
        .zones
        .iter()
        .find(|seen| seen.zone.is_none() && name.is_within(&seen.apex));
    if let Some(seen) = failed {
        return Some(format!("zone {}: {}", seen.apex, seen.origin));
    }

    let mut left_out = view.zones.iter().flat_map(|seen| &seen.left_out);
    let of_name = left_out.find(|it| it.owner == *name);
    if let Some(left_out) = of_name.filter(|_| response.sections[0].is_empty()) {
        return Some(format!("left out: {left_out}"));
    }

    (response.status() == "REFUSED").then(|| format!("refused: {}", view.refusal(name)))
}

fn text(report: &Report) -> String {
    let flags = if report.authoritative { "qr aa" } else { "qr" };
    let mut text = format!(
        ";; {}\n;; status: {}, flags: {flags}\n;; question: {}\n",
        report.about, report.status, report.question,
    );
    if let Some(reason) = &report.reason {
        text.push_str(&format!(";; {reason}\n"));
    }

    for (section, records) in [
        ("ANSWER", &report.answer),
        ("AUTHORITY", &report.authority),
        ("ADDITIONAL", &report.additional),
    ] {
        if !records.is_empty() {
            text.push_str(&format!("\n;; {section}\n"));
        }
        for record in records {
            text.push_str(&format!("{}  ; {}\n", record.record, record.source));
        }
    }
    text
}
