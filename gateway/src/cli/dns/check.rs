//! `ringway dns check`: checks a zone file by itself.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Config, Faults, ZoneName};
use ringway_dns::{Name, Zone};

use crate::cli::{Failure, answer};
use crate::names::own_apex;

/// Reads the file as a gateway would, and prints a summary or the faults.
pub(super) fn run(file: &Path, zone: Option<&ZoneName>) -> Result<ExitCode, Failure> {
    let origin = zone.map(Name::from).or_else(|| origin_beside(file));
    let (zone, _) = Zone::from_file(file, origin.as_ref()).map_err(Faults::from)?;
    answer(format!(
        "{}: zone {}, {} records, in order\n",
        file.display(),
        zone.apex(),
        zone.records()
    ))
}

/// The zone of the gateway beside whose file the zone file lies, if that gateway uses it.
fn origin_beside(file: &Path) -> Option<Name> {
    let config = Config::load(&file.with_file_name("gateway.toml")).ok()?;
    let mut used = config.dns.zone_files.iter();

    used.any(|used| used.path.file_name() == file.file_name())
        .then(|| Name::from(&own_apex(&config)))
}
