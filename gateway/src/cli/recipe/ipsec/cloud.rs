//! The variant in which the cloud's VPN gateway terminates the tunnels, and the data centre's
//! packets arrive from the VPC's router. The gateway's host needs no IPsec; what is left are
//! prefixes, routes and two checks.

use std::fmt::Write as _;

use ringway_config::{Config, Prefix};

use super::data_centre;
use crate::cli::Failure;

pub(super) fn cloud(config: &Config, wanted: Option<&str>) -> Result<String, Failure> {
    // If the site is not in the record yet, the first step adds it.
    let known = match wanted {
        None if config.passing().next().is_none() => None,
        _ => Some(data_centre(config, wanted)?),
    };
    let (name, theirs) = match known {
        None => ("idc".to_owned(), "<prefix of the data centre>".to_owned()),
        Some((_, member, site)) if member.org == config.own.org => (
            site.name.to_string(),
            list(site.prefixes.iter().map(|placed| placed.prefix)),
        ),
        Some((_, member, site)) => (
            format!("{}/{}", member.org, site.name),
            list(site.prefixes.iter().map(|placed| placed.prefix)),
        ),
    };

    let here = &config.site;
    let mut text = format!(
        "# The cloud's VPN gateway brings the data centre {name} into the VPC of {here}.\n\
         # Ringway needs its prefixes in the record, and nothing else: the gateway's host runs no\n\
         # VPN. In the VPC, with the cloud's own commands:\n\
         #\n\
         # 1. The VPN connection: two tunnels, the data centre's networks at the far end:\n"
    );
    _ = writeln!(text, "#      {theirs}");
    text.push_str(
        "#    If it asks for traffic selectors or local networks: all of those in 2, and\n\
         #    the VPC's.\n\
         # 2. Routes to the members, in the VPC's route table, to the network interface of the\n\
         #    gateway's host; and in the data centre, into the VPN:\n",
    );
    for prefix in members(config) {
        _ = writeln!(text, "#      {prefix}");
    }
    text.push_str(
        "#    The VPN gateway must use these routes too: in some clouds it has a route table of\n\
         #    its own (edge or gateway association), and in some it announces to the far end only\n\
         #    what is listed as local networks.\n\
         # 3. The host: its source and destination check is off, and its security group lets the\n\
         #    data centre's and the VPC's networks in.\n\n",
    );
    if known.is_none() {
        _ = writeln!(
            text,
            "ringway site add {name}={theirs} --via {here} -c {}",
            config.path.display()
        );
    }
    _ = write!(
        text,
        "# Then hand the record out. To check, on the gateway's host:\n\
         ringway doctor -c {path}\n\
         ip route get {example}   # by the VPC's router, not unreachable\n\
         # A traceroute from the data centre to a member shows the VPN gateway, then this host.\n\
         # Ringway cannot see the cloud's tunnels: the default route to the VPC's router stays\n\
         # when they fail, and [[announce]] has nothing to watch. Where the VPN gateway speaks\n\
         # BGP with hosts of the VPC, BIRD or FRR on this host can hear the data centre's routes\n\
         # (deploy/data-centres.md), and [[announce]] follows them.\n",
        path = config.path.display(),
        example = theirs.split('/').next().unwrap_or(&theirs),
    );
    Ok(text)
}

/// The prefixes of every site, except those served here.
fn members(config: &Config) -> Vec<Prefix> {
    let served = config.served_prefixes();
    let sites = config.records().flat_map(|record| &record.sites);
    let prefixes = sites
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix);

    prefixes.filter(|prefix| !served.contains(prefix)).collect()
}

fn list(prefixes: impl Iterator<Item = Prefix>) -> String {
    let prefixes: Vec<String> = prefixes.map(|prefix| prefix.to_string()).collect();
    prefixes.join(",")
}
