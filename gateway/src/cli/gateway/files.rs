//! The files of a new gateway of our organization.

use std::net::SocketAddr;

use anyhow::Context as _;
use ringway_config::{Config, GatewayId, NewGateway, Prefix, SiteId, gateway_text, reading};
use toml_edit::{Array, DocumentMut, Item, Table};

use super::Add;
use crate::cli::Failure;
use crate::cli::edit::{parse, set};

/// The default tunnel port.
const LISTEN: &str = "0.0.0.0:4600";

/// The text of its `gateway.toml`, and a note for the operator. If `here`, the gateway beside the
/// record, serves the same site, the new one gets its rules, names and reserved ranges.
pub(super) fn text(
    args: &Add,
    id: &GatewayId,
    site: &SiteId,
    prefixes: &[Prefix],
    here: Option<&Config>,
) -> Result<(String, Option<String>), Failure> {
    if let Some(config) = here.filter(|config| config.site == *site) {
        return copy(args, id, config);
    }

    let new = NewGateway {
        id: id.clone(),
        site: site.clone(),
        prefixes: prefixes.to_vec(),
        listen: args
            .listen
            .unwrap_or(LISTEN.parse().expect("it is an address")),
        dns_listen: dns_listen(args),
    };
    Ok((gateway_text(&new), None))
}

fn dns_listen(args: &Add) -> Vec<SocketAddr> {
    args.dns_listen.iter().map(|listen| listen.0).collect()
}

/// A copy of the `gateway.toml` of the gateway here, adapted for the new one.
fn copy(args: &Add, id: &GatewayId, config: &Config) -> Result<(String, Option<String>), Failure> {
    let path = &config.path;
    let text =
        reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut document = parse(&text)?;

    set(document.as_table_mut(), "gateway", id.name.as_str());
    // Another host has another address, but the port may be chosen on purpose.
    let here = config.listen;
    let listen = match args.listen {
        Some(listen) => listen,
        None if here.ip().is_unspecified() => here,
        None => SocketAddr::new(
            LISTEN.parse::<SocketAddr>().map_or(here.ip(), |l| l.ip()),
            here.port(),
        ),
    };
    set(document.as_table_mut(), "listen", listen.to_string());
    set_identity(&mut document, id);
    let note = set_dns(&mut document, args, config);

    // In the copy, these are beside the file.
    for key in ["members", "state-dir", "socket"] {
        document.remove(key);
    }
    let text = document.to_string().replacen(
        &format!("Gateway {} of organization", config.id.name),
        &format!("Gateway {} of organization", id.name),
        1,
    );
    let text = with_own_comments(&text, &config.id.to_string(), &id.to_string());
    Ok((text, Some(note)))
}

/// Replaces the name of the original gateway in comments. Otherwise a commented state directory,
/// for example, would be shared once it is uncommented.
fn with_own_comments(text: &str, from: &str, to: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        if line.trim_start().starts_with('#') {
            line.replace(from, to)
        } else {
            line.to_owned()
        }
    });

    lines.collect()
}

/// The virtual addresses at which DNS is served: all gateways of the site share them.
fn shared(config: &Config) -> impl Iterator<Item = SocketAddr> {
    let listen = config.dns.listen.iter().copied();

    listen.filter(|listen| config.ha.hosts().any(|host| host == listen.ip()))
}

fn set_identity(document: &mut DocumentMut, id: &GatewayId) {
    let Some(identity) = document
        .get_mut("identity")
        .and_then(Item::as_table_like_mut)
    else {
        return;
    };

    set(identity, "record", format!("{}.member.toml", id.org));
    set(identity, "certificate", "gateway.crt");
    set(identity, "key", "gateway.key");
}

fn set_dns(document: &mut DocumentMut, args: &Add, config: &Config) -> String {
    let dns = document
        .entry("dns")
        .or_insert_with(|| Item::Table(Table::new()));
    let Some(dns) = dns.as_table_like_mut() else {
        return String::new();
    };

    let mut listen = dns_listen(args);
    for listen_too in shared(config) {
        if !listen.contains(&listen_too) {
            listen.push(listen_too);
        }
    }
    let listen: Array = listen.iter().map(ToString::to_string).collect();
    set(dns, "listen", listen);
    let mut note = format!(
        "It has the rules and names of gateway {}: change both when one changes.",
        config.id.name
    );
    if dns.remove("zone-files").is_some() {
        note.push_str(" Names in zone files stay with that one.");
    }
    note
}
