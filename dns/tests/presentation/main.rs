//! Snippets of zone files, to this reader and to the checkers of BIND and NSD.
//!
//! ```text
//!   snippet ──► named-compilezone, nsd-checkzone, Zone::from_text ──► wire forms compared
//! ```
//! What both checkers accept alike must mean the same here, but for what needs the generic form
//! (`corpus::REFUSED`) or is forbidden (`corpus::FORBIDDEN`); what both refuse must be refused.
//! Where they differ, either is right.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod checkers;
mod corpus;

use std::collections::BTreeSet;

use ringway_dns::{Name, Zone};

use crate::checkers::{Checkers, Outcome, Record};

/// The zone of every snippet; the snippet follows.
pub(crate) const HEAD: &str = "\
    $TTL 60\n\
    @ 60 IN SOA ns h 1 1h 10m 1d 1m\n\
    @ 60 IN NS ns\n\
    ns 60 IN A 10.1.0.1\n";
pub(crate) const APEX: &str = "org1.example";

fn ours(text: &str) -> Outcome {
    let origin = Name::from_text(APEX).unwrap();
    let zone = Zone::from_text(text, Some(&origin)).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })?;

    let mut records = BTreeSet::new();
    zone.rrsets(|owner, set| {
        for data in set.data() {
            records.insert(Record {
                owner: owner.as_wire().to_vec(),
                kind: set.kind(),
                ttl: set.ttl(),
                data: data.to_vec(),
            });
        }
    });
    Ok(records)
}

/// Why our reading is wrong, if it is.
fn judge(snippet: &str, ours: &Outcome, bind: &Outcome, nsd: &Outcome) -> Option<String> {
    let mut refused = corpus::REFUSED.iter().chain(&corpus::FORBIDDEN);
    let is_refused_by_intent = refused.any(|word| snippet.contains(word));

    match (ours, bind, nsd) {
        (Ok(_), Err(why), Err(_)) => Some(format!("accepted, BIND: {why}")),
        (Err(why), Ok(bind), Ok(nsd)) if bind == nsd && !is_refused_by_intent => {
            Some(format!("refused: {why}"))
        }
        (Ok(ours), bind, nsd) => {
            let others: Vec<_> = [bind, nsd].into_iter().flatten().collect();
            (!others.contains(&ours)).then(|| format!("read as {:?}", difference(ours, &others)))
        }
        _ => None,
    }
}

/// Our records that no other has, and theirs that we do not have.
fn difference(ours: &BTreeSet<Record>, others: &[&BTreeSet<Record>]) -> Vec<Record> {
    others
        .iter()
        .flat_map(|other| ours.symmetric_difference(other))
        .cloned()
        .collect()
}

#[test]
fn a_zone_file_means_here_what_it_means_to_bind_and_nsd() {
    let checkers = Checkers::find();
    let snippets = corpus::snippets();
    let mut faults = Vec::new();
    let mut accepted = 0;

    for snippet in &snippets {
        let text = format!("{HEAD}{snippet}\n");
        let bind = checkers.bind(&text);
        let nsd = checkers.nsd(&text);
        let ours = ours(&text);
        accepted += usize::from(ours.is_ok());
        if let Some(fault) = judge(snippet, &ours, &bind, &nsd) {
            faults.push(format!("{snippet}\n    {fault}"));
        }
    }

    println!(
        "result: {} snippets, {accepted} accepted, {} read otherwise",
        snippets.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
