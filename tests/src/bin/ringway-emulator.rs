//! The link emulator as a program: `ringway-emulator <left device> <right device> [seed]`.
//!
//! It runs in the network namespace that routes into the two devices. It prints `ready`, then
//! applies the commands that `emulator::command` lists.

use anyhow::Result;
use clap::Parser;
use ringway_tests::emulator::shell::Shell;

#[derive(Parser)]
struct Arguments {
    /// Name of the TUN device to create at the left end
    left: String,
    /// Name of the TUN device to create at the right end
    right: String,
    /// Determines all that is random
    #[arg(default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let Arguments { left, right, seed } = Arguments::parse();
    Shell::new(&left, &right, seed)?.run()
}
