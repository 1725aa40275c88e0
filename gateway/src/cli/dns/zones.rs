//! `ringway dns zones`: lists the zones in this gateway's files.

use std::process::ExitCode;

use serde::Serialize;

use super::view::View;
use crate::cli::table::Table;
use crate::cli::{Failure, Shown, answer, answer_json};

/// Runs `ringway dns zones`.
pub(super) fn run(args: &Shown) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(&args.config.path)?;
    if args.json {
        return answer_json(&report(&view));
    }

    let mut table = Table::new(["zone", "serial", "records", "from"]);
    for seen in &view.zones {
        let zone = seen.zone.as_ref();
        table.row([
            seen.apex.to_string(),
            number_or_dash(zone.map(|zone| zone.serial())),
            number_or_dash(zone.map(|zone| zone.records())),
            seen.origin.to_string(),
        ]);
    }
    answer(table)
}

/// The output of `dns zones --json`.
#[derive(Debug, Serialize)]
struct Report {
    zones: Vec<ZoneReport>,
}

#[derive(Debug, Serialize)]
struct ZoneReport {
    zone: String,
    serial: Option<u32>,
    records: Option<usize>,
    from: String,
}

fn report(view: &View) -> Report {
    let zones = view.zones.iter().map(|seen| {
        let zone = seen.zone.as_ref();
        ZoneReport {
            zone: seen.apex.to_string(),
            serial: zone.map(|zone| zone.serial()),
            records: zone.map(|zone| zone.records()),
            from: seen.origin.to_string(),
        }
    });

    Report {
        zones: zones.collect(),
    }
}

fn number_or_dash(number: Option<impl ToString>) -> String {
    match number {
        Some(number) => number.to_string(),
        None => "-".into(),
    }
}
