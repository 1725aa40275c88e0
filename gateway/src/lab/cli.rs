//! `ringway lab`: its verbs, and what they print.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::laboratory::{Lab, Options, Raised};
use super::topology::{LabName, Topology};
use super::{demo, status, traffic};

/// Exit code for a wrong command line (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// A consortium of three organizations on this machine, in network namespaces.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// The laboratory's name; several can be up at once [default: ringway, for demo: demo]
    #[arg(long, global = true, value_name = "NAME")]
    name: Option<LabName>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make it: three organizations, each with two nodes and a gateway, and a WAN between them
    #[command(
        after_help = "Example:\n  ringway lab up\n  ringway lab exec peer0.org1 -- ping -c 3 peer0.org2"
    )]
    Up {
        /// Let the WAN forward packets with private addresses (it counts them in any case)
        #[arg(long)]
        no_wan_filter: bool,
    },
    /// Remove it, whatever state it is in
    #[command(after_help = "Example:\n  ringway lab down")]
    Down,
    /// Show its machines
    #[command(after_help = "Example:\n  ringway lab status --json")]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a command on one of its machines
    #[command(after_help = "Example:\n  ringway lab exec peer0.org1 -- ping -c 3 orderer0.org0")]
    Exec {
        /// A machine's name, as `lab status` shows it
        node: String,
        /// The command; its exit code is this command's
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Show all that it does, step by step, and remove it
    #[command(after_help = "Example:\n  ringway lab demo")]
    Demo,
    /// The demonstration's server
    #[command(hide = true)]
    Serve {
        #[arg(value_name = "NAME")]
        label: String,
    },
    /// The demonstration's HTTP client
    #[command(hide = true)]
    Fetch { host: String },
    /// The demonstration's throughput probe
    #[command(hide = true)]
    Send {
        host: String,
        #[arg(long, default_value_t = 2)]
        seconds: u64,
    },
}

/// Runs `ringway lab`.
pub fn run(args: Args) -> Result<ExitCode> {
    let named = |default: &str| args.name.clone().map_or_else(|| default.parse(), Ok);
    match args.verb {
        Verb::Up { no_wan_filter } => up(named("ringway")?, no_wan_filter),
        Verb::Down => down(named("ringway")?),
        Verb::Status { json } => show(named("ringway")?, json),
        Verb::Exec { node, command } => exec(named("ringway")?, &node, &command),
        Verb::Demo => demo::run(named("demo")?),
        Verb::Serve { label } => traffic::serve(&label).map(|()| ExitCode::SUCCESS),
        Verb::Fetch { host } => {
            print!("{}", traffic::fetch(&host)?);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Send { host, seconds } => {
            println!("{:.0}", traffic::send(&host, Duration::from_secs(seconds))?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn up(name: LabName, no_wan_filter: bool) -> Result<ExitCode> {
    let options = Options {
        wan_filter: !no_wan_filter,
        ..Options::of_this_program()?
    };
    let raised = Lab::up(name.clone(), options, &mut |step| println!("{step} …"));
    let (_, raised) = raised.with_context(|| {
        format!("the laboratory is not complete; `ringway lab down --name {name}` removes it")
    })?;
    match raised {
        Raised::Made => println!(
            "The laboratory {name} is up. Try: ringway lab exec{} peer0.org1 -- ping peer0.org2",
            option(&name)
        ),
        Raised::WasThere(started) if started.is_empty() => {
            println!("The laboratory {name} is up already.")
        }
        Raised::WasThere(started) => {
            println!(
                "The laboratory {name} was up; started again: {}",
                started.join(" ")
            )
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn down(name: LabName) -> Result<ExitCode> {
    match Lab::down(name.clone())? {
        true => println!("The laboratory {name} is gone."),
        false => println!("There is no laboratory {name}."),
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: LabName, json: bool) -> Result<ExitCode> {
    let Some(lab) = Lab::open(name.clone())? else {
        eprintln!(
            "There is no laboratory {name}; `ringway lab up{}` makes it.",
            option(&name)
        );
        return Ok(ExitCode::FAILURE);
    };
    let status = status::of(&lab);
    let text = match json {
        true => serde_json::to_string_pretty(&status)? + "\n",
        false => status::table(&status),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes the command: signals, terminal and exit code are then its own.
fn exec(name: LabName, node: &str, command: &[String]) -> Result<ExitCode> {
    let topology = Topology::of(name.clone());
    let Some(node) = topology.find(node) else {
        let names: Vec<_> = topology
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        eprintln!("There is no machine {node}; there are {}.", names.join(" "));
        return Ok(ExitCode::from(USAGE));
    };
    if Lab::open(name.clone())?.is_none() {
        eprintln!(
            "There is no laboratory {name}; `ringway lab up{}` makes it.",
            option(&name)
        );
        return Ok(ExitCode::FAILURE);
    }
    let error = Command::new("ip")
        .args(["netns", "exec", &node.netns])
        .args(command)
        .exec();
    Err(error).context("cannot start `ip netns exec`")
}

/// What must be typed to mean the laboratory `name`.
fn option(name: &LabName) -> String {
    match name.to_string().as_str() {
        "ringway" => String::new(),
        other => format!(" --name {other}"),
    }
}
