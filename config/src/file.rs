//! Reading `gateway.toml` and member records: text in, checked values or every fault out.
//!
//! ```text
//! bytes ─source─► TOML ─table, item─► typed values ─record, gateway, dns, policy─► one file
//!                                                  └─consortium─► Config: the files fit together
//! ```
//! Reading goes on after a fault; [`report`] keeps them all. Overlapping prefixes are not faults of
//! a file: see [`crate::overlap`] and [`crate::verdict`].

mod announce;
mod consortium;
mod crl;
mod directory;
mod dns;
mod end;
mod gateway;
mod ha;
mod home;
mod http;
mod item;
mod local_gateway;
mod nearest;
mod node;
mod nodes;
pub(crate) mod pem;
mod policy;
mod ports;
mod record;
mod remedy;
mod report;
mod source;
mod survey;
mod table;
mod transit;
mod tunnel;
mod via;
mod wireguard;
pub(crate) mod zone;

use std::path::{Path, PathBuf};

use record::Record;
use report::Report;
pub(crate) use survey::survey;

use crate::{Config, Edits, Faults, Member};

impl Config {
    /// Reads `gateway.toml` at `path`, the member record of this organization that it names, and
    /// every `*.member.toml` in its members directory. Relative paths in the file are relative to
    /// its directory.
    ///
    /// Fails with every fault of every file. Overlaps are not faults here: see [`crate::conflicts`]
    /// and [`crate::verdict`].
    pub fn load(path: &Path) -> Result<Config, Faults> {
        let report = Report::default();
        // `None` stands for a fault that was reported; see `Report`.
        let text = source::read(path, &report);
        let config = text.and_then(|text| gateway::read(&text, path, &report));
        report.conclude(config)
    }

    /// What [`Config::load`] would read once `edits` are written.
    pub fn load_edited(path: &Path, edits: &Edits) -> Result<Config, Faults> {
        let report = Report::of_edits(edits);
        let text = source::read(path, &report);
        let config = text.and_then(|text| gateway::read(&text, path, &report));
        report.conclude(config)
    }
}

/// The path of the admin socket that `gateway.toml` at `path` names.
///
/// Other faults of the file are ignored: a running daemon must be reachable to see why a reload
/// failed.
pub fn socket_of(path: &Path) -> Result<PathBuf, Faults> {
    let report = Report::default();
    let text = source::read(path, &report);
    let socket = text.and_then(|text| gateway::read_socket_path(&text, path, &report));
    report.conclude(socket)
}

/// The record in `path`. `None` only if faults were reported.
fn read_member(path: &Path, report: &Report) -> Option<Member> {
    let text = source::read(path, report)?;

    Record::read(&text, path, report)?.into_member()
}

impl Member {
    /// Reads one member record, in any directory and under any name.
    pub fn load(path: &Path) -> Result<Member, Faults> {
        Member::load_text(path).map(|(member, _)| member)
    }

    /// [`Member::load`], with the text that was read.
    pub fn load_text(path: &Path) -> Result<(Member, String), Faults> {
        let report = Report::default();
        let text = source::read(path, &report);
        let member = text.and_then(|text| {
            let record = Record::read(&text, path, &report)?;
            Some((record.into_member()?, text))
        });
        report.conclude(member)
    }

    /// What [`Member::load`] would read once `edits` are written.
    pub fn load_edited(path: &Path, edits: &Edits) -> Result<Member, Faults> {
        let report = Report::of_edits(edits);
        let text = source::read(path, &report);
        let record = text.and_then(|text| Record::read(&text, path, &report));
        report.conclude(record.and_then(Record::into_member))
    }

    /// Reads the text of a member record; `file` is the name of the file in faults.
    pub fn parse(text: &str, file: &Path) -> Result<Member, Faults> {
        let report = Report::default();
        let record = Record::read(text, file, &report);
        report.conclude(record.and_then(Record::into_member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_a_file_that_is_wrong_otherwise() {
        let path = std::env::temp_dir().join(format!("ringway-socket-{}.toml", std::process::id()));
        std::fs::write(&path, "version = 1\nsocket = \"run/x.sock\"\nunknown = 1\n").unwrap();
        let socket = socket_of(&path);
        std::fs::write(&path, "version = 1\nsocket = 1\n").unwrap();
        let faults = socket_of(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(socket.unwrap(), path.with_file_name("run/x.sock"));
        assert!(faults.to_string().contains(":2:10: "), "{faults}");
    }
}
