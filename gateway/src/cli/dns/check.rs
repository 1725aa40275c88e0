//! `ringway dns check`: checks a zone file by itself.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ringway_config::{Config, Fault, Faults, Place, ZoneName};
use ringway_dns::lint::{self, Known};
use ringway_dns::{Name, Sources, Zone};
use serde::Serialize;

use crate::cli::check::report::FaultReport;
use crate::cli::{Failure, answer, answer_json};
use crate::names::own_apex;

/// An origin for reading a file without one, to find its other faults (RFC 6761, section 6.4).
const ANY_ORIGIN: &str = "zone.invalid";

/// Reads the file as a gateway would, and prints a summary with probable mistakes, or the faults.
pub(super) fn run(file: &Path, zone: Option<&ZoneName>, json: bool) -> Result<ExitCode, Failure> {
    let beside = gateway_beside(file);
    // A file that the gateway does not use yet is probably meant for its zone.
    let origin = zone
        .map(Name::from)
        .or_else(|| beside.as_ref().map(|config| Name::from(&own_apex(config))));
    let beside = beside.filter(|config| names_file(config, file));
    let read = read(file, origin.as_ref()).map_err(Faults::from);
    let mistakes = match &read {
        Ok((zone, sources)) => mistakes(zone, sources, beside.as_ref()),
        Err(_) => Vec::new(),
    };

    // The JSON contains the faults, so none is printed on stderr.
    if json {
        let zone = read.as_ref().ok().map(|(zone, _)| zone);
        let faults = read.as_ref().err().map_or(&[][..], |faults| &faults.0);
        answer_json(&Report::of(file, zone, faults, &mistakes))?;
        return Ok(match read {
            Ok(_) => ExitCode::SUCCESS,
            Err(faults) => Failure::from(faults).exit_code(),
        });
    }

    let (zone, _) = read?;
    let mut text = format!(
        "{}: zone {}, {} records, in order\n",
        file.display(),
        zone.apex(),
        zone.records()
    );
    for mistake in mistakes {
        text.push_str(&format!("\nwarning: {mistake}\n"));
    }
    answer(text)
}

/// Probable mistakes. The gateway's other records belong to the same zone.
fn mistakes(zone: &Zone, sources: &Sources, beside: Option<&Config>) -> Vec<Fault> {
    let whole = beside
        .filter(|config| Name::from(&own_apex(config)) == *zone.apex())
        .and_then(|config| Zone::with_sources(config).ok());

    let mut known = Known::new(None);
    known.add(Arc::new(
        whole.map_or_else(|| zone.clone(), |(whole, _)| whole),
    ));
    lint::lint(zone, sources, &known)
}

/// The output of `dns check --json`.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    file: String,
    zone: Option<String>,
    records: Option<usize>,
    faults: Vec<FaultReport>,
    /// Probable mistakes, which do not prevent serving the zone.
    hints: Vec<FaultReport>,
}

impl Report {
    fn of(file: &Path, zone: Option<&Zone>, faults: &[Fault], hints: &[Fault]) -> Report {
        Report {
            ok: zone.is_some(),
            file: file.display().to_string(),
            zone: zone.map(|zone| zone.apex().to_string()),
            records: zone.map(Zone::records),
            faults: faults.iter().map(FaultReport::of).collect(),
            hints: hints.iter().map(FaultReport::of).collect(),
        }
    }
}

/// Reads the file. A missing origin is a single fault, however many names are relative.
fn read(file: &Path, origin: Option<&Name>) -> Result<(Zone, Sources), Vec<Fault>> {
    let read = Zone::from_file(file, origin);
    let (Err(faults), None) = (&read, origin) else {
        return read;
    };

    // Faults that also occur with an arbitrary origin have other causes.
    let any = ANY_ORIGIN.parse().expect("it is a name");
    let other = Zone::from_file(file, Some(&Name::from(&any))).err();
    let other = other.unwrap_or_default();
    let mut left = faults.clone();
    left.retain(|fault| other.contains(fault));
    if left.len() == faults.len() {
        return read;
    }

    left.push(Fault {
        place: Place::whole(file),
        message: "has names that are relative, and it is not known to what; name the zone: \
                  --zone acme.consortium.example"
            .into(),
    });
    Err(left)
}

/// The gateway whose file is beside the zone file.
fn gateway_beside(file: &Path) -> Option<Config> {
    Config::load(&file.with_file_name("gateway.toml")).ok()
}

/// True if the gateway uses the file.
fn names_file(config: &Config, file: &Path) -> bool {
    let mut used = config.dns.zone_files.iter();

    used.any(|used| used.path.file_name() == file.file_name())
}
