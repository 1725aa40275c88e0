//! `ringway record edit`: edits a copy of our record. The copy replaces the record only if it is
//! valid.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Member, reading};

use crate::cli::own_record::{OwnRecord, RecordFile, hand_out};
use crate::cli::{Failure, answer};

/// Runs `ringway record edit`.
pub(super) fn run(record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    // A record of version 1 is offered as version 2, with the next serial.
    let offered = own.draft()?.finish();
    let copy = copy_of(&own.path);
    disk::replace(&copy, offered.as_bytes(), Access::Owner)
        .with_context(|| format!("cannot write {}", copy.display()))?;

    loop {
        edit(&copy)?;
        let text =
            reading::read_text(&copy).with_context(|| format!("cannot read {}", copy.display()))?;
        if text == offered {
            _ = fs::remove_file(&copy);
            return answer("Nothing was changed\n");
        }

        match take(&own, &copy, text) {
            Ok(done) => {
                _ = fs::remove_file(&copy);
                return answer(done);
            }
            Err(failure) => {
                eprintln!("{failure}");
                if !again()? {
                    return Err(Failure::Usage(format!(
                        "nothing was changed; what you wrote is in {}",
                        copy.display()
                    )));
                }
            }
        }
    }
}

/// Hidden, so that no loader reads it as a record.
fn copy_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.edit"))
}

/// Runs the editor; its command may have arguments.
fn edit(copy: &Path) -> Result<(), Failure> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "vi".into());

    // The shell splits the command. The copy is passed as an argument, so that its name is not
    // parsed by the shell.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(copy)
        .status()
        .context("cannot run sh")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Usage(format!(
            "nothing was changed: {editor} failed ({status})"
        )))
    }
}

/// Checks the edited text and puts it in place of our record.
fn take(own: &OwnRecord, copy: &Path, text: String) -> Result<String, Failure> {
    // Faults refer to the copy, where the reader finds the lines.
    let written = Member::parse(&text, copy)?;
    if written.serial < own.serial {
        return Err(Failure::Usage(format!(
            "serial {} was used already; write serial = {}",
            written.serial, own.serial
        )));
    }

    let change = own.change_to(text)?;
    change.write()?;
    hand_out(&change, &[], None)
}

fn again() -> io::Result<bool> {
    print!("Nothing was changed. Go on editing? [Y/n] ");
    io::stdout().flush()?;
    let mut line = String::new();

    // At the end of the input there is no answer.
    let count = io::stdin().lock().read_line(&mut line)?;
    Ok(count > 0 && !line.trim_start().starts_with(['n', 'N']))
}
