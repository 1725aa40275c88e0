//! `ringway recipe ipsec`: connects a data centre that is reached by VPN. Either strongSwan on the
//! gateway's host terminates the tunnels, and the data centre is a site of ours `via` the gateway's
//! site; or the cloud's VPN gateway terminates them, and only prefixes and routes are to be set
//! here.
//!
//! Ringway implements no IKE. The output never contains a secret.

mod cloud;
mod form;
mod language;
mod swanctl;
mod tunnel;
mod vendor;

use std::net::IpAddr;
use std::process::ExitCode;

use ringway_config::{Config, Host, Member, Prefix, Site};

use self::form::Language;
use self::tunnel::Tunnel;
use self::vendor::Vendor;
use crate::cli::{ConfigFile, Failure, answer};

/// Arguments of `ringway recipe ipsec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data centre, `SITE` or `ORG/SITE`, if several are served here
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// The other end's public address; twice for an active and a standby tunnel
    #[arg(long = "peer", value_name = "ADDRESS")]
    pub peers: Vec<IpAddr>,
    /// Print the form for the other end's network team: huawei, h3c, cisco, fortinet, strongswan
    #[arg(long, value_enum, hide_possible_values = true, value_name = "VENDOR")]
    pub form: Option<Vendor>,
    /// Language of the form: en or zh
    #[arg(
        long,
        value_enum,
        default_value = "en",
        hide_possible_values = true,
        requires = "form"
    )]
    pub language: Language,
    /// Certificates authenticate both ends, in place of pre-shared keys
    #[arg(long)]
    pub certificate: bool,
    /// Name every network in the traffic selectors, for a device without tunnel interfaces
    #[arg(long)]
    pub policy_based: bool,
    /// The cloud's VPN gateway has the tunnels, and brings the data centre into the VPC
    #[arg(long, conflicts_with_all = ["form", "peers"])]
    pub cloud: bool,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// The values in the recipes and forms.
struct Link<'a> {
    /// The data centre, as gateway.toml names it: `idc`, or `beta/plant`.
    site: String,
    /// The same, usable in names of files and connections: `idc`, or `beta-plant`.
    label: String,
    /// Its prefixes.
    theirs: Vec<Prefix>,
    /// The prefixes that it reaches through the tunnels: those of every other site, in its
    /// families.
    ours: Vec<Network<'a>>,
    /// This gateway's public address.
    local: String,
    tunnels: Vec<Tunnel>,
    certificate: bool,
    policy_based: bool,
}

/// A prefix that the data centre reaches.
struct Network<'a> {
    prefix: Prefix,
    member: &'a Member,
    site: &'a Site,
}

/// Runs `ringway recipe ipsec`.
pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    if args.cloud {
        return answer(cloud::cloud(&config, args.site.as_deref())?);
    }

    let link = Link::of(&config, args)?;
    answer(match args.form {
        None => swanctl::here(&link),
        Some(vendor) => form::form(&link, vendor, args.language),
    })
}

impl<'a> Link<'a> {
    fn of(config: &'a Config, args: &Args) -> Result<Link<'a>, Failure> {
        let (number, member, site) = data_centre(config, args.site.as_deref())?;
        let theirs: Vec<Prefix> = site.prefixes.iter().map(|placed| placed.prefix).collect();
        let name = if member.org == config.own.org {
            site.name.to_string()
        } else {
            format!("{}/{}", member.org, site.name)
        };
        let label = name.replace('/', "-");

        Ok(Link {
            ours: networks(config, site, &theirs),
            tunnels: tunnel::tunnels(number, &args.peers)?,
            local: public_address(config),
            site: name,
            label,
            theirs,
            certificate: args.certificate,
            policy_based: args.policy_based,
        })
    }

    /// The traffic selectors of one end with these networks. If routes and tunnel interfaces
    /// decide, the selectors cover whole address families, so that a new member changes nothing.
    fn selectors(&self, networks: impl Iterator<Item = Prefix>) -> String {
        let selectors: Vec<String> = if self.policy_based {
            networks.map(|prefix| prefix.to_string()).collect()
        } else {
            let all = [(true, "0.0.0.0/0"), (false, "::/0")].into_iter();
            all.filter(|(is_v4, _)| has_family(&self.theirs, *is_v4))
                .map(|(_, prefix)| prefix.to_owned())
                .collect()
        };

        selectors.join(", ")
    }

    fn our_selectors(&self) -> String {
        self.selectors(self.ours.iter().map(|network| network.prefix))
    }

    fn their_selectors(&self) -> String {
        self.selectors(self.theirs.iter().copied())
    }
}

/// The selected data centre, and its number among those served here.
fn data_centre<'a>(
    config: &'a Config,
    wanted: Option<&str>,
) -> Result<(usize, &'a Member, &'a Site), Failure> {
    let mut found: Vec<(usize, &Member, &Site)> = config
        .passing()
        .enumerate()
        .map(|(number, (member, site))| (number, member, site))
        .collect();
    if let Some(wanted) = wanted {
        found.retain(|(_, member, site)| {
            let is_ours = member.org == config.own.org;
            (is_ours && wanted == site.name.as_str())
                || wanted == format!("{}/{}", member.org, site.name)
        });
    }

    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::Usage(format!(
            "no such site is served via {}: add it first with ringway site add {}=… --via {}",
            config.site,
            wanted.unwrap_or("idc"),
            config.site
        ))),
        _ => Err(Failure::Usage(
            "several sites are served here: name one with --site".to_owned(),
        )),
    }
}

fn networks<'a>(config: &'a Config, theirs: &Site, prefixes: &[Prefix]) -> Vec<Network<'a>> {
    let mut networks = Vec::new();
    for member in config.records() {
        for site in member.sites.iter().filter(|site| **site != *theirs) {
            let of_a_family = site
                .prefixes
                .iter()
                .map(|placed| placed.prefix)
                .filter(|prefix| has_family(prefixes, prefix.is_ipv4()));
            networks.extend(of_a_family.map(|prefix| Network {
                prefix,
                member,
                site,
            }));
        }
    }
    networks
}

fn has_family(prefixes: &[Prefix], is_v4: bool) -> bool {
    prefixes.iter().any(|prefix| prefix.is_ipv4() == is_v4)
}

/// This gateway's first public address in its record.
fn public_address(config: &Config) -> String {
    let own = config.own.gateway(&config.id.name);
    let endpoints = own.map(|own| own.endpoints.as_slice()).unwrap_or_default();
    let address = endpoints.iter().find_map(|endpoint| match endpoint.host {
        Host::Address(address) => Some(address.to_string()),
        Host::Name(_) => None,
    });

    address.unwrap_or_else(|| "<public address of the gateway>".to_owned())
}
