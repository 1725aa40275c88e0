//! Zone files (RFC 1035, section 5; `$TTL` of RFC 2308, section 4; unknown types of RFC 3597): text to
//! a [`Zone`], every fault with its line and column.
//!
//! Types whose data this crate knows by fields are read here, so that relative names, DNAME and
//! escapes work; the others by `hickory-proto`. `$INCLUDE` is refused: nothing here opens files.

mod data;
mod lexer;

use hickory_proto::serialize::txt::parse_ttl;
use lexer::{Entry, Token};

use crate::draft::Draft;
use crate::name::{Name, wire_from_text};
use crate::rdata::kind;
use crate::zone::Zone;

/// What is wrong in a zone file, and where; both count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ZoneFileError {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl Zone {
    /// Reads a zone file. The zone's apex is the owner of its SOA; `origin` completes relative names.
    pub fn from_text(text: &str, origin: Option<&Name>) -> Result<Zone, Vec<ZoneFileError>> {
        let mut reader = Reader::new(origin);
        let mut faults = Vec::new();
        for entry in lexer::entries(text) {
            if let Err(fault) = entry.and_then(|entry| reader.read(&entry)) {
                faults.push(fault);
            }
        }
        let soa = reader.records.iter().find(|record| record.kind == kind::SOA);
        let Some(apex) = soa.map(|soa| soa.owner) else {
            let message = "the file has no SOA record that can be read".into();
            faults.push(ZoneFileError { line: 1, column: 1, message });
            return Err(faults);
        };
        let mut draft = Draft::new(apex);
        for record in &reader.records {
            let added = draft.add(&record.owner, record.kind, record.ttl, &record.data);
            faults.extend(added.err().map(|error| record.at.fault(error.to_string())));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        draft.finish().map_err(|error| vec![ZoneFileError { line: 1, column: 1, message: error.to_string() }])
    }
}

struct Record {
    at: Place,
    owner: Name,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

/// Where a token starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u32,
    column: u32,
}

impl Place {
    fn fault(self, message: impl Into<String>) -> ZoneFileError {
        ZoneFileError { line: self.line, column: self.column, message: message.into() }
    }
}

/// What earlier entries left for later ones.
struct Reader {
    origin: Option<Vec<u8>>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    last_owner: Option<Name>,
    records: Vec<Record>,
}

impl Reader {
    fn new(origin: Option<&Name>) -> Reader {
        let origin = origin.map(|origin| origin.as_wire().to_vec());
        Reader { origin, default_ttl: None, last_ttl: None, last_owner: None, records: Vec::new() }
    }

    fn read(&mut self, entry: &Entry<'_>) -> Result<(), ZoneFileError> {
        let [first, rest @ ..] = &entry.tokens[..] else { return Ok(()) };
        if entry.indented {
            return self.read_record(first.at, &entry.tokens);
        }
        if first.quoted || !first.text.starts_with('$') {
            let wire = name(first, self.origin.as_deref())?;
            self.last_owner = Name::from_wire(&wire).ok().map(|(owner, _)| owner);
            return self.read_record(first.at, rest);
        }
        match (first.text.to_ascii_uppercase().as_str(), rest) {
            ("$ORIGIN", [origin]) => self.origin = Some(name(origin, self.origin.as_deref())?),
            ("$TTL", [ttl]) => {
                let seconds = parse_ttl(ttl.text);
                self.default_ttl =
                    Some(seconds.map_err(|_| ttl.at.fault("this is no TTL; write seconds or 1h30m"))?);
            }
            _ => return Err(first.at.fault("only $ORIGIN <name> and $TTL <time> can stand here")),
        }
        Ok(())
    }

    /// `[<TTL>] [<class>] <type> <data>`, TTL and class in either order.
    fn read_record(&mut self, at: Place, mut tokens: &[Token<'_>]) -> Result<(), ZoneFileError> {
        let owner = self.last_owner.ok_or_else(|| at.fault("the first record needs an owner"))?;
        let mut ttl = None;
        let kind = loop {
            let [token, rest @ ..] = tokens else { return Err(at.fault("the record has no type")) };
            tokens = rest;
            match parse_ttl(token.text) {
                Ok(seconds) if ttl.is_none() => ttl = Some(seconds),
                _ if token.text.eq_ignore_ascii_case("IN") => (),
                _ => break data::kind(token)?,
            }
        };
        self.last_ttl = ttl.or(self.last_ttl);
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl);
        let ttl = ttl.ok_or_else(|| at.fault("no TTL is given, neither here nor before; write $TTL 5"))?;
        let data = data::parse(at, kind, tokens, self.origin.as_deref())?;
        self.records.push(Record { at, owner, kind, ttl, data });
        Ok(())
    }
}

/// A name in wire form, case kept; `@` is the origin.
fn name(token: &Token<'_>, origin: Option<&[u8]>) -> Result<Vec<u8>, ZoneFileError> {
    if token.text == "@" && !token.quoted {
        return origin.map(<[u8]>::to_vec).ok_or_else(|| token.at.fault("no origin is known for @"));
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
        Zone::from_text(text, Some(&origin())).unwrap_err().iter().map(ToString::to_string).collect()
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
             *.g NAPTR 1 2 \"u\" \"s\" \"\" .\n",
            Some(&origin()),
        )
        .unwrap();
        let mut lines = Vec::new();
        zone.rrsets(|owner, set| {
            for data in set.data() {
                lines.push(format!("{owner} {} {} {}", set.ttl(), set.kind(), data.escape_ascii()));
            }
        });
        assert_eq!(
            lines,
            [
                r"org1.example 3600 2 \x02ns\x04org1\x07example\x00",
                r"org1.example 3600 6 \x02ns\x04org1\x07example\x00\nhostmaster\x04org1\x07example\x00\x00\x00\x00\x01\x00\x00\x00<\x00\x00\x00\n\x00\x01Q\x80\x00\x00\x00\x05",
                r"ns.org1.example 300 1 \n\x00\x00\x01",
                r"ns.org1.example 300 28 \xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
                r#"a.sub.org1.example 3600 16 \ttwo words\x05plain\ta \" and A"#,
                r"b.sub.org1.example 3600 39 \telsewhere\x07example\x00",
                r"c.sub.org1.example 3600 65280 \n\x0b\x0c",
                r"d.sub.org1.example 3600 1 \n\x00\x00\x02",
                r"e.sub.org1.example 3600 33 \x00\x00\x00\x00\x1b\x8b\x01a\x03sub\x04org1\x07example\x00",
                r"f.sub.org1.example 3600 257 \x00\x05issueca.example",
                r"*.g.sub.org1.example 3600 35 \x00\x01\x00\x02\x01u\x01s\x00\x00",
            ]
        );
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
                "7:1: only $ORIGIN <name> and $TTL <time> can stand here",
                "10:12: the length and the hexadecimal digits do not agree",
                "11:7: the quotation mark is never closed",
                "6:1: other.example is outside the zone org1.example",
                "9:1: f.org1.example has a CNAME and can have no other record",
            ]
        );
        assert_eq!(faults("a 5 A 10.0.0.1"), ["1:1: the file has no SOA record that can be read"]);
    }
}
