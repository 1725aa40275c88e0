//! `dns-cases [--in-full] < FILE`: answers the questions of a case file with the server's code, in
//! process. With `--in-full` it uses the full algorithm only, without a zone's prepared answers.
//!
//! Input: one JSON object in each line with `i` (id), `zone` (master-file text), `q` (name) and `t`
//! (type). Output: one line for each, with `i`, a space, and the response message in hexadecimal,
//! or `ERR` and the reason.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufWriter, Write as _};

use ringway_dns::zones::ZoneSet;
use ringway_dns::{Name, Outcome, Transport, Zone, answer, answer_in_full, rdata};
use serde_json::Value;

/// [`answer()`] or [`answer_in_full()`].
type Algorithm = fn(&ZoneSet, &[u8], Transport, &mut Vec<u8>) -> Outcome;

fn main() -> io::Result<()> {
    let algorithm: Algorithm = match std::env::args().nth(1).as_deref() {
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
            Ok(case) => (case["i"].to_string(), respond(&case, algorithm)),
            Err(error) => ("-".into(), Err(error.to_string())),
        };
        match result {
            Ok(response) => writeln!(out, "{id} {}", hex(&response))?,
            Err(reason) => writeln!(out, "{id} ERR {reason}")?,
        }
    }
    out.flush()
}

/// The response to the question of one case, from its zone.
fn respond(case: &Value, algorithm: Algorithm) -> Result<Vec<u8>, String> {
    let zone = Zone::from_text(text(case, "zone")?, None)
        .map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string))?;
    let qname = Name::from_text(text(case, "q")?).map_err(|error| error.to_string())?;
    let qtype = rdata::kind_from_text(text(case, "t")?).ok_or("\"t\" is not a type")?;

    let zones = ZoneSet::of([zone]);
    let mut response = Vec::new();
    match algorithm(&zones, &query(&qname, qtype), Transport::Tcp, &mut response) {
        Outcome::Answered(_) => Ok(response),
        other => Err(format!("no answer: {other:?}")),
    }
}

fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str, String> {
    case[key]
        .as_str()
        .ok_or_else(|| format!("{key:?} is missing"))
}

/// A query message for the class IN.
fn query(qname: &Name, qtype: u16) -> Vec<u8> {
    let header = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], qname.as_wire(), &qtype.to_be_bytes(), &[0, 1]].concat()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        _ = write!(text, "{byte:02x}");
    }
    text
}
