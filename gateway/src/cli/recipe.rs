//! `ringway recipe`: the configuration of a resolver that asks the gateways for the consortium's
//! names, with this consortium's domain, reverse zones and servers. deploy/dns has the same with
//! example values, and why each line is there.

mod cloud;
mod local;
mod reverse;

use std::net::IpAddr;
use std::process::ExitCode;

use ringway_config::{Config, Prefix};

use super::{ConfigFile, Failure, answer};

/// A resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Resolver {
    /// unbound
    Unbound,
    /// BIND
    Bind,
    /// dnsmasq
    Dnsmasq,
    /// CoreDNS, as in Kubernetes
    Coredns,
    /// systemd-resolved
    Resolved,
    /// Amazon Route 53 Resolver
    Route53,
    /// Azure DNS Private Resolver
    Azure,
    /// Google Cloud DNS
    Clouddns,
    /// Alibaba Cloud PrivateZone
    Privatezone,
}

/// Arguments of `ringway recipe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resolver of this site
    pub resolver: Resolver,
    /// The DNS address of another gateway of this site; may be repeated
    #[arg(long = "server", value_name = "ADDRESS")]
    pub servers: Vec<IpAddr>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// What a recipe needs.
struct Names {
    domain: String,
    /// `1.10.in-addr.arpa`, for every prefix of the consortium.
    reverse: Vec<String>,
    prefixes: Vec<Prefix>,
    /// The gateways of this site.
    servers: Vec<IpAddr>,
}

/// Runs `ringway recipe`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    let names = Names::of(&config, &args.servers)?;
    answer(match args.resolver {
        Resolver::Unbound => local::unbound(&names),
        Resolver::Bind => local::bind(&names),
        Resolver::Dnsmasq => local::dnsmasq(&names),
        Resolver::Coredns => local::coredns(&names),
        Resolver::Resolved => local::resolved(&names),
        Resolver::Route53 => cloud::route53(&names),
        Resolver::Azure => cloud::azure(&names),
        Resolver::Clouddns => cloud::clouddns(&names),
        Resolver::Privatezone => cloud::privatezone(&names),
    })
}

impl Names {
    fn of(config: &Config, more: &[IpAddr]) -> Result<Names, Failure> {
        // A resolver asks port 53 unless each recipe says otherwise.
        let own = config
            .dns
            .listen
            .iter()
            .filter(|listen| listen.port() == 53);
        let mut servers: Vec<IpAddr> = own.map(|listen| listen.ip()).collect();
        servers.extend(more);
        if servers.is_empty() {
            return Err(Failure::Usage(
                "no gateway is known that answers at port 53: set [dns] listen, or name one with \
                 --server"
                    .into(),
            ));
        }

        let sites = config.records().flat_map(|record| &record.sites);
        let mut prefixes: Vec<Prefix> = sites
            .flat_map(|site| &site.prefixes)
            .map(|placed| placed.prefix)
            .collect();
        prefixes.sort();
        prefixes.dedup();
        let mut reverse: Vec<String> = prefixes.iter().flat_map(reverse::zones).collect();
        reverse.dedup();

        Ok(Names {
            domain: config.own.domain.to_string(),
            reverse,
            prefixes,
            servers,
        })
    }

    /// The domain and the reverse zones.
    fn zones(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.domain.as_str()).chain(self.reverse.iter().map(String::as_str))
    }

    /// One line for each zone.
    fn lines(&self, line: impl Fn(&str) -> String) -> String {
        self.zones().map(line).collect()
    }

    fn servers(&self, separator: &str) -> String {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        servers.join(separator)
    }
}
