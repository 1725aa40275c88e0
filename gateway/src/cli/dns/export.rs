//! `ringway dns export`: writes a zone as a zone file.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::ZoneName;

use super::view::View;
use crate::cli::{Failure, answer};

/// Runs `ringway dns export`.
pub(super) fn run(apex: &ZoneName, config: &Path) -> Result<ExitCode, Failure> {
    let view = View::of_gateway(config)?;
    // Reverse zones are derived from the organizations' zones.
    if let Some(zone) = view.set().reverse_zone(&apex.into()) {
        return answer(zone.to_text());
    }

    let Some(seen) = view.zones.iter().find(|seen| seen.apex == apex.into()) else {
        let known: Vec<String> = view
            .zones
            .iter()
            .map(|seen| seen.apex.to_string())
            .collect();
        let known = known.join(", ");
        return Err(Failure::Usage(format!(
            "{apex} is not a zone of this gateway; there are {known}, and the reverse zones of the \
             members' prefixes, such as 1.10.in-addr.arpa of 10.1.0.0/16"
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
