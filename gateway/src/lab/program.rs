//! Runs other programs to their end, with errors that say which one failed and what it said.
//!
//! Programs get their own process group: Ctrl-C reaches the laboratory, which then takes itself down with
//! programs that must not be interrupted themselves.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// `program` with `arguments`.
pub fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null());
    command
}

/// Runs `command` and returns what it printed; anything but exit code 0 is an error with its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    text(command, output)
}

/// Runs `command` with `input` on its stdin.
pub fn feed(command: &mut Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    // All inputs here are smaller than a pipe's buffer (64 KiB), so that this cannot block on the child.
    // A program that leaves early closes its stdin; its exit code says more than our broken pipe.
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    let text = text(command, output)?;
    written
        .transpose()
        .with_context(|| format!("cannot write to {}", line(command)))?;
    Ok(text)
}

fn text(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            line(command),
            output.status,
            stderr.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            output(&mut command("sh", ["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("`sh -c") && text.ends_with("(exit status: 3): no such thing"),
            "{text}"
        );
    }

    #[test]
    fn a_program_is_fed_and_heard() {
        assert_eq!(
            feed(&mut command("cat", [""; 0]), "a\nb\n").unwrap(),
            "a\nb\n"
        );
    }
}
