//! [`lint()`]: finds mistakes in our names that do not prevent serving them.

use std::sync::Arc;

use ringway_config::{ApexMode, Config, Fault, Member};
use ringway_dns::lint::{self, Known};
use ringway_dns::{Name, Sources, Zone};

use super::stored::stored;

/// The mistakes in `zone` of `config`, with the places of its records in `sources`. Reads stored
/// copies of other zones if records point there. Blocks.
pub fn lint(config: &Config, zone: &Zone, sources: &Sources) -> Vec<Fault> {
    // If the domain is also used publicly, it has names that are not known here.
    let domain = match config.dns.apex {
        ApexMode::Closed => Some(Name::from(&config.own.domain)),
        ApexMode::Forward => None,
    };
    let mut known = Known::new(domain);
    let targets: Vec<Name> = sources.targets().collect();

    add_own(&mut known, config, zone);
    for member in &config.members {
        let apex = Name::from(&config.own.domain.zone_of(&member.org));
        if targets.iter().any(|target| target.is_within(&apex)) {
            add_member(&mut known, config, member, &apex);
        }
    }
    lint::lint(zone, sources, &known)
}

fn add_own(known: &mut Known, config: &Config, zone: &Zone) {
    let stored = stored(config, &config.own, Some(zone));
    let Some(union) = stored.union else {
        return;
    };

    let missing: Vec<String> = stored.missing.iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        known.add(Arc::new(union.zone));
    } else {
        known.add_part(Arc::new(union.zone), missing.join(" or "));
    }
}

fn add_member(known: &mut Known, config: &Config, member: &Member, apex: &Name) {
    let stored = stored(config, member, None);

    match stored.union {
        Some(union) if stored.missing.is_empty() => known.add(Arc::new(union.zone)),
        _ => known.add_unknown(apex),
    }
}
