//! Zones and questions, drawn by lot: short labels out of few, so that names meet.

use ringway_dns::Name;
use ringway_dns::rdata::kind;

/// Zones of a run.
pub(crate) const ZONES: usize = 40;
/// Octets of an answer over UDP that the questions allow (EDNS).
const ROOM: u16 = 1232;

/// A repeatable source of choices (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.max(1))
    }

    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    /// Up to `most` labels, with a dot behind each; now and then many more.
    fn labels(&mut self, most: usize) -> String {
        let many = if self.below(50) == 0 { 6 * most } else { most };
        (0..self.below(many + 1))
            .map(|_| format!("{}.", self.of(&["a", "b", "c", "a", "b", "*"])))
            .collect()
    }

    /// Once in `sides`, labels so long that with as many again there is no name (RFC 6672, section 2.2).
    fn long_labels(&mut self, sides: usize) -> String {
        if self.below(sides) == 0 {
            format!("{}.", "l".repeat(60)).repeat(3)
        } else {
            String::new()
        }
    }
}

pub(crate) fn apex(zone: usize) -> String {
    format!("z{zone}.test.")
}

/// A zone that all three load: no CNAME beside other data, no data below a DNAME, no delegation or DNAME at
/// a wildcard. Everything else is drawn.
pub(crate) fn zone_text(dice: &mut Dice, apex: &str) -> String {
    let mut text =
        format!("{apex} 5 IN SOA ns.{apex} h.{apex} 1 60 10 600 5\n{apex} 5 IN NS ns.{apex}\n");
    let mut owners = vec![(apex.to_owned(), "SOA")];
    for _ in 0..dice.below(40) {
        let owner = dice.labels(4) + apex;
        let kind = dice.of(&[
            "A", "A", "A", "AAAA", "TXT", "MX", "SRV", "CNAME", "CNAME", "DNAME", "NS", "NS",
        ]);
        if !is_lawful(&owners, &owner, kind) {
            continue;
        }
        let target = match dice.below(8) {
            0 => dice.labels(2) + "out.invalid.",
            // Into another zone, and for a delegation most usefully: below the cut.
            1 => dice.labels(2) + &self::apex(dice.below(ZONES)),
            2 | 3 => format!("{}{owner}", dice.of(&["a.", "b."])),
            _ => dice.labels(3) + apex,
        };
        let data = match kind {
            "A" => format!("10.0.0.{}", dice.below(250)),
            "AAAA" => format!("fd00::{}", dice.below(250)),
            "TXT" => format!("\"t{}\"", dice.below(250)),
            "MX" => format!("1 {target}"),
            "SRV" => format!("0 0 7051 {target}"),
            "DNAME" => dice.long_labels(3) + &target,
            _ => target,
        };
        text += &format!("{owner} 5 IN {kind} {data}\n");
        owners.push((owner.clone(), kind));
        // Glue is rarely met by chance.
        let (glue, below) = (format!("a.{owner}"), dice.of(&["A", "AAAA"]));
        if kind == "NS" && dice.below(2) == 0 && is_lawful(&owners, &glue, below) {
            text += &format!(
                "{glue} 5 IN {below} {}\n",
                if below == "A" { "10.0.1.1" } else { "fd00::1" }
            );
            owners.push((glue, below));
        }
    }
    text
}

fn is_lawful(owners: &[(String, &str)], owner: &str, kind: &str) -> bool {
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

/// A message, and how to say it in a report.
pub(crate) fn question(dice: &mut Dice, id: u16) -> (Vec<u8>, String) {
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
    let name = dice.long_labels(10) + &dice.labels(5) + &apex(dice.below(ZONES));
    let kind = kinds[dice.below(kinds.len())];
    (message(id, &name, kind), format!("{name} type {kind}"))
}

/// A question with EDNS.
pub(crate) fn message(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let header = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]].concat();
    let name = Name::from_text(name).expect("drawn names are short enough");
    let opt = [&[0, 0, 41][..], &ROOM.to_be_bytes(), &[0; 6]].concat();
    [&header, name.as_wire(), &kind.to_be_bytes(), &[0, 1], &opt].concat()
}
