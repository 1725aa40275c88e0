//! `ringway dns export`: writes a zone as a zone file.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::ZoneName;

use super::view::View;
use crate::cli::{Failure, answer};

/// Runs `ringway dns export`.
pub(super) fn run(apex: &ZoneName, config: &Path) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(config)?;
    let Some(seen) = view.zones.iter().find(|seen| seen.apex == apex.into()) else {
        let known: Vec<String> = view
            .zones
            .iter()
            .map(|seen| seen.apex.to_string())
            .collect();
        let known = known.join(", ");
        return Err(Failure::Usage(format!(
            "{apex} is not a zone of this gateway; there are {known}"
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
