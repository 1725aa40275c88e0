//! PTR records that an organization states itself.
//!
//! They travel and unite as the other records of its zone do, and so stand in it: the name of the
//! address, with the zone's apex behind it.
//! ```text
//!   11.0.1.10.in-addr.arpa.acme.consortium.example  PTR  web.acme.consortium.example
//! ```
//! As with derived ones, only those for addresses in the organization's own prefixes are ever
//! asked for. Their names are the organization's own, or outside the consortium: nobody's address
//! bears the name of another member's host.

use std::net::IpAddr;

use super::{MAX_NAMES, ReverseName};
use crate::name::Name;
use crate::rdata::kind;
use crate::rrset::RRset;
use crate::source::Record;
use crate::zone::Zone;

/// Where the zone at `apex` states the names of an address; `None` if `owner` is no reverse name.
pub fn stated_at(owner: &Name, apex: &Name) -> Option<Name> {
    let name = ReverseName::parse(&owner.labels())?;
    if !name.is_whole_address() {
        return None;
    }

    let wire = owner.as_wire();
    apex.prefixed(&wire[..wire.len() - 1])
}

/// Moves PTR records of addresses from outside the zone at `apex` to where it states them.
pub(crate) fn take_in(records: &mut [Record], apex: &Name) {
    for record in records {
        if record.kind != kind::PTR || record.owner.is_within(apex) {
            continue;
        }
        if let Some(owner) = stated_at(&record.owner, apex) {
            record.owner = owner;
        }
    }
}

/// The address whose names `owner` states.
pub(crate) fn stated_address(owner: &Name, apex: &Name) -> Option<IpAddr> {
    let labels = owner.labels();
    let below = labels.count().checked_sub(apex.labels().count())?;
    if !owner.is_within(apex) {
        return None;
    }

    let wire = [labels.prefix(below), &[0]].concat();
    let (name, _) = Name::from_wire(&wire).ok()?;
    let name = ReverseName::parse(&name.labels())?;
    name.is_whole_address().then_some(name.address)
}

/// True if the zone at `apex` may give its addresses the name `target`, in wire form.
pub(crate) fn may_be_named(target: &[u8], apex: &Name) -> bool {
    let Ok((target, _)) = Name::from_wire(target) else {
        return false;
    };
    let domain = Name::from_wire(apex.labels().suffix(1)).map(|(domain, _)| domain);

    // A zone directly below the root has no consortium around it.
    let is_in_domain = domain.is_ok_and(|domain| domain != Name::ROOT && target.is_within(&domain));
    !is_in_domain || target.is_within(apex)
}

/// The names that `zone` states, by address.
pub(super) fn sets(zone: &Zone) -> Vec<(IpAddr, RRset)> {
    let mut sets = Vec::new();
    zone.rrsets(|owner, set| {
        if set.kind() != kind::PTR {
            return;
        }
        let Some(address) = stated_address(owner, zone.apex()) else {
            return;
        };

        // An honest gateway has refused others in its files. A hostile one is checked here.
        let names: Vec<&[u8]> = set
            .data()
            .filter(|target| may_be_named(target, zone.apex()))
            .take(MAX_NAMES)
            .collect();
        if !names.is_empty() {
            sets.push((address, RRset::pack(kind::PTR, set.ttl(), names)));
        }
    });
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reverse::Pointers;
    use crate::zone::tests::zone;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    #[test]
    fn stated_names_take_the_place_of_derived_ones() {
        let zone = zone(
            "acme.example",
            "@ SOA gw h 1 2 3 4 5\na A 10.1.0.1\nb A 10.1.0.1\nc A 10.1.0.2\n\
             1.0.1.10.in-addr.arpa PTR b\n1.0.1.10.in-addr.arpa PTR www.elsewhere.\n\
             2.0.1.10.in-addr.arpa PTR host.beta.example.\n0.1.10.in-addr.arpa PTR a\n",
        );
        let names = |address: &str| -> Vec<String> {
            let pointers = Pointers::of(&zone);
            let set = &pointers.0[&address.parse::<IpAddr>().unwrap()];
            let names = set
                .data()
                .map(|data| Name::from_wire(data).unwrap().0.to_string());
            names.collect()
        };

        assert_eq!(names("10.1.0.1"), ["b.acme.example", "www.elsewhere"]);
        // Another member's host is no name of ours.
        assert_eq!(names("10.1.0.2"), ["c.acme.example"]);
        assert_eq!(Pointers::of(&zone).0.len(), 2);
    }

    #[test]
    fn the_place_of_an_address_is_its_name_below_the_apex() {
        let apex = name("acme.example");
        for reverse in [
            "11.0.1.10.in-addr.arpa",
            "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
        ] {
            let at = stated_at(&name(reverse), &apex).unwrap();
            assert_eq!(at.to_string(), format!("{reverse}.acme.example"));
            let address = stated_address(&at, &apex).unwrap();
            assert_eq!(ringway_config::reverse_name(address), reverse);
        }
        for none in [
            "0.1.10.in-addr.arpa",
            "x.11.0.1.10.in-addr.arpa",
            "a.example",
        ] {
            assert_eq!(stated_at(&name(none), &apex), None, "{none}");
        }
    }
}
