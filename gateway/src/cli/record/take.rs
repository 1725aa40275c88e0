//! `ringway record take`: installs a newer version of our record that another gateway of ours, or
//! the CA's host, has made.

use std::path::Path;
use std::process::ExitCode;

use ringway_config::Member;

use crate::cli::member::Fingerprint;
use crate::cli::member::add::show::changes;
use crate::cli::own_record::{OwnRecord, RecordFile, fault};
use crate::cli::{ConfigFile, Failure, answer, how_to_apply};

/// Checks the record in `file` and copies it in place of ours, byte for byte.
pub(super) fn run(
    file: &Path,
    fingerprint: Option<Fingerprint>,
    config: ConfigFile,
) -> Result<ExitCode, Failure> {
    let apply = how_to_apply(&config.path);
    let own = OwnRecord::load(&RecordFile {
        config,
        record: None,
    })?;
    // Its faults are reported with its own name.
    let (new, text) = Member::load_text(file)?;
    if let Some(Fingerprint(expected)) = fingerprint
        && expected != new.digest
    {
        let message = format!("fingerprint is {}, not {expected}", new.digest);
        return Err(fault(file, message));
    }
    if new.digest == own.member.digest {
        return answer("Nothing changes: it is the record that is here\n");
    }
    if new.serial < own.serial {
        return Err(fault(
            file,
            format!(
                "has serial {}, and the record here is newer or another one of that serial; take \
                 one with serial {} or more",
                new.serial, own.serial
            ),
        ));
    }

    let change = own.change_to(text)?;
    change.write()?;
    let mut text = changes(Some(&own.member), &change.after)?;
    text.push_str(&format!("{} is replaced.\n{apply}", own.path.display()));
    answer(text)
}
