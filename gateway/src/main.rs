//! The program `ringway`: parses the command line, starts the log, runs the verb and exits with its
//! code.
//!
//! The verbs are in [`ringway::cli`]; [`ringway::run`] is the daemon.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use ringway::cli::{self, Cli};
use ringway::{capabilities, logging};

/// EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };

    logging::start(cli.log, &cli.log_level);
    // Before there is a second thread: each has rights of its own.
    capabilities::pass_on();
    // A reader of stderr that has gone is no reason to fail.
    if let Some(chosen) = cli::chosen_config(&matches) {
        _ = writeln!(io::stderr(), "{chosen}");
    }
    match cli::run(cli.verb) {
        Ok(code) => code,
        Err(failure) => {
            _ = writeln!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

/// Prints the help, the version, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    _ = error.print();
    // Help and version go to stdout: they are answers, not errors.
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
