//! `ringway dns add | remove`: edit the hosts in `gateway.toml`. The new text is checked together
//! with the zone files before it is written.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Edits, Faults, reading};
use ringway_dns::Zone;
use toml_edit::{Array, DocumentMut, Item};

use super::{Add, HostArg, Remove};
use crate::cli::edit::{Blocks, LineEnds, parse, replace_file, set, set_list};
use crate::cli::policy::new_faults;
use crate::cli::{Failure, answer, how_to_apply};

/// The keys of the hosts and of other records.
const HOST: &[&str] = &["dns", "host"];
const RECORD: &[&str] = &["dns", "record"];

/// Runs `ringway dns add`.
pub(super) fn add(args: &Add) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    let config = Config::load(path)?;
    let text = read(path)?;
    let mut document = parse(&text)?;

    let mut said = String::new();
    for host in &args.hosts {
        let mut host = host.clone();
        host.name = relative(&host.name, &config);
        host.services.extend(args.services.iter().cloned());
        put(&mut document, &host, args.ttl)?;
        let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
        said.push_str(&format!(
            "{} has {}\n",
            full(&host.name, &config),
            addresses.join(", ")
        ));
    }

    let changed = LineEnds::of(&text).text(&document);
    if changed == text {
        return answer("Nothing changes: the file says so already\n");
    }
    check(path, &text, &changed)?;
    let faults = new_faults(path, &text, &changed)?;
    if !faults.is_empty() {
        return Err(Faults::from(faults).into());
    }
    replace_file(path, &changed)?;
    answer(said + &how_to_apply(path))
}

/// Adds a host, or adds addresses and services to an existing host.
pub(in crate::cli) fn put(
    document: &mut DocumentMut,
    host: &HostArg,
    ttl: Option<u32>,
) -> Result<(), Failure> {
    let Some(block) = Blocks::at(document, HOST).find("name", &host.name) else {
        let mut entries = vec![
            ("name", host.name.as_str().into()),
            ("addresses", texts(&host.addresses).into()),
        ];
        if !host.services.is_empty() {
            entries.push(("services", texts(&host.services).into()));
        }
        if let Some(ttl) = ttl {
            entries.push(("ttl", i64::from(ttl).into()));
        }
        return Blocks::at(document, HOST).push(entries);
    };

    let addresses = with(&known::<IpAddr>(block.get("addresses")), &host.addresses);
    set_list(block, "addresses", &addresses);
    if !host.services.is_empty() {
        let services = with(&known::<String>(block.get("services")), &host.services);
        set_list(block, "services", &services);
    }
    if let Some(ttl) = ttl {
        set(block, "ttl", i64::from(ttl));
    }
    Ok(())
}

fn texts<T: ToString>(items: &[T]) -> Array {
    items.iter().map(ToString::to_string).collect()
}

/// The elements of a list, or a single text as a list of one.
fn known<T: std::str::FromStr>(item: Option<&Item>) -> Vec<T> {
    let Some(item) = item else { return Vec::new() };
    match item.as_array() {
        Some(list) => {
            let texts = list.iter().filter_map(|value| value.as_str());
            texts.filter_map(|text| text.parse().ok()).collect()
        }
        None => {
            let text = item.as_str().and_then(|text| text.parse().ok());
            text.into_iter().collect()
        }
    }
}

fn with<T: Clone + PartialEq>(known: &[T], more: &[T]) -> Vec<T> {
    let mut all = known.to_vec();
    for item in more {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

/// Runs `ringway dns remove`.
pub(super) fn remove(args: &Remove) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    let config = Config::load(path)?;
    let text = read(path)?;
    let mut document = parse(&text)?;

    for name in &args.names {
        let name = relative(name, &config);
        let mut removed = 0;
        // The file may use either notation.
        for written in [name.clone(), full(&name, &config)] {
            removed += Blocks::at(&mut document, HOST).remove("name", &written);
            removed += Blocks::at(&mut document, RECORD).remove("name", &written);
        }
        if removed == 0 {
            return Err(Failure::Usage(format!(
                "there is no host or record {name} in {}; zone files are edited as text",
                path.display()
            )));
        }
    }

    let changed = LineEnds::of(&text).text(&document);
    check(path, &text, &changed)?;
    let faults = new_faults(path, &text, &changed)?;
    replace_file(path, &changed)?;
    let mut said = format!("Removed: {}\n{}", args.names.join(", "), how_to_apply(path));
    for fault in faults {
        // A rule about the removed host matches nothing, and does not prevent a start.
        said.push_str(&format!("warning: {fault}\n"));
    }
    answer(said)
}

fn read(path: &Path) -> anyhow::Result<String> {
    reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Checks that `changed` loads in place of `text`, and that its records are consistent.
fn check(path: &Path, text: &str, changed: &str) -> Result<(), Failure> {
    let mut edits = Edits::default();
    edits.replace(path, text, changed);
    let config = Config::load_edited(path, &edits)?;
    Zone::from_config(&config, 0).map_err(Faults::from)?;
    Ok(())
}

fn zone(config: &Config) -> String {
    config.own.domain.zone_of(&config.own.org).to_string()
}

/// `name` relative to our zone, if it is below it.
fn relative(name: &str, config: &Config) -> String {
    let zone = zone(config);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name == zone {
        return "@".into();
    }
    match name
        .strip_suffix(&zone)
        .and_then(|name| name.strip_suffix('.'))
    {
        Some(label) => label.to_owned(),
        None => name.to_owned(),
    }
}

fn full(name: &str, config: &Config) -> String {
    match name {
        "@" => zone(config),
        name => format!("{name}.{}", zone(config)),
    }
}
