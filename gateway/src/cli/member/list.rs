//! `ringway member list`: lists the members in the files. Does not ask a running gateway.

use std::process::ExitCode;

use ringway_config::{Config, Member};
use ringway_identity::trust;
use serde::Serialize;

use crate::cli::table::Table;
use crate::cli::{Failure, Shown, answer, answer_json, only_at_gateways};

/// Runs `ringway member list`.
pub(super) fn run(args: &Shown) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    only_at_gateways(&config, "ringway member list")?;
    let members: Vec<Entry> = config
        .members
        .iter()
        .map(Entry::of)
        .collect::<Result<_, Failure>>()?;

    if args.json {
        return answer_json(&Report { members });
    }
    if members.is_empty() {
        return answer(format!(
            "{} has no members beside itself yet; ringway member add adds them\n",
            config.own.domain
        ));
    }
    answer(table(&members))
}

/// The output of `member list --json`.
#[derive(Debug, Serialize)]
struct Report {
    members: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    org: String,
    serial: u64,
    fingerprint: String,
    file: String,
    sites: Vec<SiteEntry>,
    gateways: Vec<String>,
    revocation_lists: usize,
}

#[derive(Debug, Serialize)]
struct SiteEntry {
    name: String,
    prefixes: Vec<String>,
    via: Option<String>,
}

impl Entry {
    fn of(member: &Member) -> Result<Entry, Failure> {
        let sites = member.sites.iter().map(|site| SiteEntry {
            name: site.name.to_string(),
            prefixes: site
                .prefixes
                .iter()
                .map(|placed| placed.prefix.to_string())
                .collect(),
            via: site.via.as_ref().map(ToString::to_string),
        });
        let gateways = member.gateways.iter();

        Ok(Entry {
            org: member.org.to_string(),
            serial: member.serial,
            fingerprint: member.digest.to_string(),
            file: member.place.file.display().to_string(),
            sites: sites.collect(),
            gateways: gateways.map(|gateway| gateway.name.to_string()).collect(),
            revocation_lists: trust::lists(member)?.len(),
        })
    }
}

fn table(members: &[Entry]) -> Table {
    let mut table = Table::new(["org", "serial", "gateways", "prefixes", "fingerprint"]);
    for member in members {
        let prefixes: Vec<&str> = member
            .sites
            .iter()
            .flat_map(|site| site.prefixes.iter().map(String::as_str))
            .collect();
        table.row([
            member.org.clone(),
            member.serial.to_string(),
            member.gateways.join(", "),
            prefixes.join(", "),
            member.fingerprint.clone(),
        ]);
    }

    table
}
