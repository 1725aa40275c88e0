//! Zone files (RFC 1035, section 5; `$TTL` of RFC 2308, section 4; unknown types of RFC 3597): text
//! to records or a [`Zone`], every fault with its line and column.
//!
//! Data of types whose fields this crate knows is read field by field; that of others must have the
//! generic form of RFC 3597. `include` decides which files `$INCLUDE` may open; a text that is not
//! from a file may open none.

mod data;
mod field;
mod generate;
mod include;
mod lexer;
mod location;
mod prefixes;
mod service;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_proto::serialize::txt::parse_ttl;
pub(crate) use include::Files;
use include::Unread;
use lexer::{Entry, Token};
use ringway_config::{self as config, Fault};

use crate::draft::{Draft, ZoneError};
use crate::lint::refuse_delegations;
use crate::name::{Name, wire_from_text};
use crate::own::soa;
use crate::rdata::{kind, plain_number};
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
                let seconds = parse_ttl(ttl.text);
                self.scope.default_ttl = Some(
                    seconds.map_err(|_| ttl.at.fault("this is no TTL; write seconds or 1h30m"))?,
                );
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

        let mut ttl = None;
        let kind = loop {
            let [token, rest @ ..] = tokens else {
                return Err(at.fault("the record has no type"));
            };
            tokens = rest;

            match parse_ttl(token.text) {
                Ok(seconds) if ttl.is_none() => ttl = Some(seconds),
                _ => match class(token.text) {
                    Some(Class::Internet) => {}
                    Some(Class::Other) => {
                        return Err(token.at.fault("only records of class IN are served"));
                    }
                    None => break data::kind(token)?,
                },
            }
        };

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

/// The class of a record.
enum Class {
    /// IN, the only one that is served.
    Internet,
    Other,
}

/// The class that `text` names (RFC 1035, section 3.2.4; RFC 3597, section 5); `None` if it is not
/// a class.
fn class(text: &str) -> Option<Class> {
    match &*text.to_ascii_uppercase() {
        "IN" => Some(Class::Internet),
        "CS" | "CH" | "HS" => Some(Class::Other),
        other => match plain_number::<u16>(other.strip_prefix("CLASS")?)? {
            1 => Some(Class::Internet),
            _ => Some(Class::Other),
        },
    }
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
mod tests {
    use super::*;

    fn origin() -> Name {
        Name::from_text("org1.example").unwrap()
    }

    fn faults(text: &str) -> Vec<String> {
        Zone::from_text(text, Some(&origin()))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reads_the_forms_of_rfc_1035_2308_and_3597() {
        let zone = Zone::from_text(
            "$TTL 1h\n\
             @ IN SOA ns hostmaster ( 1 ; the serial\n  60 10 ; and so on\n 1d 5 )\n\
             \tNS ns\n\
             ns 300 IN A 10.0.0.1\n\
             ns IN 300 AAAA fd00::1\n\
             $ORIGIN sub.org1.example.\n\
             a TXT \"two words\" plain \"a \\\" and \\065\"\n\
             b DNAME elsewhere.example.\n\
             c TYPE65280 \\# 3 0a0b 0c\n\
             d TYPE1 \\# 4 0a000002\n\
             e SRV 0 0 7051 a\n\
             f CAA 0 issue \"ca.example\"\n\
             *.g NAPTR 1 2 \"u\" \"s\" \"\" .\n\
             h 5 CLASS1 HTTPS 1 a port=53\n\
             i SVCB 0 @\n\
             j LOC 1 N 2 E 0\n\
             k TYPE29 \\# 16 00121613803 6ee80806ddd0000989680\n\
             $GENERATE 8-9 l$ A 10.0.0.${1}\n",
            Some(&origin()),
        )
        .unwrap();
        let mut lines = Vec::new();
        zone.rrsets(|owner, set| {
            for data in set.data() {
                lines.push(format!(
                    "{owner} {} {} {}",
                    set.ttl(),
                    set.kind(),
                    data.escape_ascii()
                ));
            }
        });
        assert_eq!(
            lines,
            [
                r"org1.example 3600 2 \x02ns\x04org1\x07example\x00",
                concat!(
                    r"org1.example 3600 6 \x02ns\x04org1\x07example\x00\nhostmaster\x04org1\x07e",
                    r"xample\x00\x00\x00\x00\x01\x00\x00\x00<\x00\x00\x00\n\x00\x01Q\x80\x00\x00",
                    r"\x00\x05",
                ),
                r"ns.org1.example 300 1 \n\x00\x00\x01",
                concat!(
                    r"ns.org1.example 300 28 \xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                    r"\x00\x00\x00\x01",
                ),
                r#"a.sub.org1.example 3600 16 \ttwo words\x05plain\ta \" and A"#,
                r"b.sub.org1.example 3600 39 \telsewhere\x07example\x00",
                r"c.sub.org1.example 3600 65280 \n\x0b\x0c",
                r"d.sub.org1.example 3600 1 \n\x00\x00\x02",
                concat!(
                    r"e.sub.org1.example 3600 33 \x00\x00\x00\x00\x1b\x8b\x01a\x03sub\x04org1",
                    r"\x07example\x00",
                ),
                r"f.sub.org1.example 3600 257 \x00\x05issueca.example",
                r"*.g.sub.org1.example 3600 35 \x00\x01\x00\x02\x01u\x01s\x00\x00",
                concat!(
                    r"h.sub.org1.example 5 65 \x00\x01\x01a\x03sub\x04org1\x07example\x00\x00",
                    r"\x03\x00\x02\x005",
                ),
                r"i.sub.org1.example 3600 64 \x00\x00\x03sub\x04org1\x07example\x00",
                concat!(
                    r"j.sub.org1.example 3600 29 \x00\x12\x16\x13\x806\xee\x80\x80m\xdd\x00",
                    r"\x00\x98\x96\x80",
                ),
                concat!(
                    r"k.sub.org1.example 3600 29 \x00\x12\x16\x13\x806\xee\x80\x80m\xdd\x00",
                    r"\x00\x98\x96\x80",
                ),
                r"l8.sub.org1.example 3600 1 \n\x00\x00\t",
                r"l9.sub.org1.example 3600 1 \n\x00\x00\n",
            ]
        );
    }

    #[test]
    fn a_zone_without_ttls_has_the_one_that_its_soa_says() {
        let zone =
            Zone::from_text("@ SOA ns h 1 2 3 4 77\na A 10.0.0.1\n", Some(&origin())).unwrap();
        zone.rrsets(|owner, set| assert_eq!(set.ttl(), 77, "{owner}"));
        let faults = faults("a A 10.0.0.1\n@ SOA ns h 1 2 3 4 77\n");
        assert_eq!(
            faults,
            ["1:1: no TTL is given, neither here nor before; write $TTL 5"]
        );
    }

    #[test]
    fn a_record_without_a_ttl_has_the_one_that_was_stated_last() {
        let text = "@ 100 SOA ns h 1 2 3 4 77\n@ NS ns\nns 200 A 10.0.0.1\nb A 10.0.0.2\n";
        let zone = Zone::from_text(text, Some(&origin())).unwrap();

        let mut ttls = Vec::new();
        zone.rrsets(|owner, set| ttls.push(format!("{owner} {} {}", set.kind(), set.ttl())));
        assert_eq!(
            ttls,
            [
                "org1.example 2 100",
                "org1.example 6 100",
                "b.org1.example 1 200",
                "ns.org1.example 1 200"
            ]
        );
    }

    #[test]
    fn the_case_of_a_target_makes_no_other_record() {
        let text = "@ 5 SOA ns h 1 1 1 1 5\nw MX 1 m\nw MX 1 M\nw SRV 1 1 1 m\nw SRV 1 1 1 M\n";
        let zone = Zone::from_text(text, Some(&origin())).unwrap();

        assert_eq!(zone.records(), 3);
    }

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let text = "@ 5 SOA ns h 1 1 1 1 5\n\
                    a A 10.0.0.256\n\
                    b  WHAT x\n\
                    c A 10.0.0.1 10.0.0.2\n\
                    d..e A 10.0.0.1\n\
                    other.example. A 10.0.0.1\n\
                    $INCLUDE file\n\
                    f CNAME g\nf A 10.0.0.1\n\
                    h TYPE1 \\# 4 0a\n\
                    i TXT \"open\n";
        assert_eq!(
            faults(text),
            [
                "2:5: this is no IPv4 address",
                "3:4: \"WHAT\" is no record type; write TYPE and its number if it is new",
                "4:14: nothing may follow the data",
                "5:1: a label must have 1 to 63 octets",
                "7:10: $INCLUDE is allowed in files only",
                "10:12: the length and the hexadecimal digits do not agree",
                "11:7: the quotation mark is never closed",
                "6:1: other.example is outside the zone org1.example",
                "9:1: f.org1.example has a CNAME and can have no other record",
            ]
        );
        let text = "@ 5 SOA ns h 1 1 1 1 5\na CH A 10.0.0.1\nb CLASS3 TXT x\nc TYPE65280 \\# 1 +a\n\
                    d MX +1 m\ne ANY x\nf NSEC a A\ng HTTPS 1 a..b\n\
                    h LOC 91 N 4 E -2.00m\ni HTTPS 1 . alpn=h2 port=x\n\
                    $GENERATE 1-2 j$ A 10.0.0.${255}\n$GENERATE 2-1 k$ A 10.0.0.$\n";
        assert_eq!(
            faults(text),
            [
                "2:3: only records of class IN are served",
                "3:3: only records of class IN are served",
                "4:16: the length and the hexadecimal digits do not agree",
                "5:6: this is no number up to 65535",
                "6:1: type 255 cannot stand in a zone",
                "7:1: data of this type must have the generic form of RFC 3597: \
                 \\# <length> <hexadecimal digits>",
                "8:11: a label must have 1 to 63 octets",
                "9:7: this is no angle; write degrees, minutes, seconds and N or S",
                "10:21: port: this is no port",
                "11:20: this is no IPv4 address",
                "12:11: this is no range such as 1-10 or 0-254/2",
            ]
        );
        assert_eq!(
            faults("a 5 A 10.0.0.1"),
            ["1:1: the file has no SOA record that can be read"]
        );
    }
}
