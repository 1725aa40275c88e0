//! Runs other programs to their end. An error names the command and contains what it printed.
//!
//! Each program runs in a process group of its own. Ctrl-C then reaches only the laboratory, which
//! removes itself with programs that must not be interrupted.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// `program` with `arguments`, ready to run.
pub fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null());
    command
}

/// Runs `command` and returns its stdout. A non-zero exit code is an error that contains its
/// stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command_line(command)))?;
    stdout_of(command, output)
}

/// Like [`output`], with `input` on the program's stdin.
///
/// `input` must be smaller than a pipe's buffer (64 KiB): it is written before anything is read.
pub fn feed(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command_line(command)))?;

    // The handle is dropped at the end of the statement: the program sees the end of its input.
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;

    // A program that fails early does not read its stdin. Its exit code explains more than our
    // broken pipe, so it is looked at first.
    let stdout = stdout_of(command, output)?;
    written
        .transpose()
        .with_context(|| format!("cannot write to {}", command_line(command)))?;
    Ok(stdout)
}

fn stdout_of(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            command_line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
fn command_line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_command_its_exit_code_and_its_stderr() {
        let mut failing = command("sh", ["-c", "echo no such thing >&2; exit 3"]);
        let text = output(&mut failing).unwrap_err().to_string();
        assert!(text.starts_with("`sh -c"), "{text}");
        assert!(text.ends_with("(exit status: 3): no such thing"), "{text}");
    }

    #[test]
    fn a_program_reads_its_input_and_its_output_is_returned() {
        let printed = feed(&mut command("cat", [""; 0]), "a\nb\n").unwrap();
        assert_eq!(printed, "a\nb\n");
    }
}
