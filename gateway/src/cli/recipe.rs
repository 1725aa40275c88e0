//! `ringway recipe`: prints the configuration of another program for this site, with the values of
//! this consortium. Resolvers forward the consortium's names to the gateways; deploy/dns explains
//! each line, with example values. keepalived, BIRD and FRR direct the site's hosts and routers to
//! the gateways. strongSwan connects data centres (`ipsec`).

mod chaincode;
mod cloud;
mod ipsec;
mod keepalived;
mod local;
mod reverse;
mod routing;

use std::net::IpAddr;
use std::process::ExitCode;

use ringway_config::{Config, Prefix};

use super::{ConfigFile, Failure, answer};

/// A program of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum For {
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
    /// keepalived, for the virtual addresses
    Keepalived,
    /// BIRD 2, for the site's routers
    Bird,
    /// FRR on a router of the site, which hears BIRD of the gateways
    Frr,
}

/// Arguments of `ringway recipe`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// The program: a resolver of this site, or what moves its hosts to the active gateway
    #[arg(value_name = "PROGRAM", required = true)]
    pub program: Option<For>,
    /// What has options of its own
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// The DNS address of another gateway of this site; may be repeated
    #[arg(long = "server", value_name = "ADDRESS")]
    pub servers: Vec<IpAddr>,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Recipes with options of their own.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// strongSwan towards a data centre's VPN device, and the form for its network team
    #[command(after_help = "Examples:\n  \
        ringway recipe ipsec --peer 198.51.100.20 --peer 198.51.100.21 -c gateway.toml\n  \
        ringway recipe ipsec --form huawei --language zh -c gateway.toml\n  \
        ringway recipe ipsec --cloud -c gateway.toml\n\n\
        deploy/data-centres.md says which way fits, and what was tried.")]
    Ipsec(ipsec::Args),
    /// Kubernetes' NetworkPolicy for chaincode: its peer, and nothing else
    #[command(after_help = "Examples:\n  \
        ringway recipe chaincode builder-k8s --peer app=peer0 --namespace fabric\n  \
        ringway recipe chaincode ccaas --chaincode app=basic --peer app=peer0 --port 9999\n\n\
        Apply it with kubectl before chaincode is installed. It knows no gateway.")]
    Chaincode(chaincode::Args),
}

/// The values in a resolver's recipe.
struct Names {
    domain: String,
    /// The reverse zones of all prefixes, such as `1.10.in-addr.arpa`.
    reverse: Vec<String>,
    prefixes: Vec<Prefix>,
    /// The DNS addresses of this site's gateways.
    servers: Vec<IpAddr>,
}

/// Runs `ringway recipe`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match &args.verb {
        Some(Verb::Ipsec(args)) => return ipsec::run(args),
        Some(Verb::Chaincode(args)) => return chaincode::run(args),
        None => {}
    }
    let config = Config::load(&args.config.path)?;
    let servers = &args.servers;
    // Without a subcommand, the program is required.
    let Some(program) = args.program else {
        return Err(Failure::Usage("name a program".into()));
    };

    // Only resolvers need the gateways' addresses.
    answer(match program {
        For::Unbound => local::unbound(&Names::of(&config, servers)?),
        For::Bind => local::bind(&Names::of(&config, servers)?),
        For::Dnsmasq => local::dnsmasq(&Names::of(&config, servers)?),
        For::Coredns => local::coredns(&Names::of(&config, servers)?),
        For::Resolved => local::resolved(&Names::of(&config, servers)?),
        For::Route53 => cloud::route53(&Names::of(&config, servers)?),
        For::Azure => cloud::azure(&Names::of(&config, servers)?),
        For::Clouddns => cloud::clouddns(&Names::of(&config, servers)?),
        For::Privatezone => cloud::privatezone(&Names::of(&config, servers)?),
        For::Keepalived => keepalived::keepalived(&config, &Program::this(&args)?),
        For::Bird => routing::bird(&config),
        For::Frr => routing::frr(&config),
    })
}

/// The command by which another program starts this one.
struct Program {
    path: String,
    config: String,
}

impl Program {
    fn this(args: &Args) -> Result<Program, Failure> {
        let path = std::env::current_exe()?;
        let config = std::path::absolute(&args.config.path)?;

        Ok(Program {
            path: path.display().to_string(),
            config: config.display().to_string(),
        })
    }
}

impl Names {
    fn of(config: &Config, more: &[IpAddr]) -> Result<Names, Failure> {
        // A resolver uses port 53 unless its recipe says otherwise.
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
