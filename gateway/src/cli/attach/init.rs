//! `ringway attach init`: creates all files of an attached node, or none of them.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Config, Escaped, GatewayId, Member, Prefix, SiteId};
use ringway_identity::key::GatewayKey;
use time::OffsetDateTime;

use super::Init;
use crate::cli::new_files::NewFiles;
use crate::cli::own_record::fault;
use crate::cli::{Failure, answer};

/// Runs `ringway attach init`.
pub(super) fn run(args: &Init) -> Result<ExitCode, Failure> {
    let (member, record) = Member::load_text(&args.record)?;
    let site = site(args, &member)?;
    let id = GatewayId::of_node(&args.name, &member.org);
    let record_dir = args.record.parent().unwrap_or(Path::new(""));
    let authority = args.ca.open(record_dir, &member)?;

    let key = GatewayKey::generate().map_err(anyhow::Error::from)?;
    let mut files = NewFiles::in_directory(&args.dir);
    files
        .file("node.toml", &text(args, &member, &site))
        .secret("node.key", &key.pem());
    // The record may already be in this directory.
    let copy = files.path(&record_name(&member));
    if !is_same_file(&copy, &args.record) {
        files.file(&record_name(&member), &record);
    }
    match &authority {
        Some(authority) => {
            let now = OffsetDateTime::now_utc();
            let certificate = authority
                .certify(&id, &member.domain, &key, now)
                .map_err(|error| fault(&args.ca.directory(record_dir), error.to_string()))?;
            files.file("node.crt", &certificate);
        }
        None => {
            let request = key.request(&id, &member.domain);
            files.file("node.csr", &request.map_err(anyhow::Error::from)?);
        }
    }

    let summary = summary(args, &member, &site, &files, authority.is_some(), &key);
    let config = files.path("node.toml");
    let edits = files.edits();
    let created = files.create()?;
    // Check before writing: wrong options must leave no files in the way of the corrected command.
    Config::load_edited(&config, &edits)?;
    created.keep();
    answer(summary)
}

/// The named site, or the only site with gateways.
fn site(args: &Init, member: &Member) -> Result<SiteId, Failure> {
    if let Some(site) = &args.site {
        return Ok(site.clone());
    }

    let mut sites: Vec<&SiteId> = member
        .gateways
        .iter()
        .map(|gateway| &gateway.site)
        .collect();
    sites.sort();
    sites.dedup();
    match sites.as_slice() {
        [site] => Ok((*site).clone()),
        [] => Err(Failure::Usage(format!(
            "{} has no gateways to attach to",
            args.record.display()
        ))),
        sites => {
            let names: Vec<&str> = sites.iter().map(|site| site.as_str()).collect();
            Err(Failure::Usage(format!(
                "which site's gateways is it attached to? --site {}",
                names.join(" | ")
            )))
        }
    }
}

fn record_name(member: &Member) -> String {
    format!("{}.member.toml", member.org)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let paths = [one, other].map(|path| fs::canonicalize(path).ok());

    paths[0].is_some() && paths[0] == paths[1]
}

fn text(args: &Init, member: &Member, site: &SiteId) -> String {
    let mut text = format!(
        "# An attached node, run by `ringway attach run -c node.toml`. deploy/examples/node.toml \
         shows every\n# key.\n\
         version = 1\n\
         org = \"{}\"\n\
         node = \"{}\"\n\n\
         # The site whose gateways it is attached to, all of them at once.\n\
         site = \"{site}\"\n\n\
         # As in its [[node]] at those gateways.\n",
        member.org, args.name
    );
    if !args.addresses.is_empty() {
        text.push_str(&format!("addresses = {}\n", list(&args.addresses)));
    }
    if !args.prefixes.is_empty() {
        text.push_str(&format!("prefixes = {}\n", list(&args.prefixes)));
    }

    text.push_str(&format!(
        "\n[identity]\n\
         record = \"{}\"\n\
         certificate = \"node.crt\"\n\
         key = \"node.key\"\n",
        record_name(member)
    ));
    text
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();

    format!("[{}]", items.join(", "))
}

fn summary(
    args: &Init,
    member: &Member,
    site: &SiteId,
    files: &NewFiles,
    is_signed: bool,
    key: &GatewayKey,
) -> String {
    // Paths relative to the user's directory, to be copied from the terminal.
    let at = |name: &str| Escaped(&files.path(name).display().to_string()).to_string();
    let hosts = args.addresses.iter().copied().map(Prefix::host);
    let prefixes: String = hosts
        .chain(args.prefixes.iter().copied())
        .map(|prefix| format!(" --prefix {prefix}"))
        .collect();
    let name = &args.name;

    let mut text = format!(
        "Node {name} of {org}, attached to the gateways of site {site}\n\
         \x20 files  {config}  {key_file}  {certificate}\n\
         \x20 key    {digest}\n\nNext:\n\
         \x20 1. At each gateway of {site}:  ringway node add {name}{prefixes} && ringway reload\n",
        org = member.org,
        config = at("node.toml"),
        key_file = at("node.key"),
        certificate = at(if is_signed { "node.crt" } else { "node.csr" }),
        digest = key.digest(),
    );
    if !is_signed {
        text.push_str(&format!(
            "\x20 2. Where the CA is:            ringway cert sign node.csr --node {name} --ca \
             <directory> --record {record} --key {digest}\n\
             \x20 3. Put node.crt beside node.toml.\n",
            record = record_name(member),
            digest = key.digest(),
        ));
    }
    let number = if is_signed { 2 } else { 4 };
    text.push_str(&format!(
        "\x20 {number}. Run it:                     ringway attach run -c {}\n",
        at("node.toml")
    ));
    text
}
