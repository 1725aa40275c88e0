//! `ringway dns zones`: lists the zones in this gateway's files.

use std::path::Path;
use std::process::ExitCode;

use super::view::View;
use crate::cli::table::Table;
use crate::cli::{Failure, answer};

/// Runs `ringway dns zones`.
pub(super) fn run(config: &Path) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(config)?;
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

fn number_or_dash(number: Option<impl ToString>) -> String {
    match number {
        Some(number) => number.to_string(),
        None => "-".into(),
    }
}
