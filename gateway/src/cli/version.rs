//! `ringway version`: the version of this program, and the versions of formats that it reads.

use std::process::ExitCode;

use ringway_identity::tls::ALPN;
use serde::Serialize;

use super::{Failure, answer, answer_json};
use crate::features::FEATURES;

/// Versions of member records that it reads; it writes the first.
const RECORDS: [u32; 2] = [2, 1];

/// Versions of gateway.toml.
const CONFIGURATION: [u32; 1] = [1];

/// Arguments of `ringway version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The output of `version --json`.
#[derive(Debug, Serialize)]
struct Report {
    /// The release.
    version: &'static str,
    /// The commit it was built from, if known.
    commit: Option<&'static str>,
    /// The compiler, if known.
    rustc: Option<&'static str>,
    /// Version of the control protocol: gateways need the same one to have tunnels.
    wire: String,
    features: Vec<&'static str>,
    member_records: &'static [u32],
    configuration: &'static [u32],
}

/// Runs `ringway version`.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("RINGWAY_COMMIT").filter(|commit| !commit.is_empty()),
        rustc: option_env!("RINGWAY_RUSTC").filter(|rustc| !rustc.is_empty()),
        wire: String::from_utf8_lossy(ALPN).into_owned(),
        features: FEATURES.map(|(_, name)| name).to_vec(),
        member_records: &RECORDS,
        configuration: &CONFIGURATION,
    };

    if args.json {
        answer_json(&report)
    } else {
        answer(text(&report))
    }
}

fn text(report: &Report) -> String {
    let known = |value: Option<&'static str>| value.unwrap_or("unknown");

    format!(
        "ringway {}\ncommit          {}\ncompiler        {}\nwire            {}, with {}\n\
         member records  version {}\ngateway.toml    version {}\n",
        report.version,
        known(report.commit),
        known(report.rustc),
        report.wire,
        report.features.join(" and "),
        list(report.member_records),
        list(report.configuration),
    )
}

fn list(versions: &[u32]) -> String {
    let versions: Vec<_> = versions.iter().map(u32::to_string).collect();
    versions.join(" and ")
}

#[cfg(test)]
mod tests {
    use ringway_config::Member;

    use super::*;

    #[test]
    fn the_versions_of_records_are_those_that_are_read() {
        let refusal = |version: u32| {
            let text = format!("version = {version}\n");
            let faults = Member::parse(&text, "acme.member.toml".as_ref()).unwrap_err();
            faults.to_string()
        };

        for version in 0..10 {
            let is_read = !refusal(version).contains("is not known to this ringway");
            assert_eq!(is_read, RECORDS.contains(&version), "{}", refusal(version));
        }
    }
}
