use proptest::collection::vec;
use proptest::prelude::*;

use super::super::evaluate::Outcome;
use super::super::sample::{State, outbound};
use super::*;

/// An entry of IPv4 whose target is `name` with `data`; `entering` is its interface, whole.
fn entry(entering: &str, name: &str, data: &[u8]) -> Vec<u8> {
    let length = entry::V4.length;
    let mut bytes = vec![0; length + 32];

    if !entering.is_empty() {
        bytes[16..16 + entering.len()].copy_from_slice(entering.as_bytes());
        bytes[48..48 + entering.len() + 1].fill(0xff);
    }
    bytes[length + 2..length + 2 + name.len()].copy_from_slice(name.as_bytes());
    bytes.extend_from_slice(data);
    let end = bytes.len() as u16;
    bytes[88..90].copy_from_slice(&(length as u16).to_ne_bytes());
    bytes[90..92].copy_from_slice(&end.to_ne_bytes());
    bytes
}

fn verdict(entering: &str, verdict: i32) -> Vec<u8> {
    entry(entering, "", &verdict.to_ne_bytes())
}

/// INPUT accepts; FORWARD jumps to `own` for `lan0` and drops the rest; `own` has `rules`.
fn table(rules: &[Vec<u8>]) -> Table {
    let accept = verdict("", -2);
    let one = accept.len() as u32;
    let head = entry("", "ERROR", b"own\0");
    // INPUT's policy, the jump, FORWARD's policy, OUTPUT's policy, the head of `own`.
    let own = 4 * one + head.len() as u32;
    let parts = [
        accept.clone(),
        verdict("lan0", own as i32),
        verdict("", -1),
        accept,
        head,
        rules.concat(),
        entry("", "ERROR", b"ERROR\0"),
    ];

    Table {
        name: "filter",
        layout: entry::V4,
        begins: [u32::MAX, 0, one, 3 * one, u32::MAX],
        policies: [u32::MAX, 0, 2 * one, 3 * one, u32::MAX],
        entries: parts.concat(),
    }
}

fn evaluate(table: &Table) -> Outcome {
    table
        .ruleset()
        .evaluate("FORWARD", true, &outbound(State::New))
}

#[test]
fn chains_jumps_and_policies_are_followed() {
    let chains = table(&[]).base_chains(Family::V4);
    let policies: Vec<_> = chains
        .iter()
        .map(|chain| (chain.name.as_str(), chain.drops_by_default))
        .collect();
    assert_eq!(
        policies,
        [("INPUT", false), ("FORWARD", true), ("OUTPUT", false)]
    );

    assert_eq!(evaluate(&table(&[])), Outcome::Dropped);
    assert_eq!(evaluate(&table(&[verdict("lan0", -2)])), Outcome::Accepted);
    // The mask covers the end of the name: `lan` is another interface.
    assert_eq!(evaluate(&table(&[verdict("lan", -2)])), Outcome::Dropped);
    assert_eq!(
        evaluate(&table(&[verdict("", -5), verdict("", -2)])),
        Outcome::Dropped
    );
    let reject = entry("lan0", "REJECT", &[]);
    assert_eq!(
        evaluate(&table(&[reject, verdict("", -2)])),
        Outcome::Dropped
    );
    let unknown = entry("", "TARPIT", &[]);
    assert_eq!(evaluate(&table(&[unknown])), Outcome::MaybeDropped);
}

proptest! {
    #[test]
    fn malformed_tables_cause_no_panic(
        entries in vec(any::<u8>(), 0..2000),
        offsets in any::<[u32; 5]>(),
    ) {
        for layout in [entry::V4, entry::V6] {
            let table = Table {
                name: "raw",
                layout,
                begins: offsets,
                policies: [0; 5],
                entries: entries.clone(),
            };
            table.ruleset();
            table.base_chains(Family::V6);
        }
    }
}
