//! The verbs of `ringway lab` and what they print.
//!
//! Exit codes: 0, 1 (failed), 64 (wrong command line). `exec` exits with the code of its command.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::laboratory::{Lab, Options, UpOutcome, ringway_beside_this_program};
use crate::topology::{Equipment, Extra, LabName, LabNameError, Node, Topology};
use crate::{demo, status, traffic};

/// Exit code for a wrong command line (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;

/// Name of the laboratory if none is given, except for `demo`.
const DEFAULT_NAME: &str = "ringway";

/// A consortium of three organizations on this machine, in network namespaces
#[derive(Debug, Parser)]
#[command(
    name = "ringway-lab",
    bin_name = "ringway lab",
    version,
    disable_help_subcommand = true,
    after_help = "Example:\n  ringway lab demo"
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The laboratory's name; several can be up at once [default: ringway, for demo: demo]
    #[arg(long, global = true, value_name = "NAME")]
    name: Option<LabName>,
    /// The program that the gateways run [default: the one called ringway beside this program]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RINGWAY_PROGRAM",
        hide_env = true
    )]
    ringway: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create it: three organizations, each with two nodes and a gateway, and a WAN between them
    #[command(after_help = "Example:\n  ringway lab up\n  \
                      ringway lab exec peer0.org1 -- ping -c 3 peer0.org2")]
    Up {
        /// Let the WAN forward packets with private addresses (it counts them in any case)
        #[arg(long)]
        no_wan_filter: bool,
        /// What it has besides; may be repeated
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        with: Vec<Extra>,
    },
    /// Remove it, complete or not
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
    /// Create a laboratory, show step by step what Ringway does, and remove it
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

/// Runs the verb of a parsed command line.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let name = name_or(cli.name.clone(), DEFAULT_NAME)?;

    match cli.verb {
        Verb::Up {
            no_wan_filter,
            with,
        } => up(
            name,
            Options {
                binary: ringway_or_default(cli.ringway)?,
                wan_filter: !no_wan_filter,
                equipment: with.into_iter().collect(),
            },
        ),
        Verb::Down => down(name),
        Verb::Status { json } => show(name, json),
        Verb::Exec { node, command } => exec(name, &node, &command),
        Verb::Demo => demo::run(name_or(cli.name, "demo")?, ringway_or_default(cli.ringway)?),
        Verb::Serve { label } => traffic::serve(&label).map(|()| ExitCode::SUCCESS),
        Verb::Fetch { host } => {
            print!("{}", traffic::fetch(&host)?);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Send { host, seconds } => {
            traffic::send(&host, Duration::from_secs(seconds))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn name_or(given: Option<LabName>, default: &str) -> Result<LabName, LabNameError> {
    given.map_or_else(|| default.parse(), Ok)
}

fn ringway_or_default(given: Option<PathBuf>) -> Result<PathBuf> {
    given.map_or_else(ringway_beside_this_program, Ok)
}

fn up(name: LabName, options: Options) -> Result<ExitCode> {
    let (_, outcome) = Lab::up(name.clone(), options, &mut |step| println!("{step} …"))
        .with_context(|| {
            format!(
                "the laboratory is not complete; `ringway lab down{}` removes it",
                name_option(&name)
            )
        })?;

    match outcome {
        UpOutcome::Created => println!(
            "The laboratory {name} is up. Try: ringway lab exec{} peer0.org1 -- ping peer0.org2",
            name_option(&name)
        ),
        UpOutcome::Restarted(started) if started.is_empty() => {
            println!("The laboratory {name} is up already.");
        }
        UpOutcome::Restarted(started) => println!(
            "The laboratory {name} was up; started again: {}",
            started.join(" ")
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn down(name: LabName) -> Result<ExitCode> {
    if Lab::down(name.clone())? {
        println!("The laboratory {name} is gone.");
    } else {
        println!("There is no laboratory {name}.");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: LabName, json: bool) -> Result<ExitCode> {
    let Some(lab) = Lab::open(name.clone())? else {
        return Ok(no_laboratory(&name));
    };

    let status = status::of(&lab);
    let text = if json {
        serde_json::to_string_pretty(&status)? + "\n"
    } else {
        status::table(&status)
    };
    // Unlike `print!`, this returns an error if the reader of a pipe has gone.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces this process by the command, so that signals, terminal and exit code are the command's.
fn exec(name: LabName, node: &str, command: &[String]) -> Result<ExitCode> {
    let lab = Lab::open(name.clone())?;
    let plain = Topology::of(name.clone(), Equipment::PLAIN);
    let topology = lab.as_ref().map_or(&plain, Lab::topology);
    let Some(node) = topology.find(node) else {
        eprintln!(
            "There is no machine {node}; there are {}.",
            names(&topology.nodes)
        );
        return Ok(ExitCode::from(USAGE));
    };
    if lab.is_none() {
        return Ok(no_laboratory(&name));
    }

    // `ip netns exec` also mounts the machine's resolver file over /etc/resolv.conf.
    let error = Command::new("ip")
        .args(["netns", "exec", &node.netns])
        .args(command)
        .exec();
    Err(error).context("cannot start `ip netns exec`")
}

fn no_laboratory(name: &LabName) -> ExitCode {
    eprintln!(
        "There is no laboratory {name}; `ringway lab up{}` creates it.",
        name_option(name)
    );
    ExitCode::FAILURE
}

fn names(nodes: &[Node]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.join(" ")
}

/// The option that selects the laboratory `name`, for the commands that messages suggest.
fn name_option(name: &LabName) -> String {
    match name.to_string().as_str() {
        DEFAULT_NAME => String::new(),
        other => format!(" --name {other}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn every_verb_that_is_shown_has_help_with_an_example() {
        let mut command = Cli::command();
        command.build();

        assert!(command.render_help().to_string().contains("\nExample"));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let help = verb.clone().render_help().to_string();
            let example = format!("\nExample:\n  ringway lab {}", verb.get_name());
            assert!(help.contains(&example), "{help}");
        }
    }
}
