//! [`Survey`]: the content of each of a gateway's files by itself, whatever faults the other files
//! have. A reload that is refused takes rights away by it (see [`mod@crate::meet`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{Config, CrlPolicy, Member, Newest, Nodes, OrgId, Policy};

/// What could be read of a gateway's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Every record without faults, that of this organization included.
    pub records: Vec<Member>,
    /// The organizations, by their files' names, whose records have faults or cannot be read.
    pub unread: BTreeSet<String>,
    /// The members directory could be read: an organization without a file is no member.
    pub is_listed: bool,
    /// The rules, if nothing is wrong in them.
    pub policy: Option<Policy>,
    /// What is expected of revocation lists, if nothing is wrong in `gateway.toml` itself.
    pub crl: Option<CrlPolicy>,
    /// The attached nodes, if nothing is wrong in their blocks.
    pub nodes: Option<Nodes>,
    /// This organization, as `gateway.toml` names it.
    pub own: Option<OrgId>,
    /// The file of this organization's record.
    pub record: Option<PathBuf>,
    /// Where the other organizations' records lie.
    pub members_dir: Option<PathBuf>,
    /// Where the daemon keeps its state.
    pub state_dir: Option<PathBuf>,
}

impl Survey {
    /// Reads the files of the gateway whose file is `path`. Where that file does not say where the
    /// records lie, they are looked for where those of `current` lie.
    pub fn read(path: &Path, current: Option<&Config>) -> Survey {
        crate::file::survey(path, current)
    }

    /// Takes a members directory that has become empty for one that cannot be read, unless every
    /// member was removed. `newest` is what this gateway has accepted.
    pub fn doubt_emptiness(&mut self, own: &OrgId, newest: &Newest) {
        let is_empty = self.records.iter().all(|record| record.org == *own)
            && self.unread.iter().all(|org| org == own.as_str());
        let dir = self.members_dir.as_deref().unwrap_or(Path::new(""));

        if is_empty && newest.vanished(own, dir).is_some() {
            self.is_listed = false;
        }
    }

    /// The records of `org`. There are several only if that is one of the faults.
    pub fn records_of(&self, org: &OrgId) -> impl Iterator<Item = &Member> {
        self.records.iter().filter(move |record| record.org == *org)
    }

    /// True if `org` has no record any more: not if its record only cannot be read.
    pub fn lacks(&self, org: &OrgId) -> bool {
        self.is_listed
            && self.records_of(org).next().is_none()
            && !self.unread.contains(org.as_str())
    }
}
