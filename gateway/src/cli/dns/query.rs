//! `ringway dns query`: answers one query, with the source of each record, in the format of dig.

use std::process::ExitCode;

use anyhow::Context as _;
use ringway_dns::explain::{Response, query_message, question_text};
use ringway_dns::{Transport, answer as answer_question};

use super::Query;
use super::view::View;
use crate::cli::{Failure, answer};

/// Runs `ringway dns query`.
pub(super) fn run(query: &Query) -> Result<ExitCode, Failure> {
    let view = match &query.zone_file {
        Some(file) => View::of_file(file, query.zone.as_ref())?,
        None => View::of_gateway(&query.config.path)?,
    };

    // By the same function as the server, so that the answer is the one that hosts get.
    // Over TCP nothing is truncated.
    let mut response = Vec::new();
    answer_question(
        &view.set(),
        &query_message(&query.name, query.kind),
        Transport::Tcp,
        &mut response,
    );
    let response = Response::parse(&response).context("the answer cannot be read")?;
    answer(text(&view, query, &response))
}

fn text(view: &View, query: &Query, response: &Response) -> String {
    let flags = if response.authoritative {
        "qr aa"
    } else {
        "qr"
    };
    let mut text = format!(
        ";; {}\n;; status: {}, flags: {flags}\n;; question: {}\n",
        view.about,
        response.status(),
        question_text(&query.name, query.kind),
    );

    // Without a usable copy the server fails such queries; say why.
    if let Some(seen) = view
        .zones
        .iter()
        .find(|seen| seen.zone.is_none() && query.name.is_within(&seen.apex))
    {
        text.push_str(&format!(";; zone {}: {}\n", seen.apex, seen.origin));
    }

    for (section, records) in ["ANSWER", "AUTHORITY", "ADDITIONAL"]
        .iter()
        .zip(&response.sections)
    {
        if !records.is_empty() {
            text.push_str(&format!("\n;; {section}\n"));
        }
        for record in records {
            text.push_str(&format!("{record}  ; {}\n", view.source(record)));
        }
    }

    text
}
