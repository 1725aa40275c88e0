//! Random zones and questions. Labels are short and few, so that questions often meet existing
//! names.

use ringway_dns::Name;
use ringway_dns::rdata::kind;

/// Zones of a round.
pub(crate) const ZONES: usize = 40;
/// Octets that a response over UDP may have (EDNS).
const MAX_RESPONSE: u16 = 1232;

/// A random number generator with a seed (xorshift64*).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.max(1))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    /// Up to `most` labels, each with a dot after it; one time in 50 up to six times as many.
    fn labels(&mut self, most: usize) -> String {
        let many = if self.below(50) == 0 { 6 * most } else { most };
        (0..self.below(many + 1))
            .map(|_| format!("{}.", self.of(&["a", "b", "c", "a", "b", "*"])))
            .collect()
    }

    /// One time in `one_in`, labels so long that two of them exceed the length of a name (RFC 6672,
    /// section 2.2).
    fn long_labels(&mut self, one_in: usize) -> String {
        if self.below(one_in) == 0 {
            format!("{}.", "l".repeat(60)).repeat(3)
        } else {
            String::new()
        }
    }
}

pub(crate) fn apex(zone: usize) -> String {
    format!("z{zone}.test.")
}

/// A random zone that all three servers accept: no CNAME beside other data, no data below a DNAME,
/// no delegation or DNAME at a wildcard.
pub(crate) fn zone_text(rng: &mut Rng, apex: &str) -> String {
    let mut text =
        format!("{apex} 5 IN SOA ns.{apex} h.{apex} 1 60 10 600 5\n{apex} 5 IN NS ns.{apex}\n");
    let mut owners = vec![(apex.to_owned(), "SOA")];
    for _ in 0..rng.below(40) {
        let owner = rng.labels(4) + apex;
        let kind = rng.of(&[
            "A", "A", "A", "AAAA", "TXT", "MX", "SRV", "CNAME", "CNAME", "DNAME", "NS", "NS",
        ]);
        if !is_allowed(&owners, &owner, kind) {
            continue;
        }
        let target = match rng.below(8) {
            0 => rng.labels(2) + "out.invalid.",
            // Into another zone.
            1 => rng.labels(2) + &self::apex(rng.below(ZONES)),
            // Below the owner: a delegation to such a host has glue.
            2 | 3 => format!("{}{owner}", rng.of(&["a.", "b."])),
            _ => rng.labels(3) + apex,
        };
        let data = match kind {
            "A" => format!("10.0.0.{}", rng.below(250)),
            "AAAA" => format!("fd00::{}", rng.below(250)),
            "TXT" => format!("\"t{}\"", rng.below(250)),
            "MX" => format!("1 {target}"),
            "SRV" => format!("0 0 7051 {target}"),
            "DNAME" => rng.long_labels(3) + &target,
            _ => target,
        };
        text += &format!("{owner} 5 IN {kind} {data}\n");
        owners.push((owner.clone(), kind));
        // Random names are rarely glue.
        let glue = format!("a.{owner}");
        let glue_kind = rng.of(&["A", "AAAA"]);
        if kind == "NS" && rng.below(2) == 0 && is_allowed(&owners, &glue, glue_kind) {
            let address = if glue_kind == "A" {
                "10.0.1.1"
            } else {
                "fd00::1"
            };
            text += &format!("{glue} 5 IN {glue_kind} {address}\n");
            owners.push((glue, glue_kind));
        }
    }
    text
}

/// True if the zone may have another record of `kind` at `owner`.
fn is_allowed(owners: &[(String, &str)], owner: &str, kind: &str) -> bool {
    let below =
        |name: &str, above: &str| name.len() > above.len() && name.ends_with(&format!(".{above}"));
    let here = |kinds: &[&str]| {
        owners
            .iter()
            .any(|(name, kind)| name == owner && kinds.contains(kind))
    };
    let taken = owners.iter().any(|(name, _)| name == owner);
    let renamed = owners
        .iter()
        .any(|(name, kind)| *kind == "DNAME" && below(owner, name));
    !renamed
        && !here(&["CNAME", "DNAME"])
        && match kind {
            "CNAME" => !taken,
            "DNAME" => {
                !taken && !owner.contains('*') && !owners.iter().any(|(name, _)| below(name, owner))
            }
            "NS" => !here(&["SOA"]) && !owner.contains('*'),
            _ => true,
        }
}

/// A random query, and its text for the report.
pub(crate) fn question(rng: &mut Rng, id: u16) -> (Vec<u8>, String) {
    let kinds = [
        kind::A,
        kind::AAAA,
        kind::TXT,
        kind::MX,
        kind::SRV,
        kind::CNAME,
        kind::DNAME,
        kind::NS,
        kind::SOA,
    ];
    let name = rng.long_labels(10) + &rng.labels(5) + &apex(rng.below(ZONES));
    let kind = kinds[rng.below(kinds.len())];
    (message(id, &name, kind), format!("{name} type {kind}"))
}

/// A query with EDNS.
pub(crate) fn message(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let header = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]].concat();
    let name = Name::from_text(name).expect("drawn names are short enough");
    let opt = [&[0, 0, 41][..], &MAX_RESPONSE.to_be_bytes(), &[0; 6]].concat();
    [&header, name.as_wire(), &kind.to_be_bytes(), &[0, 1], &opt].concat()
}
