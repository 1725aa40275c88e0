//! The meet of two records of one organization.

use crate::{GatewayName, Member, PlacedPrefix, Root, SiteId, Via};

/// Leaves of `record` what `other` says too, and adds its revocations. Of our own organization
/// `local` stays: this gateway and its site.
pub(super) fn narrow(record: &mut Member, other: &Member, local: Option<(&GatewayName, &SiteId)>) {
    add_revoked(record, other);

    // An older record does not know what was added since: that is not taken away.
    if other.serial < record.serial {
        return;
    }

    let is_me = |name: &GatewayName| local.is_some_and(|(me, _)| me == name);
    record.gateways.retain(|gateway| {
        let theirs = other.gateway(&gateway.name);
        is_me(&gateway.name) || theirs.is_some_and(|theirs| theirs.site == gateway.site)
    });
    record.sites.retain_mut(|site| {
        if local.is_some_and(|(_, own)| *own == site.name) {
            return true;
        }
        let Some(theirs) = other.site(&site.name) else {
            return false;
        };
        site.prefixes = common(&site.prefixes, &theirs.prefixes);
        if !is_same_way(site.via.as_ref(), theirs.via.as_ref()) {
            // Neither way is allowed by both. Without gateways of its own, nobody serves it.
            site.via = None;
        }
        true
    });
    record
        .transit
        .retain(|transit| other.consents_to(&transit.org, &transit.site));

    narrow_roots(record, other, is_me);
}

/// As [`narrow`], for the record of an attached node, `me`: its sites are not those of the file.
pub(super) fn narrow_gateways(record: &mut Member, other: &Member, me: &GatewayName) {
    add_revoked(record, other);
    if other.serial < record.serial {
        return;
    }

    record
        .gateways
        .retain(|gateway| gateway.name == *me || other.gateway(&gateway.name).is_some());
    narrow_roots(record, other, |name| name == me);
}

fn add_revoked(record: &mut Member, other: &Member) {
    let revoked = &mut record.revoked;
    revoked
        .gateways
        .extend(other.revoked.gateways.iter().cloned());
    revoked.keys.extend(other.revoked.keys.iter().copied());
}

fn narrow_roots(record: &mut Member, other: &Member, is_me: impl Fn(&GatewayName) -> bool) {
    let roots: Vec<Root> = record
        .roots
        .iter()
        .filter(|root| other.roots.iter().any(|theirs| is_same(root, theirs)))
        .cloned()
        .collect();
    if roots.is_empty() && !record.roots.is_empty() {
        // Without any CA certificate, no gateway of the record can prove who it is.
        record.gateways.retain(|gateway| is_me(&gateway.name));
    } else {
        record.roots = roots;
    }
}

fn is_same_way(one: Option<&Via>, other: Option<&Via>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}

/// The addresses that lie in prefixes of both.
pub(super) fn common(ours: &[PlacedPrefix], theirs: &[PlacedPrefix]) -> Vec<PlacedPrefix> {
    let mut common: Vec<PlacedPrefix> = Vec::new();

    for one in ours {
        for other in theirs {
            if !one.prefix.overlaps(&other.prefix) {
                continue;
            }
            // Of two prefixes that overlap, one covers the other.
            let narrower = if one.prefix.covers(&other.prefix) && one.prefix != other.prefix {
                other
            } else {
                one
            };
            if common.iter().all(|known| known.prefix != narrower.prefix) {
                common.push(narrower.clone());
            }
        }
    }
    common
}

/// Certificates are compared without the line breaks of their files.
fn is_same(one: &Root, other: &Root) -> bool {
    let [one, other] = [one, other].map(|root| root.pem.split_whitespace());
    one.eq(other)
}
