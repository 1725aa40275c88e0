//! `ringway node add` and `remove`: edit the `[[node]]` blocks of `gateway.toml`. The new text is
//! checked like a file before it is written.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Connected, Edits, NodeName, OrgId, Prefix, Target, reading};
use toml_edit::{Array, DocumentMut, InlineTable, Value};

use super::Add;
use super::wireguard::NewClient;
use crate::cli::edit::{Blocks, LineEnds, parse, replace_file};
use crate::cli::{Failure, answer, block_on, how_to_apply, remedy};
use crate::prepare::links;

/// The key of a node's block.
pub(super) const NODE: &[&str] = &["node"];

/// Runs `ringway node add`.
pub(super) fn run(args: &Add) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    let config = gateway(path)?;
    refuse(args, &config)?;
    let connected = block_on(links(&config))??.connected();
    refuse_on_link(&args.prefixes, &connected)?;

    let client = args.wireguard.as_ref().map(|key| {
        let endpoint = args.endpoint.as_ref();
        NewClient::new(&config, *key, endpoint)
    });
    let client = client.transpose()?;

    let prefixes: Array = args.prefixes.iter().map(ToString::to_string).collect();
    let mut entries = vec![
        ("name", args.name.as_str().into()),
        ("prefixes", Value::Array(prefixes)),
    ];
    if let Some(client) = &client {
        let mut wireguard = InlineTable::new();
        wireguard.insert("public-key", client.public().to_string().into());
        entries.push(("wireguard", Value::InlineTable(wireguard)));
    }
    let changed = change(path, |document| Blocks::at(document, NODE).push(entries))?;

    if let Some(client) = client {
        return client.print(&changed, &args.name);
    }
    let addresses: String = args.prefixes.iter().map(as_option).collect();
    answer(format!(
        "Node {name} of {org}, at site {site}\n\n\
         Next:\n\
         \x20 1. The same at the other gateways of {site}, if there are any.\n\
         \x20 2. On the node, with this organization's record:\n\
         \x20    ringway attach init {name} --record {record} --site {site}{addresses}\n\
         {apply}",
        name = args.name,
        org = config.own.org,
        site = config.site,
        record = record_name(&config.own.org),
        apply = how_to_apply(path),
    ))
}

/// Runs `ringway node remove`.
pub(super) fn remove(name: &NodeName, path: &Path) -> Result<ExitCode, Failure> {
    let text = read(path)?;
    let mut document = parse(&text)?;
    if Blocks::at(&mut document, NODE).remove("name", name.as_str()) == 0 {
        return Err(Failure::Usage(format!(
            "there is no node {name} in {}",
            path.display()
        )));
    }

    // Written although the rest of the file may have faults: removing rights must not wait for
    // that.
    let naming = rules_naming(name, path);
    replace_file(path, &LineEnds::of(&text).text(&document))?;
    answer(format!(
        "Node {name} is removed\n{naming}{}",
        how_to_apply(path)
    ))
}

/// Which rules name the node, for an operator who removes it; nothing if the file has faults.
fn rules_naming(name: &NodeName, path: &Path) -> String {
    let Ok(config) = Config::load(path) else {
        return String::new();
    };
    let is_named = |targets: &[Target]| {
        let mut targets = targets.iter();
        targets.any(|target| matches!(target, Target::Node(node) if node.node == *name))
    };

    let policy = &config.policy;
    let allow = policy.allow.iter().flatten();
    let allow = allow.filter(|rule| is_named(&rule.to));
    let egress = policy.allow_egress.iter();
    let egress = egress.filter(|rule| is_named(&rule.from));
    let places = allow
        .map(|rule| &rule.place)
        .chain(egress.map(|rule| &rule.place));
    let places: Vec<String> = places.map(ToString::to_string).collect();
    if places.is_empty() {
        return String::new();
    }

    format!(
        "Rules still name it: {}\nUntil it is removed from them, a reload ends its session and \
         changes nothing else\n",
        places.join(", ")
    )
}

/// Edits the file. The new text is checked before it is written. Returns the configuration.
pub(super) fn change(
    path: &Path,
    edit: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>,
) -> Result<Config, Failure> {
    let text = read(path)?;
    let mut document = parse(&text)?;
    edit(&mut document)?;
    let changed = LineEnds::of(&text).text(&document);

    let mut edits = Edits::default();
    edits.replace(path, &text, &changed);
    let config = Config::load_edited(path, &edits)?;
    replace_file(path, &changed)?;
    Ok(config)
}

/// The configuration in `path`, which must not be that of an attached node.
pub(super) fn gateway(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path)?;
    if config.attach.is_some() {
        return Err(Failure::Usage(format!(
            "{} is the file of an attached node; nodes are listed at the gateways, in gateway.toml",
            path.display()
        )));
    }
    Ok(config)
}

/// Refuses arguments that cannot be valid in any file.
fn refuse(args: &Add, config: &Config) -> Result<(), Failure> {
    let name = &args.name;
    if let Some(node) = config.nodes.list.iter().find(|node| node.name == *name) {
        return Err(Failure::Usage(format!(
            "node {name} is in {} already; change its prefixes there, or remove it first",
            node.place
        )));
    }

    let served = config.served_prefixes();
    for prefix in &args.prefixes {
        if !served.iter().any(|whole| whole.covers(prefix)) {
            let served: Vec<String> = served.iter().map(Prefix::to_string).collect();
            return Err(Failure::Usage(format!(
                "--prefix {prefix} lies in none of the prefixes that this gateway serves ({}), so \
                 that the members would send nothing there; give the data centre a site of its own \
                 with ringway site add NAME=PREFIX --via {}{}",
                served.join(", "),
                config.site,
                remedy::option_text(&config.path),
            )));
        }
    }
    Ok(())
}

/// Refuses prefixes in networks that this host is connected to, as a reload would.
fn refuse_on_link(prefixes: &[Prefix], connected: &[Connected]) -> Result<(), Failure> {
    for prefix in prefixes {
        let mut networks = connected.iter();
        if let Some(network) = networks.find(|network| network.prefix.overlaps(prefix)) {
            return Err(Failure::Usage(format!(
                "--prefix {prefix} lies in {}, which this host is connected to by {}: hosts there \
                 would look for the node on the link; give it addresses of another network of the \
                 site",
                network.prefix, network.interface
            )));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?)
}

fn as_option(prefix: &Prefix) -> String {
    if prefix.is_host() {
        format!(" --address {}", prefix.address())
    } else {
        format!(" --prefix {prefix}")
    }
}

fn record_name(org: &OrgId) -> String {
    format!("{org}.member.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_on_a_link_of_this_host_is_refused() {
        let connected = [Connected {
            interface: "lan0".to_owned(),
            prefix: "10.10.1.0/24".parse().unwrap(),
        }];
        let refused = |prefix: &str| refuse_on_link(&[prefix.parse().unwrap()], &connected);

        assert!(refused("10.10.2.200/32").is_ok());
        let error = refused("10.10.1.200/32").unwrap_err().to_string();
        assert!(
            error.contains("10.10.1.200/32 lies in 10.10.1.0/24") && error.contains("by lan0"),
            "{error}"
        );
    }
}
