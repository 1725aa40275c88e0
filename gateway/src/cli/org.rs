//! `ringway org init`: creates an organization's CA, its first gateway's files and its member
//! record.
//!
//! ringway-config makes the texts of the files, [`ringway_identity::create`] the certificates.
//! `NewFiles` creates all of them or none.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use ringway_config::{
    Config, Digest, Edits, Endpoint, Escaped, Faults, GatewayId, GatewayName, NameError,
    NewGateway, NewMember, OrgId, Prefix, ServiceName, SiteId, ZoneName, conflicts, gateway_text,
    member_text,
};
use ringway_dns::Zone;
use ringway_identity::create::{Authority, CreateError};
use time::OffsetDateTime;

use super::ca::CaArgs;
use super::dns::{HostArg, edit};
use super::edit::{parse, set_list};
use super::new_files::NewFiles;
use super::own_record::fault;
use super::site::refuse_public;
use super::{Failure, answer, remedy};

/// The verbs of `ringway org`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Create an organization's CA, its first gateway's files and the record for the other members
    #[command(
        after_help = "Example:\n  ringway org init acme --domain consortium.example \\\n    \
        --site east=10.1.0.0/16,fd00:1::/48 --endpoint gw.acme.example:4600\n\n\
        Nothing is ever overwritten.\n\
        The gateway does not need the CA's key (ca/ca.key): move it away."
    )]
    Init(Init),
}

/// Arguments of `ringway org init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The organization: one lowercase DNS label
    pub org: OrgId,
    /// The consortium's DNS domain; the organization's zone is one label below it
    #[arg(long)]
    pub domain: ZoneName,
    /// A site and its address ranges; may be repeated, and the gateway serves the first
    #[arg(long = "site", required = true, value_name = "NAME=PREFIX[,PREFIX…]")]
    pub sites: Vec<SiteArg>,
    /// The gateway's name
    #[arg(long, default_value = "gw", value_name = "NAME")]
    pub gateway: GatewayName,
    /// Where other gateways can dial this one; may be repeated; without any, it only dials
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    pub endpoints: Vec<Endpoint>,
    /// The tunnel's address and UDP port
    #[arg(long, default_value = "0.0.0.0:4600", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where the DNS server listens; may be repeated
    #[arg(long = "dns-listen", value_name = "ADDRESS[:PORT]")]
    pub dns_listen: Vec<DnsListen>,
    /// A host of the site, for every member; may be repeated
    #[arg(long = "host", value_name = "NAME=ADDRESS[:PORT],…")]
    pub hosts: Vec<HostArg>,
    /// A service that the members may open here, in place of Fabric's; may be repeated
    #[arg(long = "allow", value_name = "SERVICE")]
    pub allow: Vec<ServiceName>,
    /// An existing CA
    #[command(flatten)]
    pub ca: CaArgs,
    /// Allow address ranges that are not private
    #[arg(long)]
    pub public: bool,
    /// Where to put the files
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub dir: PathBuf,
}

/// `name=prefix[,prefix…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteArg {
    /// The site.
    pub name: SiteId,
    /// Its ranges; never empty.
    pub prefixes: Vec<Prefix>,
}

impl FromStr for SiteArg {
    type Err = String;
    fn from_str(text: &str) -> Result<SiteArg, String> {
        let Some((name, prefixes)) = text.split_once('=') else {
            return Err(format!(
                "{text:?} is not name=prefix[,prefix…] such as east=10.1.0.0/16,fd00:1::/48"
            ));
        };

        let prefixes: Result<Vec<Prefix>, _> = prefixes.split(',').map(str::parse).collect();
        Ok(SiteArg {
            name: name.parse().map_err(|error: NameError| error.to_string())?,
            prefixes: prefixes.map_err(|error| error.to_string())?,
        })
    }
}

/// An address with a port, 53 if none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsListen(pub SocketAddr);

impl FromStr for DnsListen {
    type Err = String;
    fn from_str(text: &str) -> Result<DnsListen, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(DnsListen(SocketAddr::new(address, 53)));
        }
        match text.parse() {
            Ok(address) => Ok(DnsListen(address)),
            Err(_) => Err(format!(
                "{text:?} is not an address such as 10.1.0.1 or [fd00::1]:53"
            )),
        }
    }
}

/// Runs `ringway org`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    let Verb::Init(init) = verb;
    let now = OffsetDateTime::now_utc();
    for site in &init.sites {
        refuse_public(&site.prefixes, init.public)?;
    }
    init.refuse_second_record()?;
    let authority = match &init.ca.ca {
        Some(dir) => init.ca.read(dir)?,
        None => Authority::create(&init.org, now).context("cannot create a CA")?,
    };
    let issued = authority
        .issue(&init.id(), &init.domain, now)
        .map_err(|error| init.not_issued(error))?;
    let record = member_text(&init.member(authority.certificate()));

    // An existing CA stays where it is: its key must not be on a gateway.
    let mut files = NewFiles::in_directory(&init.dir);
    if let (None, Some(key)) = (&init.ca.ca, authority.key()) {
        files
            .directory("ca")
            .file("ca/ca.crt", authority.certificate())
            .secret("ca/ca.key", &key);
    }
    files
        .file("gateway.toml", &init.gateway_text()?)
        .file("gateway.crt", &issued.certificate)
        .secret("gateway.key", &issued.key)
        .file(&init.record_name(), &record)
        .directory("members");

    let summary = init.summary(&files, &Digest::of(record.as_bytes()));
    let config = files.path("gateway.toml");
    let edits = files.edits();
    let created = files.create()?;

    // Check before writing: wrong options must leave no files in the way of the corrected command.
    if let Err(faults) = load(&config, &edits) {
        created.remove();
        return Err(faults.into());
    }
    created.keep();

    answer(summary)
}

/// Loads the new files as `run` will, because a combination of options may be faulty. The faults
/// quote the lines, since the files are removed again.
fn load(path: &Path, edits: &Edits) -> Result<(), Faults> {
    let config = Config::load_edited(path, edits)?;
    // Checked too: the hosts may have addresses outside the sites.
    Zone::from_config(&config, 0).map_err(Faults::from)?;
    match conflicts(&config, &[], &BTreeSet::new()) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(faults),
    }
}

impl Init {
    fn id(&self) -> GatewayId {
        GatewayId {
            org: self.org.clone(),
            name: self.gateway.clone(),
        }
    }

    /// The site that the gateway serves: the first one. clap ensures that there is one.
    fn site(&self) -> &SiteArg {
        &self.sites[0]
    }

    fn record_name(&self) -> String {
        format!("{}.member.toml", self.org)
    }

    /// A new record would list only this gateway, and would cut off the others wherever it is
    /// accepted.
    fn refuse_second_record(&self) -> Result<(), Failure> {
        let name = self.record_name();
        let mut dirs = vec![self.dir.clone()];
        // With another CA, a record of that name may belong to another organization.
        if let Some(ca) = &self.ca.ca {
            dirs.extend([ca.clone(), ca.join(".."), PathBuf::from(".")]);
        }

        for dir in dirs {
            let record = dir.join(&name);
            // A symbolic link counts as existing, even a dangling one.
            if record.symlink_metadata().is_ok() {
                let message = format!(
                    "is the record of {} already, and a new one would leave its gateways out; add \
                     this one to it with ringway gateway add {} --record {}",
                    self.org,
                    self.gateway,
                    remedy::quoted(&record.display().to_string())
                );
                return Err(fault(&record, message));
            }
        }
        Ok(())
    }

    fn gateway_text(&self) -> Result<String, Failure> {
        let mut document = parse(&gateway_text(&self.new_gateway()))?;
        for host in &self.hosts {
            edit::put(&mut document, host, None)?;
        }

        // The first rule is the one for Fabric's services.
        if !self.allow.is_empty()
            && let Some(rules) = document["policy"]["allow"].as_array_of_tables_mut()
            && let Some(rule) = rules.get_mut(0)
        {
            set_list(rule, "service", &self.allow);
        }
        Ok(document.to_string())
    }

    /// Warnings about options that are valid but do not work completely.
    fn warnings(&self) -> String {
        let mut text = String::new();
        if self.endpoints.is_empty() {
            text.push_str(
                "warning: nobody can dial this gateway, which has no --endpoint; it meets only \
                 gateways that have one\n",
            );
        }
        if self.dns_listen.is_empty() {
            text.push_str(&format!(
                "warning: no DNS is served to the hosts of {}; name an address of this host with \
                 --dns-listen\n",
                self.site().name
            ));
        }
        text
    }

    fn new_gateway(&self) -> NewGateway {
        NewGateway {
            id: self.id(),
            site: self.site().name.clone(),
            prefixes: self.site().prefixes.clone(),
            listen: self.listen,
            dns_listen: self.dns_listen.iter().map(|listen| listen.0).collect(),
        }
    }

    fn member(&self, ca: &str) -> NewMember {
        let sites = self
            .sites
            .iter()
            .map(|site| (site.name.clone(), site.prefixes.clone()));
        NewMember {
            org: self.org.clone(),
            domain: self.domain.clone(),
            serial: 1,
            ca_pem: ca.to_owned(),
            sites: sites.collect(),
            gateways: vec![(
                self.gateway.clone(),
                self.site().name.clone(),
                self.endpoints.clone(),
            )],
        }
    }

    fn not_issued(&self, error: CreateError) -> Failure {
        match &self.ca.ca {
            Some(dir) => fault(dir, error.to_string()),
            None => anyhow::Error::new(error)
                .context("cannot create a certificate")
                .into(),
        }
    }

    fn summary(&self, files: &NewFiles, fingerprint: &Digest) -> String {
        // Paths relative to the user's directory, to be copied from the terminal.
        let at = |name: &str| Escaped(&files.path(name).display().to_string()).to_string();
        let record = at(&self.record_name());
        let config = at("gateway.toml");

        let authority = match &self.ca.ca {
            Some(dir) => format!("{} (unchanged)", dir.display()),
            None => format!(
                "{}  {} (move it away: the gateway does not need it)",
                at("ca/ca.crt"),
                at("ca/ca.key")
            ),
        };

        format!(
            "Organization {org} of {domain}, gateway {id}\n\
             \x20 CA           {authority}\n\
             \x20 gateway      {config}  {certificate}  {key}\n\
             \x20 record       {record}\n\
             \x20 fingerprint  {fingerprint}\n\
             {warnings}\n\
             Next:\n\
             \x20 1. Give the record to the other organizations, and its fingerprint over a second \
             channel.\n\
             \x20 2. Add their records:      ringway member add <file> -c {config} --fingerprint \
             sha256:…\n\
             \x20 3. Check everything:       ringway check -c {config}\n\
             \x20 4. Start the gateway:      ringway run -c {config}\n",
            warnings = self.warnings(),
            org = self.org,
            domain = self.domain,
            id = self.gateway,
            certificate = at("gateway.crt"),
            key = at("gateway.key"),
        )
    }
}
