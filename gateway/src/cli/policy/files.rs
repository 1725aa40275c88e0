//! [`Files`]: the inputs of a gateway's rules. Certificates do not matter here.

use std::net::IpAddr;
use std::path::Path;

use ringway_config::{Config, Edits, Fault, Faults, Prefix, Ruling, accepted, rule};
use ringway_dns::Zone;
use ringway_intent::Links;

use crate::admin::report::RouteReport;
use crate::cli::{Failure, block_on};
use crate::names::stored::stored;
use crate::policy::{Judge, TestResults};
use crate::prepare::links;

/// A gateway's files and its host's addresses.
pub(in crate::cli) struct Files {
    pub(in crate::cli) config: Config,
    zone: Zone,
    rulings: Vec<Ruling>,
    links: Links,
}

impl Files {
    /// Reads all files of the `gateway.toml` at `path`.
    pub(in crate::cli) fn load(path: &Path) -> Result<Files, Failure> {
        Files::of(Config::load(path)?)
    }

    /// As [`Files::load`], with `changed` instead of `text` in `gateway.toml`.
    pub(super) fn edited(path: &Path, text: &str, changed: &str) -> Result<Files, Failure> {
        let mut edits = Edits::default();
        edits.replace(path, text, changed);
        Files::of(Config::load_edited(path, &edits)?)
    }

    /// Reads the files of `config`.
    fn of(config: Config) -> Result<Files, Failure> {
        let zone = Zone::from_config(&config, 0).map_err(Faults::from)?;
        let links = block_on(links(&config))??;
        let accepted = accepted::load(&config.state_dir).map_err(anyhow::Error::from)?;
        let rulings = rule(&config, &links.connected(), &accepted);

        Ok(Files {
            config,
            zone,
            rulings,
            links,
        })
    }

    /// The rules of these files.
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge::new(&self.config, &self.rulings, &self.zone, &self.links)
    }

    /// The faults and warnings in `after` that are not here.
    pub(super) fn faults_added(&self, after: &Files) -> Vec<Fault> {
        let known = self.attention();
        let mut faults = after.attention();
        // Line numbers change, so only messages are compared.
        faults.retain(|fault| !known.iter().any(|known| known.message == fault.message));
        faults
    }

    fn attention(&self) -> Vec<Fault> {
        let judge = self.judge();
        let results = TestResults::of(&self.config, &judge);

        let mut faults = self.config.notes.0.clone();
        faults.extend(judge.nameless());
        faults.extend(results.failed.0);
        faults
    }

    /// Where the prefix of a site is written.
    pub(in crate::cli) fn prefix_place(&self, route: &RouteReport) -> Option<String> {
        let mut rulings = self.rulings.iter();
        let ruling = rulings.find(|it| {
            it.prefix.to_string() == route.prefix
                && it.org.as_str() == route.org
                && it.site.as_str() == route.site
        })?;

        Some(ruling.place.to_string())
    }

    /// This host's address of one family in the site.
    pub(in crate::cli) fn address_in_site(&self, v4: bool) -> Option<IpAddr> {
        let own = self.config.own_prefixes().iter();
        let own: Vec<Prefix> = own.map(|own| own.prefix).collect();

        if v4 {
            self.links.own_v4_in(&own)
        } else {
            self.links.own_v6_in(&own)
        }
    }

    /// The rules, with the names of the other organizations' zones in stored copies.
    pub(in crate::cli) fn judge_with_names(&self) -> Judge<'_> {
        let mut judge = self.judge();
        for member in &self.config.members {
            // `dns zones` reports copies that cannot be used.
            if let Some(union) = stored(&self.config, member, None).union {
                judge.learn(&union.zone);
            }
        }

        judge
    }
}

/// The faults and warnings that `changed` in place of `text` would add to `gateway.toml`.
pub(in crate::cli) fn new_faults(
    path: &Path,
    text: &str,
    changed: &str,
) -> Result<Vec<Fault>, Failure> {
    let before = Files::load(path)?;
    let after = Files::edited(path, text, changed)?;
    Ok(before.faults_added(&after))
}
