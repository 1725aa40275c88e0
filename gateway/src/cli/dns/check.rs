//! `ringway dns check`: checks a zone file by itself.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Faults, ZoneName};
use ringway_dns::{Name, Zone};

use crate::cli::{Failure, answer};

/// Reads the file as a gateway would, and prints a summary or the faults.
pub(super) fn run(file: &Path, zone: Option<&ZoneName>) -> Result<ExitCode, Failure> {
    let origin = zone.map(Name::from);
    let (zone, _) = Zone::from_file(file, origin.as_ref()).map_err(Faults::from)?;
    answer(format!(
        "{}: zone {}, {} records, in order\n",
        file.display(),
        zone.apex(),
        zone.records()
    ))
}
