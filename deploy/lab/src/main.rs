//! The `ringway-lab` program, which `ringway lab` runs: parse the command line, run the verb, exit.

use std::process::ExitCode;

use clap::Parser as _;
use ringway_lab::cli::{self, Cli, USAGE};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };

    cli::run(cli).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// `--help` is an answer and goes to stdout; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed stdout or stderr.
    _ = error.print();

    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
