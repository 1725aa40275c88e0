//! [`lint()`]: mistakes in the records of our zone with which the zone still works. Targets that do
//! not exist, aliases that lead in a circle, and records that are never answered.
//!
//! What is not known is no mistake: only names of the consortium are judged, and of those only
//! names in zones whose content is at hand.

mod known;
#[cfg(test)]
mod tests;

use ringway_config::Fault;

pub use self::known::Known;
use self::known::Lookup;
use crate::name::Name;
use crate::rdata::{self, kind};
use crate::source::{Record, Sources};
use crate::tree::Found;
use crate::zone::Zone;

/// Most mistakes that are listed one by one: a wrong `$ORIGIN` makes one of every line.
const MAX_LISTED: usize = 50;

/// Names in a chain of aliases at most, as when questions are answered.
const MAX_CHAIN: usize = 16;

impl Sources {
    /// The names to which records lead.
    pub fn targets(&self) -> impl Iterator<Item = Name> {
        self.records().iter().filter_map(target)
    }
}

/// The mistakes in `zone`, whose records were written as `sources` says.
pub fn lint(zone: &Zone, sources: &Sources, known: &Known) -> Vec<Fault> {
    let mut mistakes = Vec::new();
    for record in sources.records() {
        let found = occlusion(zone, record)
            .or_else(|| bad_target(record, known))
            .or_else(|| circle(record, known));
        if let Some(message) = found {
            mistakes.push(Fault {
                place: record.place.clone(),
                message,
            });
        }
    }

    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    if let Some(more) = mistakes
        .len()
        .checked_sub(MAX_LISTED)
        .filter(|more| *more > 0)
    {
        mistakes.truncate(MAX_LISTED);
        let last = mistakes.last_mut().expect("some are listed");
        last.message
            .push_str(&format!("; and {more} more such records"));
    }
    mistakes
}

/// The name to which a record leads; `None` if it leads nowhere on purpose.
fn target(record: &Record) -> Option<Name> {
    let wire = match record.kind {
        kind::CNAME | kind::DNAME | kind::PTR => &record.data,
        kind => rdata::host(kind, &record.data)?,
    };
    let (name, _) = Name::from_wire(wire).ok()?;

    // The root is no host: "no such service" (RFC 2782, RFC 7505), or the owner itself (RFC 9460).
    (name != Name::ROOT).then_some(name)
}

/// What is wrong with the target of a record.
fn bad_target(record: &Record, known: &Known) -> Option<String> {
    let target = target(record)?;
    let kind = rdata::mnemonic(record.kind)?;
    let needs_address = matches!(record.kind, kind::NS | kind::MX | kind::SRV);

    match known.look_up(&target) {
        Lookup::Missing { unless } => Some(format!(
            "the target {target} of this {kind} does not exist{unless}; correct it, or add the name"
        )),
        Lookup::NoMember { domain } => Some(format!(
            "the target {target} of this {kind} belongs to no member of {domain}; correct it"
        )),
        // RFC 2181, section 10.3; RFC 2782.
        Lookup::Node(node) if needs_address && node.rrset(kind::CNAME).is_some() => Some(format!(
            "the target {target} of this {kind} is an alias, which many clients refuse; write the \
             name that has the addresses"
        )),
        Lookup::Node(node) => {
            let has_address = [kind::A, kind::AAAA]
                .iter()
                .any(|kind| node.rrset(*kind).is_some());
            let is_usable = has_address || (!needs_address && !node.rrsets().is_empty());

            (!is_usable).then(|| {
                let what = if needs_address { "address" } else { "record" };
                format!("the target {target} of this {kind} has no {what}; correct it, or add one")
            })
        }
        Lookup::Unknown => None,
    }
}

/// Names the circle in which a CNAME leads.
fn circle(record: &Record, known: &Known) -> Option<String> {
    if record.kind != kind::CNAME {
        return None;
    }

    let mut seen = vec![record.owner];
    let mut next = target(record)?;
    // An answer follows no more names than these.
    while seen.len() <= MAX_CHAIN {
        if let Some(begin) = seen.iter().position(|name| *name == next) {
            // Others that lead into the circle are right once it is corrected.
            let is_in_it = begin == 0 || record.owner.labels().label(0) == b"*";
            let names: Vec<String> = seen[begin..].iter().map(Name::to_string).collect();
            return is_in_it.then(|| {
                format!(
                    "this CNAME leads back to itself ({}), so that the name has no address; \
                     write a name that has one",
                    names.join(", ")
                )
            });
        }

        seen.push(next);
        let Lookup::Node(node) = known.look_up(&next) else {
            return None;
        };
        (next, _) = Name::from_wire(node.rrset(kind::CNAME)?.first()).ok()?;
    }

    Some(format!(
        "this CNAME leads to another one, and so on for more than {MAX_CHAIN} names; write the \
         name that has the addresses"
    ))
}

/// Why a record is never answered.
fn occlusion(zone: &Zone, record: &Record) -> Option<String> {
    let owner = record.owner;
    let labels = owner.labels();
    if !owner.is_within(zone.apex()) {
        return None;
    }

    let (what, below) = match zone.find(&labels, record.kind) {
        Found::Renamed { below, .. } => ("DNAME", below),
        Found::Delegated { ns, below } => {
            // The NS records of a cut and the addresses of its servers are the referral.
            let is_cut = below == 0 && record.kind == kind::NS;
            let is_glue = matches!(record.kind, kind::A | kind::AAAA)
                && ns
                    .data()
                    .any(|data| Name::from_wire(data).is_ok_and(|(host, _)| host == owner));
            if is_cut || is_glue {
                return None;
            }
            ("delegation", below)
        }
        Found::Exact(_) | Found::Missing { .. } => return None,
    };

    let (at, _) = Name::from_wire(labels.suffix(below)).ok()?;
    Some(format!(
        "{owner} is below the {what} at {at}, so that this record is never answered; remove one \
         of them"
    ))
}

/// A fault for each record that delegates a part of the zone at `apex`. Resolvers follow a
/// referral; the stub resolvers of hosts, which ask us, do not.
pub(crate) fn refuse_delegations(records: &[Record], apex: &Name) -> Vec<Fault> {
    records
        .iter()
        .filter(|record| record.kind == kind::NS && record.owner != *apex)
        .map(|record| Fault {
            place: record.place.clone(),
            message: format!(
                "{owner} is delegated to other servers, which hosts do not ask: their names would \
                 not be found; remove this record, and write the names below {owner} into this \
                 zone",
                owner = record.owner
            ),
        })
        .collect()
}
