//! The command line: arguments and help of every verb. The work of each verb is in the file of its
//! name.
//! Exit codes: 0; 1 for a failure; 64 for a wrong command line or faults in files. Answers go to
//! stdout, errors to stderr, one per line.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Parser, Subcommand};
use ringway_config::{Config, Escaped, defaults};
use ringway_host::obstacles::is_privileged;
use serde::Serialize;

use crate::json;
use crate::logging::{Form, Level};

pub mod attach;
pub mod ca;
pub mod cert;
pub mod chaincode;
pub mod check;
mod daemon;
pub mod dns;
pub mod doctor;
pub mod drain;
mod edit;
pub mod explain;
pub mod failure;
pub mod gateway;
pub mod gather;
pub mod lab;
mod list_change;
pub mod member;
pub mod metrics;
mod new_files;
pub mod node;
pub mod org;
pub mod own_record;
pub mod plan;
pub mod policy;
pub mod purge;
pub mod recipe;
pub mod record;
pub mod reload;
mod remedy;
pub mod revoke;
pub mod role;
pub mod run;
pub mod site;
pub mod status;
pub mod table;
pub mod version;

pub use failure::Failure;

/// Joins the private networks of a blockchain consortium's organizations
#[derive(Debug, Parser)]
#[command(name = "ringway", version, disable_help_subcommand = true)]
#[command(
    after_help = "Start with: ringway org init --help, or watch all at work: ringway lab demo"
)]
pub struct Cli {
    /// The command
    #[command(subcommand)]
    pub verb: Verb,
    /// Format of the log on stderr: text or json
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        hide_possible_values = true,
        value_name = "FORM"
    )]
    pub log: Form,
    /// error, warn, info, debug, trace, or a level per module
    #[arg(
        long,
        global = true,
        env = "RINGWAY_LOG",
        hide_env = true,
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub log_level: Level,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set up an organization
    #[command(subcommand)]
    Org(org::Verb),
    /// Show, list, add and remove other organizations' records
    #[command(subcommand)]
    Member(member::Verb),
    /// Add, change and remove this organization's gateways
    #[command(subcommand)]
    Gateway(gateway::Verb),
    /// Add, change and remove this organization's sites
    #[command(subcommand)]
    Site(site::Verb),
    /// Add, list and remove the attached nodes that a gateway serves
    #[command(subcommand)]
    Node(node::Verb),
    /// Attach this host, or the network behind it, to our organization's gateways
    #[command(subcommand)]
    Attach(attach::Verb),
    /// Show, renew, request and sign certificates of this organization's gateways
    #[command(subcommand)]
    Cert(Box<cert::Verb>),
    /// Revoke a gateway or a key of this organization
    #[command(subcommand)]
    Revoke(revoke::Verb),
    /// Edit, compare and take over this organization's record
    #[command(subcommand)]
    Record(record::Verb),
    /// Check a gateway's files, exactly as `run` does before it starts
    #[command(after_help = "Example:\n  ringway check -c gateway.toml")]
    Check(Shown),
    /// Find problems of this host, with the commands that fix them
    #[command(after_help = "Example:\n  ringway doctor -c gateway.toml")]
    Doctor(Shown),
    /// Query, list, export and check zones
    #[command(subcommand)]
    Dns(dns::Verb),
    /// Print another program's configuration: a resolver's, keepalived's, BIRD's, strongSwan's
    #[command(after_help = "Examples:\n  ringway recipe unbound -c gateway.toml\n  \
        ringway recipe bird -c gateway.toml\n  ringway recipe ipsec --help\n\n\
        deploy/dns/README.md says why each line of a resolver's is there, and what was tried.")]
    Recipe(recipe::Args),
    /// Isolate the chaincode that Docker runs on this host, so that it reaches only its peer
    #[command(subcommand)]
    Chaincode(chaincode::Verb),
    /// Propose free address ranges for a new site
    #[command(after_help = "Example:\n  \
        ringway plan --pool 10.64.0.0/10 --size 20 -c gateway.toml\n\n\
        Without --pool, [plan] pools of the file count, else 10.0.0.0/8.")]
    Plan(plan::Args),
    /// Show, test and extend the rules, and list what they denied
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Explain why one host reaches another, or what stops it
    #[command(after_help = "Examples:\n  \
        ringway explain peer0 orderer0.beta.consortium.example --port 7050\n  \
        ringway explain 10.2.0.5 10.1.0.11 --port 7051 -c gateway.toml\n\n\
        One of the two is in this gateway's site. The gateway at the other end is asked about\n\
        its rules, and a TCP connection is tried. The exit code is 0 if nothing is in the way.")]
    Explain(explain::Args),
    /// Run the gateway
    #[command(after_help = "Example:\n  ringway run -c gateway.toml\n\n\
        SIGTERM drains the gateway and ends it. SIGHUP makes it read its files again; if anything\n\
        in them is wrong, only what they take away is applied.")]
    Run(run::Args),
    /// Reload the files of a running gateway, and print what has changed
    #[command(after_help = "Example:\n  ringway reload -c gateway.toml\n\n\
        If anything in the files is wrong, only what they take away is applied, and the exit\n\
        code is 64.")]
    Reload(Shown),
    /// Hand this site over to a sibling, so that the gateway can stop without packet loss
    #[command(
        after_help = "Example:\n  ringway drain -c gateway.toml && systemctl restart ringway\n\n\
        Waits until another gateway of the site is active and no packets come here any more. The\n\
        exit code is 1 if that did not happen."
    )]
    Drain(drain::Drain),
    /// Show the state of a running gateway, beginning with what needs attention
    #[command(after_help = "Examples:\n  ringway status -c gateway.toml\n  \
        ringway status --peer gw.beta\n  ringway status --check || ringway status")]
    Status(status::Args),
    /// Print whether a running gateway is the active one of its site
    #[command(after_help = "Examples:\n  ringway role -c gateway.toml\n  \
        ringway role --quiet || systemctl stop service-that-belongs-to-the-active-gateway\n\n\
        Exit code: 0 active, 1 standby, 2 if it does not answer within a second.")]
    Role(role::Args),
    /// Show a running gateway's counters in the OpenMetrics text format
    #[command(after_help = "Example:\n  ringway metrics -c gateway.toml")]
    Metrics(metrics::Args),
    /// Print everything that a helper needs, without keys and passwords
    #[command(
        after_help = "Example:\n  ringway gather -c gateway.toml >gathered.txt\n\n\
        It has names, addresses and rules: read it before you hand it out. As root it has more."
    )]
    Gather(gather::Args),
    /// Remove everything that a gateway has left in the kernel
    #[command(after_help = "Example:\n  ringway purge -c gateway.toml\n\n\
        Until then, packets to members stay unreachable rather than leave in clear.")]
    Purge(purge::Args),
    /// Run a consortium of three organizations on this machine, to try it out
    Lab(lab::Args),
    /// Print this program's version, and the protocol versions that it understands
    #[command(after_help = "Example:\n  ringway version --json")]
    Version(version::Args),
}

/// Selects the gateway.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The gateway's file; else /etc/ringway/gateway.toml, else ./gateway.toml
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = CONFIG_VARIABLE,
        hide_env = true,
        default_value_os_t = default_config(),
        hide_default_value = true
    )]
    pub path: PathBuf,
}

/// Arguments of verbs that only show something about a gateway.
#[derive(Debug, Args)]
pub struct Shown {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The environment variable that names the gateway's file.
const CONFIG_VARIABLE: &str = "RINGWAY_CONFIG";

/// The first usual file that exists; if none does, the last, so that an error names it.
fn default_config() -> PathBuf {
    let files = defaults::CONFIG_FILES.map(PathBuf::from);
    let found = files.iter().find(|file| file.exists());

    found.or(files.last()).cloned().unwrap_or_default()
}

/// The file that a command uses although the command line does not name it; for stderr.
pub fn chosen_config(matches: &ArgMatches) -> Option<String> {
    // The option belongs to the innermost verb.
    let mut verb = matches;
    while let Some((_, deeper)) = verb.subcommand() {
        verb = deeper;
    }
    // A zone file is read without any gateway.
    if let Ok(Some(_)) = verb.try_get_raw("zone_file") {
        return None;
    }
    let path = verb.try_get_one::<PathBuf>("path").ok()??;
    // Some verbs work without the file: then it was not used.
    if !path.exists() {
        return None;
    }
    let path = path.display().to_string();

    match verb.value_source("path")? {
        ValueSource::DefaultValue => Some(format!("using {}", Escaped(&path))),
        ValueSource::EnvVariable => Some(format!("using {} ({CONFIG_VARIABLE})", Escaped(&path))),
        _ => None,
    }
}

/// Writes a verb's answer to stdout. If the reader, such as `head`, stops reading, that is no
/// failure.
pub(crate) fn answer(text: impl fmt::Display) -> Result<ExitCode, Failure> {
    match write!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a verb's answer to stdout as JSON, with the version of its format.
pub(crate) fn answer_json(report: &impl Serialize) -> Result<ExitCode, Failure> {
    answer(json::document(report).map_err(anyhow::Error::from)?)
}

/// The last line of verbs that change files of the gateway `config`: how to apply the change.
pub(crate) fn how_to_apply(config: &Path) -> String {
    let config = config.display().to_string();

    format!(
        "To apply it to a running gateway: ringway reload -c {}\n",
        Escaped(&config)
    )
}

/// Fails for the file of an attached node, which holds neither members' records nor zones.
pub(crate) fn only_at_gateways(config: &Config, command: &str) -> Result<(), Failure> {
    if config.attach.is_none() {
        return Ok(());
    }

    Err(Failure::Usage(format!(
        "{} is the file of an attached node, which holds no members' records and no zones; run \
         {command} at one of its gateways (here, getent ahosts NAME asks their DNS)",
        config.path.display()
    )))
}

/// `gateway gw.acme`; or `node db1.acme` for the id `node:db1.acme`.
pub(crate) fn named(id: &str) -> String {
    match id.strip_prefix("node:") {
        Some(node) => format!("node {node}"),
        None => format!("gateway {id}"),
    }
}

/// Runs a future on this thread, for verbs with few of them.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future))
}

/// Runs the verb of the command line.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    // A daemon's exit code tells its service manager whether to start it again.
    let is_daemon = matches!(verb, Verb::Run(_) | Verb::Attach(_));

    let result = dispatch(verb);
    if is_daemon || is_privileged() {
        return result;
    }
    result.map_err(Failure::of_unprivileged)
}

fn dispatch(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Org(verb) => org::run(verb),
        Verb::Member(verb) => member::run(verb),
        Verb::Gateway(verb) => gateway::run(verb),
        Verb::Site(verb) => site::run(verb),
        Verb::Node(verb) => node::run(verb),
        Verb::Attach(verb) => attach::run(verb),
        Verb::Cert(verb) => cert::run(*verb),
        Verb::Revoke(verb) => revoke::run(verb),
        Verb::Record(verb) => record::run(verb),
        Verb::Check(args) => check::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Dns(verb) => dns::run(verb),
        Verb::Recipe(args) => recipe::run(args),
        Verb::Chaincode(verb) => chaincode::run(verb),
        Verb::Plan(args) => plan::run(args),
        Verb::Policy(verb) => policy::run(verb),
        Verb::Explain(args) => explain::run(args),
        Verb::Run(args) => run::run(args),
        Verb::Reload(args) => reload::run(args),
        Verb::Drain(args) => drain::run(args),
        Verb::Status(args) => status::run(args),
        Verb::Role(args) => role::run(args),
        Verb::Metrics(args) => metrics::run(args),
        Verb::Gather(args) => gather::run(&args),
        Verb::Purge(args) => purge::run(args),
        Verb::Lab(args) => lab::run(args),
        Verb::Version(args) => version::run(&args),
    }
}
