//! Zone files (RFC 1035, section 5; `$TTL` of RFC 2308, section 4; unknown types of RFC 3597): text
//! to records or a [`Zone`], every fault with its line and column.
//!
//! Data of types whose fields this crate knows is read field by field; that of others must have the
//! generic form of RFC 3597. `include` decides which files `$INCLUDE` may open; a text that is not
//! from a file may open none.

mod data;
mod field;
mod generate;
mod head;
mod include;
mod lexer;
mod location;
mod prefixes;
mod service;
mod ttl;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use include::Files;
use include::Unread;
use lexer::{Entry, Token};
use ringway_config::{self as config, Fault};

use crate::draft::{Draft, ZoneError};
use crate::lint::refuse_delegations;
use crate::name::{Name, wire_from_text};
use crate::own::soa;
use crate::rdata::kind;
use crate::replica::check_counts;
use crate::reverse::take_in;
use crate::source::{Record, Sources, merge};
use crate::zone::Zone;

/// A fault in a zone file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ZoneFileError {
    /// The line of the fault; 0 if it is about the file as a whole.
    pub line: u32,
    /// The column in characters.
    pub column: u32,
    /// The fault, and what to do about it where that is clear.
    pub message: String,
}

impl Zone {
    /// Parses the text of a zone file. The owner of the SOA record is the apex; `origin` completes
    /// relative names. A duplicate record counts once.
    pub fn from_text(text: &str, origin: Option<&Name>) -> Result<Zone, Vec<ZoneFileError>> {
        let file = Arc::new(PathBuf::new());
        let mut reader = Reader::new(file.clone(), origin, None, None);
        reader.read_text(text);

        let Reader {
            records, faults, ..
        } = reader;
        let soa = records
            .iter()
            .find(|record| record.kind == kind::SOA)
            .map(|soa| soa.owner);
        let zone = match soa {
            Some(apex) => finish(apex, &file, faults, |draft| add_all(draft, records)),
            None => Err(without_soa(faults, &file)),
        };

        zone.map_err(|faults| faults.into_iter().map(ZoneFileError::from).collect())
    }

    /// Reads the zone file at `path` and the files that it includes; also returns the place of each
    /// record. The owner of the SOA record is the apex; `origin` completes relative names. A file
    /// without SOA and TTLs is a zone at `origin`, as if `gateway.toml` named the file.
    ///
    /// Stricter than [`Zone::from_text`], as for our zone: duplicate records are faults, and the
    /// zone must be small enough for other gateways to accept.
    pub fn from_file(path: &Path, origin: Option<&Name>) -> Result<(Zone, Sources), Vec<Fault>> {
        let (mut records, faults) = read_file(
            path,
            origin,
            origin.map(|_| DEFAULT_TTL),
            &mut Files::default(),
        );
        // That the SOA is missing too would only be a consequence.
        if records.is_empty() && !faults.is_empty() {
            return Err(faults);
        }

        let file = Arc::new(path.to_owned());
        let stated = records
            .iter()
            .find(|record| record.kind == kind::SOA)
            .map(|soa| soa.owner);
        let Some(apex) = stated.or(origin.copied()) else {
            return Err(without_soa(faults, &file));
        };

        take_in(&mut records, &apex);
        let zone = finish(apex, &file, faults, |draft| {
            let mut faults = refuse_delegations(&records, &apex);
            if stated.is_none()
                && let Err(error) = add_soa(draft, &apex)
            {
                faults.push(START.fault_in(&file, error.to_string()));
            }
            faults.extend(merge(draft, &records));

            // Other gateways refuse a zone with more records or names than this.
            if let Err(error) = check_counts(draft.records(), draft.names()) {
                faults.push(START.fault_in(&file, error.to_string()));
            }
            faults
        })?;

        Ok((zone, Sources::of(records)))
    }
}

/// The TTL of records without one, as in `[dns]`.
const DEFAULT_TTL: u32 = 5;

/// Adds `records` to `draft`; returns a fault for each that the zone cannot have.
fn add_all(draft: &mut Draft, records: Vec<Record>) -> Vec<Fault> {
    let mut faults = Vec::new();
    // By value: the data of each record is freed once the draft has its copy.
    for record in records {
        if let Err(error) = draft.add(&record.owner, record.kind, record.ttl, &record.data) {
            faults.push(Fault {
                place: record.place,
                message: error.to_string(),
            });
        }
    }

    faults
}

fn add_soa(draft: &mut Draft, apex: &Name) -> Result<(), ZoneError> {
    draft.add(apex, kind::SOA, DEFAULT_TTL, &soa(apex, apex, DEFAULT_TTL)?)
}

fn without_soa(mut faults: Vec<Fault>, file: &Arc<PathBuf>) -> Vec<Fault> {
    faults.push(START.fault_in(file, "the file has no SOA record that can be read"));
    faults
}

/// The zone at `apex` with the records that `fill` adds, or all faults.
fn finish(
    apex: Name,
    file: &Arc<PathBuf>,
    mut faults: Vec<Fault>,
    fill: impl FnOnce(&mut Draft) -> Vec<Fault>,
) -> Result<Zone, Vec<Fault>> {
    let mut draft = Draft::new(apex);
    faults.extend(fill(&mut draft));
    if !faults.is_empty() {
        return Err(faults);
    }

    draft
        .finish()
        .map_err(|error| vec![START.fault_in(file, error.to_string())])
}

/// All records and faults of the file at `path` and of those that it includes. `ttl` applies until
/// a file states one.
pub(crate) fn read_file(
    path: &Path,
    origin: Option<&Name>,
    ttl: Option<u32>,
    files: &mut Files,
) -> (Vec<Record>, Vec<Fault>) {
    let file = Arc::new(path.to_owned());
    match files.read(path) {
        Ok(text) => {
            let mut reader = Reader::new(file, origin, ttl, Some(files));
            reader.read_text(&text);
            (reader.records, reader.faults)
        }
        Err(Unread {
            at: Some(at),
            message,
        }) => (Vec::new(), vec![at.fault_in(&file, message)]),
        // Not even opened, so that there is no line to name.
        Err(Unread { at: None, message }) => (
            Vec::new(),
            vec![Fault {
                place: config::Place::whole(path),
                message,
            }],
        ),
    }
}

/// Parses the type and the data of one record in presentation format.
pub(crate) fn read_data(kind: &str, data: &str, origin: &Name) -> Result<(u16, Vec<u8>), String> {
    let kind = data::kind(&Token {
        at: START,
        text: kind,
        quoted: false,
    })
    .map_err(|fault| fault.message)?;

    let mut entries = lexer::entries(data);
    let entry = entries.next().transpose().map_err(|fault| fault.message)?;
    if entries.next().is_some() {
        return Err("the data goes on in a second line; join them by parentheses".into());
    }

    let tokens = entry.map(|entry| entry.tokens).unwrap_or_default();
    let data =
        data::parse(START, kind, &tokens, Some(origin.as_wire())).map_err(|fault| fault.message)?;
    Ok((kind, data))
}

/// The place of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u32,
    column: u32,
}

/// The start of a file.
const START: Place = Place { line: 1, column: 1 };

impl Place {
    fn fault(self, message: impl Into<String>) -> ZoneFileError {
        ZoneFileError {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }

    fn fault_in(self, file: &Arc<PathBuf>, message: impl Into<String>) -> Fault {
        Fault {
            place: self.in_file(file),
            message: message.into(),
        }
    }

    fn in_file(self, file: &Arc<PathBuf>) -> config::Place {
        config::Place::at(file.clone(), self.line, self.column)
    }
}

impl From<Fault> for ZoneFileError {
    fn from(Fault { place, message }: Fault) -> ZoneFileError {
        ZoneFileError {
            line: place.position.map_or(0, |position| position.line),
            column: place.position.map_or(0, |position| position.column),
            message,
        }
    }
}

/// Reads files one after another.
struct Reader<'f> {
    file: Arc<PathBuf>,
    scope: Scope,
    /// `None` if the text is not from a file.
    files: Option<&'f mut Files>,
    records: Vec<Record>,
    faults: Vec<Fault>,
}

/// What earlier entries of a file set for later ones.
#[derive(Clone)]
struct Scope {
    origin: Option<Vec<u8>>,
    /// What `$TTL` said.
    default_ttl: Option<u32>,
    /// What the last record with a TTL said.
    last_ttl: Option<u32>,
    /// What applies if neither is there.
    fallback_ttl: Option<u32>,
    last_owner: Option<Name>,
}

impl<'f> Reader<'f> {
    fn new(
        file: Arc<PathBuf>,
        origin: Option<&Name>,
        fallback_ttl: Option<u32>,
        files: Option<&'f mut Files>,
    ) -> Reader<'f> {
        let origin = origin.map(|origin| origin.as_wire().to_vec());
        let scope = Scope {
            origin,
            default_ttl: None,
            last_ttl: None,
            fallback_ttl,
            last_owner: None,
        };

        Reader {
            file,
            scope,
            files,
            records: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn read_text(&mut self, text: &str) {
        for entry in lexer::entries(text) {
            // Goes on after a fault, so that one attempt shows them all.
            if let Err(fault) = entry.and_then(|entry| self.read(&entry)) {
                let at = Place {
                    line: fault.line,
                    column: fault.column,
                };
                self.faults.push(at.fault_in(&self.file, fault.message));
            }
        }
    }

    fn read(&mut self, entry: &Entry<'_>) -> Result<(), ZoneFileError> {
        let [first, rest @ ..] = &entry.tokens[..] else {
            return Ok(());
        };

        // RFC 1035, section 5.1: a line that starts with blanks continues the last owner.
        if entry.indented {
            return self.read_record(first.at, &entry.tokens);
        }
        // A quoted or escaped dollar sign begins a name.
        if first.quoted || !first.text.starts_with('$') {
            let wire = name(first, self.scope.origin.as_deref())?;
            self.scope.last_owner = Name::from_wire(&wire).ok().map(|(owner, _)| owner);
            return self.read_record(first.at, rest);
        }

        match (first.text.to_ascii_uppercase().as_str(), rest) {
            ("$ORIGIN", [origin]) => {
                self.scope.origin = Some(name(origin, self.scope.origin.as_deref())?)
            }
            ("$TTL", [ttl]) => {
                self.scope.default_ttl = Some(ttl::read(ttl)?);
            }
            ("$INCLUDE", [file]) => self.include(file, None)?,
            ("$INCLUDE", [file, origin]) => self.include(file, Some(origin))?,
            ("$GENERATE", [range, owner, record @ ..]) => self.generate(range, owner, record)?,
            _ => {
                let known = "only $ORIGIN <name>, $TTL <time>, $INCLUDE <file> [<name>] and \
                             $GENERATE <range> <record> can stand here";
                return Err(first.at.fault(known));
            }
        }

        Ok(())
    }

    /// Reads an included file. Its `$ORIGIN`, `$TTL` and owners hold for that file only.
    fn include(
        &mut self,
        named: &Token<'_>,
        origin: Option<&Token<'_>>,
    ) -> Result<(), ZoneFileError> {
        let Some(files) = &mut self.files else {
            return Err(named.at.fault("$INCLUDE is allowed in files only"));
        };
        let origin = origin
            .map(|origin| name(origin, self.scope.origin.as_deref()))
            .transpose()?;

        let (path, text) = files
            .include(&self.file, named.text)
            .map_err(|error| named.at.fault(error))?;

        // RFC 1035, section 5.1: an included file never changes the origin of the including one.
        let outer_file = std::mem::replace(&mut self.file, Arc::new(path));
        let outer_scope = self.scope.clone();
        self.scope.origin = origin.or(self.scope.origin.take());
        self.read_text(&text);

        if let Some(files) = &mut self.files {
            files.close();
        }
        self.file = outer_file;
        self.scope = outer_scope;
        Ok(())
    }

    /// Reads `owner` and `record` once for each number of the range.
    fn generate(
        &mut self,
        range: &Token<'_>,
        owner: &Token<'_>,
        record: &[Token<'_>],
    ) -> Result<(), ZoneFileError> {
        let numbers = generate::range(range.text).map_err(|error| range.at.fault(error))?;
        for number in numbers {
            let owner = expanded(owner, number)?;
            let wire = name(&owner.token(), self.scope.origin.as_deref())?;
            self.scope.last_owner = Name::from_wire(&wire).ok().map(|(owner, _)| owner);

            let record: Result<Vec<_>, _> =
                record.iter().map(|token| expanded(token, number)).collect();
            let record = record?;
            let tokens: Vec<_> = record.iter().map(Expanded::token).collect();
            self.read_record(owner.at, &tokens)?;
        }

        Ok(())
    }

    /// `[<TTL>] [<class>] <type> <data>`, TTL and class in either order.
    fn read_record(&mut self, at: Place, mut tokens: &[Token<'_>]) -> Result<(), ZoneFileError> {
        let scope = &mut self.scope;
        let owner = scope
            .last_owner
            .ok_or_else(|| at.fault("the first record needs an owner"))?;

        let head = head::read(at, &mut tokens)?;
        let kind = head.kind;
        let ttl = head.ttl;

        let data = data::parse(at, kind, tokens, scope.origin.as_deref())?;
        // RFC 2308, section 4: in files older than $TTL, the SOA's MINIMUM is the default TTL.
        let minimum = data
            .last_chunk()
            .filter(|_| kind == kind::SOA)
            .map(|number| u32::from_be_bytes(*number));

        // RFC 1035, section 5.1: without $TTL, the last TTL that was stated.
        scope.last_ttl = ttl.or(scope.last_ttl).or(minimum);
        let ttl = ttl
            .or(scope.default_ttl)
            .or(scope.last_ttl)
            .or(scope.fallback_ttl);
        let ttl =
            ttl.ok_or_else(|| at.fault("no TTL is given, neither here nor before; write $TTL 5"))?;

        self.records.push(Record {
            owner,
            kind,
            ttl,
            data,
            place: at.in_file(&self.file),
        });
        Ok(())
    }
}

/// A token of a template with a number in it.
struct Expanded {
    at: Place,
    text: String,
    quoted: bool,
}

impl Expanded {
    fn token(&self) -> Token<'_> {
        Token {
            at: self.at,
            text: &self.text,
            quoted: self.quoted,
        }
    }
}

fn expanded(token: &Token<'_>, number: u32) -> Result<Expanded, ZoneFileError> {
    Ok(Expanded {
        at: token.at,
        text: generate::expand(token.text, number).map_err(|error| token.at.fault(error))?,
        quoted: token.quoted,
    })
}

/// A name in wire format, case kept; `@` is the origin.
fn name(token: &Token<'_>, origin: Option<&[u8]>) -> Result<Vec<u8>, ZoneFileError> {
    if token.text == "@" && !token.quoted {
        return origin
            .map(<[u8]>::to_vec)
            .ok_or_else(|| token.at.fault("no origin is known for @"));
    }

    wire_from_text(token.text, origin).map_err(|error| token.at.fault(error.to_string()))
}

#[cfg(test)]
mod tests;
