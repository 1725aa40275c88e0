//! The `ringway` program: parse the command line, log, run the verb, end with its exit code.
//!
//! The verbs are in [`ringway::cli`], the daemon in the modules beside it.

use std::process::ExitCode;

use clap::Parser as _;
use ringway::cli::{self, Cli};
use ringway::logging;

/// EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    logging::start(cli.log, &cli.log_level);
    match cli::run(cli.verb) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// `--help` and `--version` are answers, on stdout; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
