//! `ringway dns check`: checks a zone file by itself.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Config, Faults, ZoneName};
use ringway_dns::{Name, Zone};
use serde::Serialize;

use crate::cli::check::report::FaultReport;
use crate::cli::{Failure, answer, answer_json};
use crate::names::own_apex;

/// Reads the file as a gateway would, and prints a summary or the faults.
pub(super) fn run(file: &Path, zone: Option<&ZoneName>, json: bool) -> Result<ExitCode, Failure> {
    let origin = zone.map(Name::from).or_else(|| origin_beside(file));
    let read = Zone::from_file(file, origin.as_ref()).map_err(Faults::from);
    // The faults are part of the JSON, so none is printed on stderr.
    if json {
        let zone = read.as_ref().ok().map(|(zone, _)| zone);
        answer_json(&Report::of(file, zone, read.as_ref().err()))?;
        return Ok(match read {
            Ok(_) => ExitCode::SUCCESS,
            Err(faults) => Failure::from(faults).exit_code(),
        });
    }

    let (zone, _) = read?;
    answer(format!(
        "{}: zone {}, {} records, in order\n",
        file.display(),
        zone.apex(),
        zone.records()
    ))
}

/// The output of `dns check --json`.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    file: String,
    zone: Option<String>,
    records: Option<usize>,
    faults: Vec<FaultReport>,
}

impl Report {
    fn of(file: &Path, zone: Option<&Zone>, faults: Option<&Faults>) -> Report {
        let faults = faults.into_iter().flat_map(|faults| &faults.0);

        Report {
            ok: zone.is_some(),
            file: file.display().to_string(),
            zone: zone.map(|zone| zone.apex().to_string()),
            records: zone.map(Zone::records),
            faults: faults.map(FaultReport::of).collect(),
        }
    }
}

/// The zone of the gateway beside whose file the zone file lies, if that gateway uses it.
fn origin_beside(file: &Path) -> Option<Name> {
    let config = Config::load(&file.with_file_name("gateway.toml")).ok()?;
    let mut used = config.dns.zone_files.iter();

    used.any(|used| used.path.file_name() == file.file_name())
        .then(|| Name::from(&own_apex(&config)))
}
