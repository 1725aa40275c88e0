//! The link emulator as a program: `ringway-emulator <left device> <right device> [seed]`, in the
//! network namespace that routes into the two. Prints `ready`, then obeys the lines that
//! `emulator::command` lists.

use anyhow::Result;
use clap::Parser;
use ringway_tests::emulator::shell::Shell;

#[derive(Parser)]
struct Arguments {
    /// The TUN device at the left end, made here.
    left: String,
    /// The TUN device at the right end, made here.
    right: String,
    /// Decides what chance does.
    #[arg(default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let Arguments { left, right, seed } = Arguments::parse();
    Shell::new(&left, &right, seed)?.run()
}
