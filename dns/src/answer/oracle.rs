//! A reference implementation: random zones and questions are answered a second time by a naive
//! reading of the RFCs, with linear scans over a list of records, and with names as lists of
//! labels. Both answers must agree.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::lookup::lookup;
use super::rcode;
use super::reply::{Data, Reply, Rr};
use crate::draft::Draft;
use crate::name::Name;
use crate::rdata::kind;
use crate::zones::ZoneSet;

/// Labels, leftmost first.
type Labels = Vec<&'static str>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    owner: Labels,
    kind: u16,
    ttl: u32,
    /// The target, for types that have one; for others a label that identifies the record.
    data: Labels,
}

#[derive(Debug, Clone)]
struct NaiveZone {
    apex: Labels,
    records: Vec<Record>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    rcode: u16,
    aa: bool,
    answer: BTreeSet<Record>,
    authority: BTreeSet<Record>,
}

fn within(name: &[&str], suffix: &[&str]) -> bool {
    name.ends_with(suffix)
}

impl NaiveZone {
    fn at(&self, owner: &[&str], kind: u16) -> Vec<Record> {
        self.records
            .iter()
            .filter(|r| r.owner == owner && (r.kind == kind))
            .cloned()
            .collect()
    }

    fn exists(&self, name: &[&str]) -> bool {
        self.records.iter().any(|r| within(&r.owner, name))
    }

    fn soa(&self) -> Record {
        self.at(&self.apex, kind::SOA).remove(0)
    }

    /// The ancestors of `name` from the apex down, itself last.
    fn path<'n>(&self, name: &'n [&'static str]) -> impl Iterator<Item = &'n [&'static str]> {
        (0..=name.len() - self.apex.len()).rev().map(|i| &name[i..])
    }

    /// The records of `name`, also by a wildcard; `None` if it does not exist.
    fn records_for(&self, name: &[&'static str]) -> Option<Vec<Record>> {
        let mut owner = name.to_vec();
        if !self.exists(name) {
            let encloser = self
                .path(name)
                .filter(|ancestor| self.exists(ancestor))
                .last()?;
            owner = [&["*"], encloser].concat();
            if !self.exists(&owner) {
                return None;
            }
        }
        let here = self.records.iter().filter(|r| r.owner == owner);
        Some(
            here.map(|r| Record {
                owner: name.to_vec(),
                ..r.clone()
            })
            .collect(),
        )
    }

    /// One step for `name`; returns the next name of a chain of aliases.
    fn step(&self, name: &Labels, qtype: u16, out: &mut Answer) -> Option<Labels> {
        for ancestor in self.path(name) {
            let cut = self.at(ancestor, kind::NS);
            if ancestor != self.apex && !cut.is_empty() {
                out.aa = !out.answer.is_empty();
                out.authority.extend(cut);
                return None;
            }
            if let [dname] = &self.at(ancestor, kind::DNAME)[..]
                && ancestor.len() < name.len()
            {
                let prefix = &name[..name.len() - ancestor.len()];
                let renamed = [prefix, &dname.data].concat();
                out.answer.insert(dname.clone());
                let cname = Record {
                    owner: name.clone(),
                    kind: kind::CNAME,
                    ttl: dname.ttl,
                    data: renamed.clone(),
                };
                out.answer.insert(cname);
                let ends = qtype == kind::CNAME || within(&dname.data, ancestor);
                return (!ends).then_some(renamed);
            }
        }
        let Some(here) = self.records_for(name) else {
            out.rcode = rcode::NXDOMAIN;
            out.authority.insert(self.soa());
            return None;
        };
        let asked: Vec<_> = here.iter().filter(|r| r.kind == qtype).cloned().collect();
        let alias = here.iter().find(|r| r.kind == kind::CNAME);
        if !asked.is_empty() {
            out.answer.extend(asked);
        } else if let Some(alias) = alias {
            out.answer.insert(alias.clone());
            return Some(alias.data.clone());
        } else {
            out.authority.insert(self.soa());
        }
        None
    }
}

fn naive(zones: &[NaiveZone], qname: &Labels, qtype: u16) -> Answer {
    let mut out = Answer {
        aa: true,
        ..Answer::default()
    };
    let mut name = qname.clone();
    let mut seen = BTreeSet::new();
    while seen.insert(name.clone()) && seen.len() <= 16 {
        let holding = zones.iter().filter(|zone| within(&name, &zone.apex));
        let Some(zone) = holding.max_by_key(|zone| zone.apex.len()) else {
            if seen.len() == 1 {
                return Answer {
                    rcode: rcode::REFUSED,
                    ..Answer::default()
                };
            }
            break;
        };
        match zone.step(&name, qtype, &mut out) {
            Some(next) => name = next,
            None => break,
        }
    }
    out
}

fn wire(labels: &[&str]) -> Name {
    Name::from_text(&format!("{}.", labels.join("."))).unwrap()
}

fn labels(name: &Name) -> Labels {
    const KNOWN: [&str; 8] = ["a", "b", "c", "*", "x", "y", "sub", "out"];
    let text = name.to_string();
    text.split('.')
        .map(|label| *KNOWN.iter().find(|known| **known == label).unwrap())
        .collect()
}

/// Data in wire format that identifies the record.
fn data(record: &Record) -> Vec<u8> {
    let target = wire(&record.data);
    match record.kind {
        kind::A => target
            .as_wire()
            .iter()
            .copied()
            .chain([0; 4])
            .take(4)
            .collect(),
        kind::SOA => [target.as_wire(), &[0], &[0; 19], &[9]].concat(),
        kind::MX => [&[0, 1], target.as_wire()].concat(),
        _ => target.as_wire().to_vec(),
    }
}

fn zone_set(zones: &[NaiveZone]) -> ZoneSet {
    ZoneSet::of(zones.iter().map(|zone| {
        let mut draft = Draft::new(wire(&zone.apex));
        for record in &zone.records {
            draft
                .add(&wire(&record.owner), record.kind, record.ttl, &data(record))
                .unwrap();
        }
        draft.finish().unwrap()
    }))
}

/// The reply in the form of the reference. The negative TTL of every zone here is that of its SOA.
fn to_answer(reply: &Reply<'_>) -> Answer {
    Answer {
        rcode: reply.rcode,
        aa: reply.aa,
        answer: to_records(&reply.answer),
        authority: to_records(&reply.authority),
    }
}

fn to_records(section: &[Rr<'_>]) -> BTreeSet<Record> {
    let mut records = BTreeSet::new();
    for rr in section {
        let data = match &rr.data {
            Data::Cname(target) => vec![labels(target)],
            Data::Set(set) => set.data().map(|data| to_labels(rr.kind(), data)).collect(),
        };
        records.extend(data.into_iter().map(|data| Record {
            owner: labels(&rr.owner),
            kind: rr.kind(),
            ttl: rr.ttl,
            data,
        }));
    }
    records
}

/// The inverse of [`data`].
fn to_labels(kind: u16, data: &[u8]) -> Labels {
    match kind {
        kind::A => vec![if data[1] == b'a' { "a" } else { "b" }],
        kind::MX => labels(&Name::from_wire(&data[2..]).unwrap().0),
        _ => labels(&Name::from_wire(data).unwrap().0),
    }
}

const APEXES: [&[&str]; 3] = [&["x"], &["sub", "x"], &["y"]];

fn below() -> impl Strategy<Value = Labels> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 0..4)
}

fn any_name() -> impl Strategy<Value = Labels> {
    let suffix = prop::sample::select(vec![APEXES[0], APEXES[0], APEXES[1], APEXES[2], &["out"]]);
    (below(), suffix).prop_map(|(below, suffix)| [&below, suffix].concat())
}

fn any_zone(apex: &'static [&'static str]) -> impl Strategy<Value = NaiveZone> {
    let kinds = vec![
        kind::A,
        kind::A,
        kind::MX,
        kind::CNAME,
        kind::CNAME,
        kind::NS,
        kind::DNAME,
    ];
    let record = (below(), prop::sample::select(kinds), any_name());
    prop::collection::vec(record, 0..14).prop_map(move |drawn| {
        let soa = Record {
            owner: apex.to_vec(),
            kind: kind::SOA,
            ttl: 9,
            data: vec!["out"],
        };
        let mut zone = NaiveZone {
            apex: apex.to_vec(),
            records: vec![soa],
        };
        for (below, kind, target) in drawn {
            let owner = [&below, apex].concat();
            let data = if kind == kind::A {
                vec![if target.len() % 2 == 0 { "a" } else { "b" }]
            } else {
                target
            };
            let has = |kinds: &dyn Fn(u16) -> bool| {
                zone.records
                    .iter()
                    .any(|r| r.owner == owner && kinds(r.kind))
            };
            // That zones refuse conflicting records is another test's subject.
            let allowed = match kind {
                kind::CNAME => !has(&|_| true),
                kind::DNAME => !has(&|k| k == kind::CNAME || k == kind::DNAME),
                _ => !has(&|k| k == kind::CNAME),
            };
            let record = Record {
                owner,
                kind,
                ttl: 5,
                data,
            };
            if allowed && !zone.records.contains(&record) {
                zone.records.push(record);
            }
        }
        zone
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_lookup_and_a_naive_reading_of_the_rfcs_agree(
        zones in (any_zone(APEXES[0]), any_zone(APEXES[1]), any_zone(APEXES[2])),
        questions in prop::collection::vec((any_name(), prop::sample::select(vec![
            kind::A, kind::MX, kind::CNAME, kind::NS, kind::DNAME, kind::SOA,
        ])), 1..40),
    ) {
        let zones = [zones.0, zones.1, zones.2];
        let set = zone_set(&zones);
        for (qname, qtype) in questions {
            let ours = to_answer(&lookup(&set, &wire(&qname), qtype));
            prop_assert_eq!(ours, naive(&zones, &qname, qtype), "{:?} {}", qname, qtype);
        }
    }
}
