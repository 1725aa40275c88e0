//! [`explained`]: the known differences from NSD and Knot, each with a name and a reason. Any other
//! difference fails the test.

use std::collections::BTreeSet;

use crate::read::{Answer, Section};

/// The server whose answer is compared with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    Nsd,
    Knot,
}

/// Facts about the zones that answers do not show.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Zone cuts.
    pub(crate) delegated: BTreeSet<String>,
    /// Names with a wildcard child.
    pub(crate) wildcards: BTreeSet<String>,
}

impl Facts {
    /// Adds the facts about the zone of `apex`, whose text has one record per line.
    pub(crate) fn add(&mut self, apex: &str, text: &str) {
        for line in text.lines() {
            let owner = line.split(' ').next().unwrap_or_default();
            if line.contains(" IN NS ") && owner != apex {
                self.delegated.insert(owner.into());
            }
            self.wildcards
                .extend(owner.strip_prefix("*.").map(String::from));
        }
    }
}

/// True if `name` is one of `above`, or below one.
fn is_below(name: &str, above: &BTreeSet<String>) -> bool {
    above
        .iter()
        .any(|above| name == above || name.ends_with(&format!(".{above}")))
}

/// A difference that the RFCs permit, or a known fault of the other server.
struct Known {
    name: &'static str,
    of: &'static [Server],
    /// Removes the difference from our answer (first) and theirs, if there is one.
    settle: fn(&mut Answer, &mut Answer, &Facts),
}

const KNOWN: [Known; 9] = [
    // RFC 1034, section 4.3.2, step 3a: the search starts again with the nearest zone. NSD and
    // Ringway do so, and follow a chain into another organization's zone.
    Known {
        name: "ends a chain of aliases where its zone ends",
        of: &[Server::Knot],
        settle: ends_with_its_zone,
    },
    // RFC 1034, section 6.2.1, has an example with them, but no rule; resolvers are configured with
    // the servers of the consortium.
    Known {
        name: "adds its NS records to an answer",
        of: &[Server::Nsd],
        settle: adds_its_servers,
    },
    // RFC 1034, section 4.3.2, step 6: other useful records. Ringway has the consortium's other
    // zones.
    Known {
        name: "adds no addresses of hosts in another zone",
        of: &[Server::Nsd, Server::Knot],
        settle: adds_no_other_zone,
    },
    // The same step permits them; but the zone has no authority for them (RFC 2181, section 6.1).
    Known {
        name: "adds addresses of hosts below a delegation",
        of: &[Server::Knot],
        settle: adds_delegated_hosts,
    },
    // Names below a cut are not data of the zone, so wildcards do not apply. Knot and Ringway
    // return the glue that the zone file has (RFC 9471, section 2).
    Known {
        name: "synthesizes glue from a wildcard",
        of: &[Server::Nsd],
        settle: synthesizes_glue,
    },
    // NSD 4.6 returns the address under a name that nothing in the answer points at: the host's
    // name without one or several consecutive labels.
    Known {
        name: "misnames a host that a wildcard makes",
        of: &[Server::Nsd],
        settle: misnames_hosts,
    },
    // NSD ends at a DNAME that it has used before, Knot after some aliases; Ringway follows up to
    // sixteen.
    Known {
        name: "ends a long chain of aliases earlier",
        of: &[Server::Nsd, Server::Knot],
        settle: ends_earlier,
    },
    // No such chain has an end; NSD and Ringway return the DNAME once.
    Known {
        name: "repeats a DNAME that points below itself",
        of: &[Server::Knot],
        settle: repeats_dname,
    },
    // RFC 6672, section 2.2 requires YXDOMAIN where a DNAME makes too long a name. Knot looks up
    // the truncated name: it answers, denies or refers, with either response code.
    Known {
        name: "looks up a truncated overlong name",
        of: &[Server::Knot],
        settle: looks_up_truncated_name,
    },
];

/// The names of the differences between our answer and that of `of`, if they are all known.
pub(crate) fn explained(
    of: Server,
    ours: &Answer,
    theirs: &Answer,
    facts: &Facts,
) -> Option<Vec<&'static str>> {
    let mut ours = ours.clone();
    let mut theirs = theirs.clone();
    let mut names = Vec::new();
    for known in KNOWN.iter().filter(|known| known.of.contains(&of)) {
        let before = (ours.clone(), theirs.clone());
        (known.settle)(&mut ours, &mut theirs, facts);
        if before != (ours.clone(), theirs.clone()) {
            names.push(known.name);
        }
    }
    (ours == theirs).then_some(names)
}

fn ends_with_its_zone(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    let leaves = |alias: &String| zone(owner(alias)) != zone(target(alias));
    let is_end = |alias: &String| {
        theirs
            .answer
            .iter()
            .all(|record| owner(record) != target(alias))
    };
    if theirs.rcode == "NOERROR"
        && theirs.authoritative
        && theirs.answer.is_subset(&ours.answer)
        && theirs.authority.is_empty()
        && theirs.additional.is_empty()
        && of_type(&theirs.answer, "cname").any(|alias| leaves(alias) && is_end(alias))
    {
        *ours = theirs.clone();
    }
}

fn adds_its_servers(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    let own = |record: &String| kind(record) == "ns" && zone(owner(record)) == owner(record);
    if ours.answer.is_empty() || ours.answer != theirs.answer || !ours.authority.is_empty() {
        return;
    }
    let servers: Section = theirs
        .authority
        .iter()
        .filter(|record| own(record))
        .cloned()
        .collect();
    theirs.authority.retain(|record| !own(record));
    let named = |host: &str| servers.iter().any(|server| target(server) == host);
    theirs
        .additional
        .retain(|record| ours.additional.contains(record) || !named(owner(record)));
}

fn adds_no_other_zone(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    let points_away =
        |record: &String, host: &str| target(record) == host && zone(owner(record)) != zone(host);
    let away = |host: &str| ours.answer.iter().any(|record| points_away(record, host));
    ours.additional
        .retain(|record| theirs.additional.contains(record) || !away(owner(record)));
}

fn adds_delegated_hosts(ours: &mut Answer, theirs: &mut Answer, facts: &Facts) {
    let added = |record: &String| is_below(owner(record), &facts.delegated);
    theirs
        .additional
        .retain(|record| ours.additional.contains(record) || !added(record));
}

fn synthesizes_glue(ours: &mut Answer, theirs: &mut Answer, facts: &Facts) {
    let is_server =
        |host: &str| of_type(&ours.authority, "ns").any(|server| target(server) == host);
    let made =
        |record: &String| is_server(owner(record)) && is_below(owner(record), &facts.wildcards);
    theirs
        .additional
        .retain(|record| ours.additional.contains(record) || !made(record));
}

fn misnames_hosts(ours: &mut Answer, theirs: &mut Answer, facts: &Facts) {
    let missing = &ours.additional - &theirs.additional;
    let extra = &theirs.additional - &ours.additional;
    let made = missing
        .iter()
        .filter(|right| is_below(owner(right), &facts.wildcards));
    for right in made {
        let wrong: Vec<_> = shortened(right)
            .into_iter()
            .filter(|short| extra.contains(short))
            .collect();
        if !wrong.is_empty() {
            ours.additional.remove(right);
            theirs.additional.retain(|record| !wrong.contains(record));
        }
    }
}

/// The record at each name that lacks consecutive labels of its owner.
fn shortened(record: &str) -> Vec<String> {
    let (owner, rest) = record.split_once(' ').unwrap_or_default();
    let labels: Vec<&str> = owner.split('.').collect();
    let without = |from: usize, to: usize| [&labels[..from], &labels[to..]].concat().join(".");
    let runs =
        (0..labels.len()).flat_map(|from| (from + 1..=labels.len()).map(move |to| (from, to)));
    runs.map(|(from, to)| format!("{} {rest}", without(from, to)))
        .collect()
}

fn ends_earlier(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    let links = of_type(&ours.answer, "cname").count();
    let renames = of_type(&ours.answer, "dname").count();
    let is_code = theirs.rcode == ours.rcode || theirs.rcode == "NOERROR";
    let is_cut = is_code && theirs.answer.is_subset(&ours.answer) && theirs.authority.is_empty();
    // A DNAME was used twice, or an alias was followed besides.
    if is_cut && links > 2 && renames > 0 && links > renames {
        *theirs = ours.clone();
    }
}

fn repeats_dname(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    let into_itself = |dname: &String| target(dname).ends_with(&format!(".{}", owner(dname)));
    if ours.rcode == "NOERROR" && of_type(&ours.answer, "dname").any(into_itself) {
        theirs
            .answer
            .retain(|record| ours.answer.contains(record) || kind(record) != "cname");
        // The name grew too long on the way.
        if theirs.rcode == "YXDOMAIN" {
            theirs.rcode.clone_from(&ours.rcode);
            theirs.authority.retain(|record| kind(record) != "soa");
        }
    }
}

fn looks_up_truncated_name(ours: &mut Answer, theirs: &mut Answer, _: &Facts) {
    if ours.rcode == "YXDOMAIN"
        && ours.authority.is_empty()
        && ours.answer.is_subset(&theirs.answer)
    {
        *theirs = ours.clone();
    }
}

fn of_type<'r>(records: &'r Section, wanted: &'r str) -> impl Iterator<Item = &'r String> {
    records.iter().filter(move |record| kind(record) == wanted)
}

/// A word of `owner ttl in kind data`.
fn word(record: &str, place: usize) -> &str {
    record.split(' ').nth(place).unwrap_or_default()
}

fn owner(record: &str) -> &str {
    word(record, 0)
}

fn kind(record: &str) -> &str {
    word(record, 3)
}

/// The name that the record points at: the last word of its data.
fn target(record: &str) -> &str {
    record.rsplit(' ').next().unwrap_or_default()
}

/// The zone that a drawn name is in: its last two labels.
fn zone(name: &str) -> &str {
    let mut dots = name.trim_end_matches('.').rmatch_indices('.').skip(1);
    dots.next().map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(answer: &[&str], authority: &[&str], additional: &[&str]) -> Answer {
        let section =
            |records: &[&str]| records.iter().map(|record| (*record).to_owned()).collect();
        Answer {
            rcode: "NOERROR".into(),
            authoritative: true,
            answer: section(answer),
            authority: section(authority),
            additional: section(additional),
        }
    }

    const MX: &str = "z1.test. 5 in mx 1 a.sub.z1.test.";
    const NS: &str = "z1.test. 5 in ns ns.z1.test.";
    const SERVER: &str = "ns.z1.test. 5 in a 10.0.0.1";
    const HOST: &str = "a.sub.z1.test. 5 in a 10.0.0.2";

    #[test]
    fn names_a_known_difference_and_no_other() {
        let none = Facts::default();
        let mut cut = Facts::default();
        cut.add(
            "z1.test.",
            "z1.test. 5 IN NS ns.z1.test.\nsub.z1.test. 5 IN NS a.sub.z1.test.\n",
        );
        let ours = answer(&[MX], &[], &[]);
        let plain = answer(&[MX], &[NS], &[SERVER]);
        let names = |of, theirs: &Answer, facts| explained(of, &ours, theirs, facts);
        assert_eq!(
            names(Server::Nsd, &plain, &none),
            Some(vec!["adds its NS records to an answer"])
        );
        assert_eq!(names(Server::Knot, &plain, &none), None);
        assert_eq!(
            names(Server::Nsd, &answer(&[MX], &[NS], &[HOST]), &none),
            None
        );
        assert_eq!(names(Server::Nsd, &answer(&[], &[NS], &[]), &none), None);
        let glue = answer(&[MX], &[], &[HOST]);
        assert_eq!(
            names(Server::Knot, &glue, &cut),
            Some(vec!["adds addresses of hosts below a delegation"])
        );
        assert_eq!(names(Server::Knot, &glue, &none), None);
        assert_eq!(
            explained(Server::Knot, &glue, &ours, &cut),
            None,
            "ours has more"
        );
        let other = Answer {
            rcode: "NXDOMAIN".into(),
            ..plain
        };
        assert_eq!(names(Server::Nsd, &other, &none), None);
    }

    #[test]
    fn a_chain_may_end_with_its_zone_and_nowhere_else() {
        let first = "a.z1.test. 5 in cname b.z1.test.";
        let second = "b.z1.test. 5 in cname z2.test.";
        let ours = answer(&[first, second, "z2.test. 5 in a 10.0.0.1"], &[], &[]);
        let names = |theirs: &[&str]| {
            explained(
                Server::Knot,
                &ours,
                &answer(theirs, &[], &[]),
                &Facts::default(),
            )
        };
        assert_eq!(
            names(&[first, second]),
            Some(vec!["ends a chain of aliases where its zone ends"])
        );
        assert_eq!(names(&[first]), None);
    }
}
