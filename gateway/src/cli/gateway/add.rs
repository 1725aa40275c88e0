//! `ringway gateway add`: adds a gateway to the record, and creates its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{
    Config, Edits, Faults, GatewayId, Member, Prefix, SiteId, conflicts, reading,
};
use ringway_identity::create::{Authority, Issued};
use time::OffsetDateTime;

use super::{Add, files};
use crate::cli::new_files::NewFiles;
use crate::cli::own_record::{Change, OwnRecord, fault, hand_out};
use crate::cli::site::refuse_public;
use crate::cli::{Failure, answer};

/// Runs `ringway gateway add`.
pub(super) fn run(args: &Add) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(&args.record)?;
    refuse_known(args, &own.member)?;
    let (site, new_prefixes) = site(args, &own)?;
    let authority = args.ca.open(own.dir(), &own.member)?;
    let id = GatewayId {
        org: own.member.org.clone(),
        name: args.name.clone(),
    };

    let mut draft = own.draft()?;
    if !new_prefixes.is_empty() {
        draft.add_site(&site, &new_prefixes, None)?;
    }
    draft.add_gateway(&args.name, &site, &args.endpoints)?;
    let change = own.change(draft)?;
    let issued = issue(args, authority.as_ref(), &id, &change)?;

    let (new, note) = new_files(args, &id, &site, &change, issued.as_ref())?;
    let dir = new.path("");
    let config = new.path("gateway.toml");
    let edits = new.edits();
    let created = new.create()?;
    // Check before writing: wrong options must leave no files in the way of the corrected command.
    load(&config, &edits)?;
    change.write()?;
    created.keep();

    let mut steps = vec![hand_over(args, &dir, &change, issued.is_some())];
    steps.extend(note);
    answer(hand_out(&change, &steps, Some(&args.name))?)
}

fn refuse_known(args: &Add, record: &Member) -> Result<(), Failure> {
    let name = &args.name;
    if record.gateway(name).is_some() {
        return Err(Failure::Usage(format!(
            "gateway {name} is in {} already; ringway gateway set {name} changes it",
            record.place
        )));
    }
    if record.revoked.gateways.contains(name) {
        return Err(Failure::Usage(format!(
            "gateway {name} is revoked in {}, for good; choose another name",
            record.place
        )));
    }
    Ok(())
}

/// The site that it serves, with the ranges of a new one.
fn site(args: &Add, own: &OwnRecord) -> Result<(SiteId, Vec<Prefix>), Failure> {
    let record = &own.member;
    let Some(choice) = &args.site else {
        let [site] = record.sites.as_slice() else {
            let names: Vec<&str> = record.sites.iter().map(|site| site.name.as_str()).collect();
            return Err(Failure::Usage(format!(
                "which site does it serve? --site {}, or a new one such as --site west=10.9.0.0/16",
                names.join(" | ")
            )));
        };
        return Ok((site.name.clone(), Vec::new()));
    };

    let is_known = record.site(&choice.name).is_some();
    match (is_known, choice.prefixes.is_empty()) {
        (true, true) => {}
        (false, false) => refuse_public(&choice.prefixes, args.public)?,
        (true, false) => {
            return Err(Failure::Usage(format!(
                "site {0} is in {1} already; write --site {0}, and change its ranges with ringway \
                 site set {0}",
                choice.name, record.place
            )));
        }
        (false, true) => {
            return Err(Failure::Usage(format!(
                "there is no site {0} in {1}; a new one has address ranges: --site \
                 {0}=10.9.0.0/16",
                choice.name, record.place
            )));
        }
    }
    Ok((choice.name.clone(), choice.prefixes.clone()))
}

fn issue(
    args: &Add,
    authority: Option<&Authority>,
    id: &GatewayId,
    change: &Change<'_>,
) -> Result<Option<Issued>, Failure> {
    let Some(authority) = authority else {
        return Ok(None);
    };

    authority
        .issue(id, &change.after.domain, OffsetDateTime::now_utc())
        .map(Some)
        .map_err(|error| fault(&args.ca.directory(change.own.dir()), error.to_string()))
}

/// Everything that its host needs, and a note for the operator.
fn new_files(
    args: &Add,
    id: &GatewayId,
    site: &SiteId,
    change: &Change<'_>,
    issued: Option<&Issued>,
) -> Result<(NewFiles, Option<String>), Failure> {
    let prefixes = change.after.site(site).map_or(Vec::new(), |site| {
        site.prefixes.iter().map(|placed| placed.prefix).collect()
    });
    let (text, note) = files::text(args, id, site, &prefixes, change.own.config())?;

    let dir = dir(args, change.own);
    let mut new = NewFiles::in_directory(&dir);
    new.file("gateway.toml", &text)
        .file(&format!("{}.member.toml", id.org), change.text())
        .directory("members");
    if let Some(issued) = issued {
        new.file("gateway.crt", &issued.certificate)
            .secret("gateway.key", &issued.key);
    }
    for other in &change.own.others {
        let path = other.place.file.as_path();
        // The file's bytes, not the parsed record: the fingerprint is that of the file.
        let text =
            reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        new.file(&format!("members/{}.member.toml", other.org), &text);
    }
    Ok((new, note))
}

fn dir(args: &Add, own: &OwnRecord) -> PathBuf {
    match &args.dir {
        Some(dir) => dir.clone(),
        None => own.dir().join(args.name.as_str()),
    }
}

/// Loads the new files as `run` will, because a combination of options may be faulty. The faults
/// quote the lines, since the files are removed again.
fn load(path: &Path, edits: &Edits) -> Result<(), Faults> {
    let config = Config::load_edited(path, edits)?;
    match conflicts(&config, &[], &BTreeSet::new()) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(faults),
    }
}

/// The instructions for the new gateway's host.
fn hand_over(args: &Add, dir: &Path, change: &Change<'_>, has_key: bool) -> String {
    let name = &args.name;
    let dir = dir.display();
    let record = change.own.path.display();
    if has_key {
        return format!(
            "Hand {dir} to the host of {name}, over a channel that nobody reads: its key is in it, \
             and nowhere else. There, in that directory\n     ringway check -c gateway.toml\n     \
             ringway run -c gateway.toml"
        );
    }

    format!(
        "Hand {dir} to the host of {name}. There, in that directory, make its key and a request \
         for its certificate\n     ringway cert request -c gateway.toml\n  \
         Where the CA is, sign the request\n     \
         ringway cert sign gateway.csr --ca <directory> --record {record} --out gateway.crt\n  \
         Hand gateway.crt back. There\n     ringway cert renew --certificate gateway.crt -c \
         gateway.toml\n     ringway run -c gateway.toml"
    )
}
