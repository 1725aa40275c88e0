//! `ringway site transit add | remove`: manages the consent to serve sites of other organizations.

use std::process::ExitCode;

use ringway_config::TransitSite;

use crate::cli::own_record::{OwnRecord, RecordFile, hand_out};
use crate::cli::{Failure, answer};

/// The verbs of `ringway site transit`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Consent to serve a site of another organization
    #[command(
        after_help = "Example:\n  ringway site transit add acme/idc -c gateway.toml\n\n\
        What members may reach there is then judged by the rules of the gateways here. It counts\n\
        for whatever ranges acme's record gives the site, as far as they overlap nothing."
    )]
    Add {
        /// The site
        #[arg(value_name = "ORG/SITE")]
        site: TransitSite,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
    /// Withdraw the consent
    #[command(after_help = "Example:\n  ringway site transit remove acme/idc -c gateway.toml")]
    Remove {
        /// The site
        #[arg(value_name = "ORG/SITE")]
        site: TransitSite,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
}

/// Runs `ringway site transit`.
pub(super) fn run(verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Add { site, record } => add(site, record),
        Verb::Remove { site, record } => remove(site, record),
    }
}

fn add(site: &TransitSite, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    if own.member.consents_to(&site.org, &site.site) {
        return answer("Nothing changes: the record says so already\n");
    }
    if site.org == own.member.org {
        return Err(Failure::Usage(format!(
            "{site} is a site of this organization, which needs no consent; ringway site set {} \
             --via says which site serves it",
            site.site
        )));
    }

    let mut draft = own.draft()?;
    draft.add_transit(site)?;
    let change = own.change(draft)?;
    change.write()?;
    let wanted = format!(
        "{} says in its record which of our sites serves it:\n     ringway site set {} --via \
         {}/<site>",
        site.org, site.site, own.member.org
    );
    answer(hand_out(&change, &[wanted], None)?)
}

fn remove(site: &TransitSite, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    if !own.member.consents_to(&site.org, &site.site) {
        let known: Vec<String> = own.member.transit.iter().map(ToString::to_string).collect();
        return Err(Failure::Usage(format!(
            "there is no consent for {site} in {}; known ones: {}",
            own.path.display(),
            known.join(", ")
        )));
    }

    let mut draft = own.draft()?;
    draft.remove_transit(site);
    let change = own.change(draft)?;
    change.write()?;
    answer(hand_out(&change, &[], None)?)
}
