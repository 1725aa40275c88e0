//! [`survey`]: reads each file by itself. Faults are dropped: loading the files
//! reports them.

use std::path::Path;

use super::consortium::Consortium;
use super::crl;
use super::directory::{self, stem};
use super::gateway::{Places, VERSIONS};
use super::local_gateway::LocalGateway;
use super::nodes;
use super::policy;
use super::record::Record;
use super::report::Report;
use super::source::{self, Source};
use super::table::Table;
use crate::{Config, CrlPolicy, Member, Nodes, Policy, Survey, keys};

/// See [`Survey::read`].
pub(crate) fn survey(path: &Path, current: Option<&Config>) -> Survey {
    let text = source::read(path, &Report::default()).unwrap_or_default();
    let places = read_places(&text, path).unwrap_or_default();
    // A file that cannot be read names no record. The one of before may still take rights away.
    let record = places
        .record
        .or_else(|| current.map(|current| current.own.place.file.to_path_buf()));
    let members_dir = places
        .members_dir
        .or_else(|| current.map(|current| current.members_dir.clone()));

    let mut survey = Survey {
        policy: read_policy(&text, path, record.as_deref(), members_dir.as_deref()),
        crl: read_crl(&text, path),
        nodes: read_nodes(&text, path),
        own: places.own,
        state_dir: places.state_dir,
        ..Survey::default()
    };
    if let Some(record) = &record {
        survey.take(record);
    }
    if let Some(dir) = &members_dir {
        survey.take_members(dir, record.as_deref());
    }
    survey.record = record;
    survey.members_dir = members_dir;

    survey
}

fn read_places(text: &str, path: &Path) -> Option<Places> {
    let report = Report::default();
    let source = Source::new(text, path, &report);
    let document = source.parse()?;
    let (table, _) = Table::document(&source, &document, VERSIONS, &keys::gateway::VERSION)?;

    Some(Places::read(&table, path))
}

fn read_crl(text: &str, path: &Path) -> Option<CrlPolicy> {
    let report = Report::default();
    let source = Source::new(text, path, &report);
    let document = source.parse()?;
    let (table, _) = Table::document(&source, &document, VERSIONS, &keys::gateway::VERSION)?;

    let before = report.len();
    let crl = crl::read(&table);
    (report.len() == before && !report.is_full()).then_some(crl)
}

/// The attached nodes, wherever their prefixes lie.
fn read_nodes(text: &str, path: &Path) -> Option<Nodes> {
    let report = Report::default();
    let source = Source::new(text, path, &report);
    let document = source.parse()?;
    let (table, _) = Table::document(&source, &document, VERSIONS, &keys::gateway::VERSION)?;

    let before = report.len();
    let listed = nodes::read_inside(&table, None, &report);
    (report.len() == before && !report.is_full()).then_some(listed.nodes)
}

/// The rules, unless one has a fault: what it allows is not known.
fn read_policy(
    text: &str,
    path: &Path,
    record: Option<&Path>,
    members_dir: Option<&Path>,
) -> Option<Policy> {
    let report = Report::default();
    let source = Source::new(text, path, &report);
    let document = source.parse()?;
    let (table, _) = Table::document(&source, &document, VERSIONS, &keys::gateway::VERSION)?;
    let local = LocalGateway::read(&table);
    let consortium = Consortium::read(record, members_dir, &Report::default());

    // Faults elsewhere in the file do not concern the rules.
    let nodes = nodes::read_inside(&table, None, &report);
    let before = report.len();
    let policy = policy::read(&table, &local, &consortium, &nodes);
    (report.len() == before && !report.is_full()).then_some(policy)
}

impl Survey {
    /// Adds the record in `path`, or that it cannot be read.
    fn take(&mut self, path: &Path) {
        match read_whole(path) {
            Some(member) => self.records.push(member),
            None => self.unread.extend(stem(path).map(str::to_owned)),
        }
    }

    fn take_members(&mut self, dir: &Path, own: Option<&Path>) {
        let Some(listing) = directory::list(dir, &Report::default()) else {
            return;
        };

        self.is_listed = true;
        for path in &listing.records {
            // Our record may lie among the others.
            if Some(path.as_path()) != own {
                self.take(path);
            }
        }
        // A record under another name is a fault, and its organization a member all the same.
        let strays = listing.strays.iter();
        self.records
            .extend(strays.filter_map(|path| read_whole(path)));
    }
}

fn read_whole(path: &Path) -> Option<Member> {
    let report = Report::default();
    let text = source::read(path, &report)?;
    let record = Record::read(&text, path, &report)?;

    record.whole.then(|| record.into_member()).flatten()
}
