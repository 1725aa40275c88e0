//! Writes the manual pages and the shells' completions of `ringway` into a directory, made from the
//! command line itself.
//!
//! ```sh
//! cargo run --example manual -- target/manual
//! ```

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use ringway::cli::Cli;

fn main() -> io::Result<ExitCode> {
    let Some(dir) = env::args_os().nth(1) else {
        eprintln!("usage: manual DIRECTORY");
        return Ok(ExitCode::FAILURE);
    };
    let dir = Path::new(&dir);
    let pages = dir.join("man1");
    let completions = dir.join("completions");
    // What a verb of another version has left is no part of the package.
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;

    clap_mangen::generate_to(command(), &pages)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command(), "ringway", &completions)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every verb. Those that help on others have no pages of their own.
fn command() -> clap::Command {
    without_help(Cli::command())
}

fn without_help(command: clap::Command) -> clap::Command {
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();

    let command = command.disable_help_subcommand(true);
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, without_help)
    })
}
