//! `ringway dns export`: a zone as a zone file.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::ZoneName;

use super::view::View;
use crate::cli::{Failure, answer};

/// Writes the zone.
pub(super) fn run(apex: &ZoneName, config: &Path) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(config)?;
    let Some(seen) = view.zones.iter().find(|seen| seen.apex == apex.into()) else {
        let known: Vec<String> = view
            .zones
            .iter()
            .map(|seen| seen.apex.to_string())
            .collect();
        return Err(Failure::Usage(format!(
            "{apex} is no zone here; there are {}",
            known.join(", ")
        )));
    };
    match &seen.zone {
        Some(zone) => answer(zone.to_text()),
        None => Err(Failure::Failed(anyhow::anyhow!(
            "{apex} cannot be written: {}",
            seen.origin
        ))),
    }
}
