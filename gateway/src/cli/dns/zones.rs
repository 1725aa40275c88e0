//! `ringway dns zones`: the zones that the files hold.

use std::path::Path;
use std::process::ExitCode;

use super::view::View;
use crate::cli::table::Table;
use crate::cli::{Failure, answer};

/// Prints them.
pub(super) fn run(config: &Path) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(config)?;
    let mut table = Table::new(["zone", "serial", "records", "from"]);
    for seen in &view.zones {
        let of = |number: Option<usize>| number.map_or("-".into(), |number| number.to_string());
        let zone = seen.zone.as_ref();
        table.row([
            seen.apex.to_string(),
            of(zone.map(|zone| zone.serial() as usize)),
            of(zone.map(|zone| zone.records())),
            seen.origin.to_string(),
        ]);
    }
    answer(table)
}
