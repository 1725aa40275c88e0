//! `dns-cases [--in-full] < FILE`: answers the questions of a case file in process, through the
//! server's own code; with `--in-full` by the full algorithm alone, without the answers that a zone
//! keeps ready.
//!
//! One JSON object a line: `i` (id), `zone` (master-file text), `q` and `t` (the question). One
//! line out for each: `i`, a space, and the response message in hex, or `ERR` and why there is
//! none.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufWriter, Write as _};

use ringway_dns::zones::ZoneSet;
use ringway_dns::{Name, Outcome, Transport, Zone, answer, answer_in_full, rdata};
use serde_json::Value;

/// [`answer()`] or [`answer_in_full()`].
type Way = fn(&ZoneSet, &[u8], Transport, &mut Vec<u8>) -> Outcome;

fn main() -> io::Result<()> {
    let way: Way = match std::env::args().nth(1).as_deref() {
        None => answer,
        Some("--in-full") => answer_in_full,
        Some(_) => return Err(io::Error::other("usage: dns-cases [--in-full] < FILE")),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let (id, result) = match serde_json::from_str::<Value>(&line) {
            Ok(case) => (case["i"].to_string(), respond(&case, way)),
            Err(error) => ("-".into(), Err(error.to_string())),
        };
        match result {
            Ok(response) => writeln!(out, "{id} {}", hex(&response))?,
            Err(reason) => writeln!(out, "{id} ERR {reason}")?,
        }
    }
    out.flush()
}

/// The response to one case's question.
fn respond(case: &Value, way: Way) -> Result<Vec<u8>, String> {
    let text = |key: &str| {
        case[key]
            .as_str()
            .ok_or_else(|| format!("{key:?} is missing"))
    };
    let zone = Zone::from_text(text("zone")?, None)
        .map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string))?;
    let qname = Name::from_text(text("q")?).map_err(|error| error.to_string())?;
    let qtype = rdata::kind_from_text(text("t")?).ok_or("\"t\" is no type")?;
    let mut response = Vec::new();
    match way(
        &ZoneSet::of([zone]),
        &question(&qname, qtype),
        Transport::Tcp,
        &mut response,
    ) {
        Outcome::Answered(_) => Ok(response),
        other => Err(format!("no answer: {other:?}")),
    }
}

/// A query message, class IN.
fn question(qname: &Name, qtype: u16) -> Vec<u8> {
    let header = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], qname.as_wire(), &qtype.to_be_bytes(), &[0, 1]].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
