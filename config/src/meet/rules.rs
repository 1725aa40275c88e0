//! The meet of two policies: the connections that both allow. If rules cannot express it exactly,
//! the meet allows less.

use crate::{
    Allow, AllowEgress, Config, Egress, Member, OrgId, Origin, Place, Policy, PortRange, Prefix,
    Service, SiteId, Target, limits,
};

/// Pairs of rules that are looked at. With more, only rules that stand on both sides count.
const MOST_PAIRS: usize = 10_000;

/// Elements of a list that a pair of rules gives; more are left out.
const MOST_ITEMS: usize = 4096;

/// The policy of `meet`, whose records are narrowed already, as far as `other` allows it too.
pub(super) fn narrow(meet: &Config, other: &Policy) -> Policy {
    let policy = &meet.policy;

    Policy {
        allow: narrow_allow(meet, other.allow.as_deref()),
        egress: narrower(policy.egress, other.egress),
        allow_egress: narrow_egress(meet, other),
        ..policy.clone()
    }
}

/// `None` allows echo, and whatever is not an empty list our DNS.
fn narrow_allow(meet: &Config, other: Option<&[Allow]>) -> Option<Vec<Allow>> {
    let ours = meet.policy.allow.as_deref();
    let (one, two) = match (ours, other) {
        (None, None) => return None,
        (Some([]), _) | (_, Some([])) => return Some(Vec::new()),
        (ours, other) => {
            let default = [default(meet)];
            (
                ours.unwrap_or(&default).to_vec(),
                other.unwrap_or(&default).to_vec(),
            )
        }
    };

    let mut both = pairs(&one, &two, is_same, |one, two| allow(meet, one, two));
    if both.is_empty() {
        // Nothing, but our DNS.
        both.push(nothing(meet));
    }
    Some(both)
}

fn is_same(one: &Allow, two: &Allow) -> bool {
    one.from == two.from && one.to == two.to && one.services == two.services
}

/// Without `[policy]`: echo, from everywhere.
fn default(meet: &Config) -> Allow {
    let served = meet.served_prefixes().into_iter();

    Allow {
        from: vec![Origin::All],
        to: served.map(Target::Prefix).collect(),
        services: vec![Service::Icmp],
        place: Place::whole(&meet.path),
    }
}

/// A rule that matches nothing: no packet of our site comes out of a tunnel.
fn nothing(meet: &Config) -> Allow {
    let own = meet.own_prefixes().iter();

    Allow {
        from: own.map(|own| Origin::Prefix(own.prefix)).collect(),
        ..default(meet)
    }
}

fn narrow_egress(meet: &Config, other: &Policy) -> Vec<AllowEgress> {
    let ours = &meet.policy;
    let mut both = pairs(
        &ours.allow_egress,
        &other.allow_egress,
        is_same_egress,
        |one, two| allow_egress(meet, one, two),
    );

    // What one side allows altogether, the other's rules may allow in part.
    for (mode, rules) in [
        (ours.egress, &other.allow_egress),
        (other.egress, &ours.allow_egress),
    ] {
        for rule in rules.iter().filter(|_| mode == Egress::All) {
            if both.iter().all(|known| !is_same_egress(known, rule)) {
                both.push(rule.clone());
            }
        }
    }
    both.truncate(limits::RULES);
    both
}

fn is_same_egress(one: &AllowEgress, two: &AllowEgress) -> bool {
    one.from == two.from && one.to == two.to && one.services == two.services
}

fn narrower(one: Egress, two: Egress) -> Egress {
    match (one, two) {
        (Egress::None, _) | (_, Egress::None) => Egress::None,
        (Egress::Named, _) | (_, Egress::Named) => Egress::Named,
        (Egress::All, Egress::All) => Egress::All,
    }
}

/// The rules that stand on both sides, and what each pair of the others has in common.
fn pairs<R: Clone>(
    ours: &[R],
    theirs: &[R],
    is_same: impl Fn(&R, &R) -> bool,
    common: impl Fn(&R, &R) -> Option<R>,
) -> Vec<R> {
    let (mut both, one): (Vec<R>, Vec<R>) = ours
        .iter()
        .cloned()
        .partition(|rule| theirs.iter().any(|other| is_same(rule, other)));
    let two: Vec<&R> = theirs
        .iter()
        .filter(|rule| ours.iter().all(|other| !is_same(rule, other)))
        .collect();

    // With more, rules that only one side has allow nothing: less is always safe.
    if one.len() * two.len() <= MOST_PAIRS {
        for rule in &one {
            both.extend(two.iter().filter_map(|other| common(rule, other)));
        }
    }
    both.truncate(limits::RULES);
    both
}

fn allow(meet: &Config, one: &Allow, two: &Allow) -> Option<Allow> {
    let from = origins(meet, &one.from, &two.from);
    let to = targets(meet, &one.to, &two.to);
    let services = services(&one.services, &two.services);
    let is_something = !from.is_empty() && !to.is_empty() && !services.is_empty();

    is_something.then(|| Allow {
        from,
        to,
        services,
        place: one.place.clone(),
    })
}

fn allow_egress(meet: &Config, one: &AllowEgress, two: &AllowEgress) -> Option<AllowEgress> {
    let from = targets(meet, &one.from, &two.from);
    let to = origins(meet, &one.to, &two.to);
    let services = services(&one.services, &two.services);
    let is_something = !from.is_empty() && !to.is_empty() && !services.is_empty();

    is_something.then(|| AllowEgress {
        from,
        to,
        services,
        place: one.place.clone(),
    })
}

fn origins(meet: &Config, one: &[Origin], two: &[Origin]) -> Vec<Origin> {
    let mut both = Vec::new();
    for ours in one {
        for theirs in two {
            both.extend(origin(meet, ours, theirs));
        }
    }

    both.sort();
    both.dedup();
    both.truncate(MOST_ITEMS);
    both
}

fn origin(meet: &Config, one: &Origin, two: &Origin) -> Vec<Origin> {
    match (one, two) {
        (one, two) if one == two => vec![one.clone()],
        (Origin::All, other) | (other, Origin::All) => vec![other.clone()],
        (Origin::Prefix(one), Origin::Prefix(two)) if one.overlaps(two) => {
            vec![Origin::Prefix(one.narrower(*two))]
        }
        // An organization stands for those of its sites that have gateways.
        (Origin::Org(org), Origin::Site(other, site))
        | (Origin::Site(other, site), Origin::Org(org))
            if org == other && has_gateways(meet, org, site) =>
        {
            vec![Origin::Site(org.clone(), site.clone())]
        }
        (Origin::Prefix(prefix), Origin::Org(org)) | (Origin::Org(org), Origin::Prefix(prefix)) => {
            within(meet, org, prefix, |site| has_gateways(meet, org, site))
        }
        (Origin::Prefix(prefix), Origin::Site(org, site))
        | (Origin::Site(org, site), Origin::Prefix(prefix)) => {
            within(meet, org, prefix, |other| other == site)
        }
        _ => Vec::new(),
    }
}

/// True if gateways of `org` itself serve its site.
fn has_gateways(meet: &Config, org: &OrgId, site: &SiteId) -> bool {
    let Some((server_org, server)) = meet.server_of(org, site) else {
        return false;
    };

    server_org == org
        && meet.record(org).is_some_and(|record| {
            let mut gateways = record.gateways.iter();
            gateways.any(|gateway| gateway.site == *server)
        })
}

/// The parts of `prefix` in those sites of `org`.
fn within(
    meet: &Config,
    org: &OrgId,
    prefix: &Prefix,
    counts: impl Fn(&SiteId) -> bool,
) -> Vec<Origin> {
    let sites = meet
        .record(org)
        .into_iter()
        .flat_map(|record: &Member| &record.sites);

    sites
        .filter(|site| counts(&site.name))
        .flat_map(|site| &site.prefixes)
        .filter(|placed| placed.prefix.overlaps(prefix))
        .map(|placed| Origin::Prefix(placed.prefix.narrower(*prefix)))
        .collect()
}

fn targets(meet: &Config, one: &[Target], two: &[Target]) -> Vec<Target> {
    let mut both = Vec::new();
    for ours in one {
        for theirs in two {
            if ours == theirs {
                both.push(ours.clone());
            } else {
                both.extend(common(ours, theirs));
            }
        }
    }
    // A name means addresses of this site, so that the whole site has it too.
    both.extend(names(one).filter(|_| is_whole_site(meet, two)).cloned());
    both.extend(names(two).filter(|_| is_whole_site(meet, one)).cloned());

    both.sort();
    both.dedup();
    both.truncate(MOST_ITEMS);
    both
}

/// What the prefixes of both have in common.
fn common(one: &Target, two: &Target) -> Vec<Target> {
    let mut both = Vec::new();
    for ours in one.prefixes() {
        let theirs = two.prefixes().iter();
        let theirs = theirs.filter(|theirs| ours.overlaps(theirs));
        both.extend(theirs.map(|theirs| Target::Prefix(ours.narrower(*theirs))));
    }
    both
}

fn names(targets: &[Target]) -> impl Iterator<Item = &Target> {
    targets
        .iter()
        .filter(|target| matches!(target, Target::Name(_)))
}

fn is_whole_site(meet: &Config, targets: &[Target]) -> bool {
    meet.served_prefixes().iter().all(|served| {
        let mut prefixes = targets.iter().flat_map(Target::prefixes);
        prefixes.any(|prefix| prefix.covers(served))
    })
}

fn services(one: &[Service], two: &[Service]) -> Vec<Service> {
    let mut both = Vec::new();
    for ours in one {
        for theirs in two {
            both.extend(service(ours, theirs));
        }
    }

    both.sort();
    both.dedup();
    both.truncate(MOST_ITEMS);
    both
}

fn service(one: &Service, two: &Service) -> Option<Service> {
    match (one, two) {
        (Service::Tcp(one), Service::Tcp(two)) => Some(Service::Tcp(ports(one, two)?)),
        (Service::Udp(one), Service::Udp(two)) => Some(Service::Udp(ports(one, two)?)),
        (one, two) if one == two => Some(one.clone()),
        _ => None,
    }
}

/// The ports of both, in order and disjoint as those of each are. `None`: none. Empty: every port.
fn ports(one: &[PortRange], two: &[PortRange]) -> Option<Vec<PortRange>> {
    if one.is_empty() || two.is_empty() {
        return Some([one, two].concat());
    }

    let mut both = Vec::new();
    for ours in one {
        for theirs in two {
            let first = ours.first.max(theirs.first);
            let last = ours.last.min(theirs.last);
            if first <= last {
                both.push(PortRange { first, last });
            }
        }
    }
    (!both.is_empty()).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_what_both_have() {
        let range = |first, last| PortRange { first, last };
        assert_eq!(ports(&[], &[]), Some(vec![]), "every port");
        assert_eq!(ports(&[range(1, 9)], &[]), Some(vec![range(1, 9)]));
        assert_eq!(
            ports(&[range(1, 5), range(8, 20)], &[range(4, 9)]),
            Some(vec![range(4, 5), range(8, 9)])
        );
        assert_eq!(
            ports(&[range(1, 5)], &[range(6, 9)]),
            None,
            "not every port"
        );
    }
}
