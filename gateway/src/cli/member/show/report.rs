//! The output of `member show --json`.

use ringway_config::Member;
use ringway_identity::Crl;
use ringway_identity::certificate::{Certificate, rfc3339};
use rustls_pki_types::UnixTime;
use serde::Serialize;

use crate::admin::report::RevocationListReport;

/// A record.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    org: String,
    domain: String,
    zone: String,
    serial: u64,
    fingerprint: String,
    authorities: Vec<Authority>,
    sites: Vec<Site>,
    gateways: Vec<Gateway>,
    transit: Vec<String>,
    revoked: Revoked,
    revocation_lists: Vec<RevocationListReport>,
}

#[derive(Debug, Serialize)]
struct Authority {
    subject: String,
    not_after: String,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
struct Site {
    name: String,
    prefixes: Vec<String>,
    via: Option<String>,
}

#[derive(Debug, Serialize)]
struct Gateway {
    name: String,
    site: String,
    endpoints: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Revoked {
    gateways: Vec<String>,
    keys: Vec<String>,
}

impl Report {
    pub(super) fn of(member: &Member, authorities: &[Certificate], lists: &[Crl]) -> Report {
        let now = UnixTime::now();
        let lists = lists
            .iter()
            .map(|list| RevocationListReport::of(&member.org, list, now));

        Report {
            org: member.org.to_string(),
            domain: member.domain.to_string(),
            zone: member.domain.zone_of(&member.org).to_string(),
            serial: member.serial,
            fingerprint: member.digest.to_string(),
            authorities: authorities.iter().map(Authority::of).collect(),
            sites: member.sites.iter().map(Site::of).collect(),
            gateways: member.gateways.iter().map(Gateway::of).collect(),
            transit: texts(&member.transit),
            revoked: Revoked {
                gateways: texts(&member.revoked.gateways),
                keys: texts(&member.revoked.keys),
            },
            revocation_lists: lists.collect(),
        }
    }
}

impl Authority {
    fn of(ca: &Certificate) -> Authority {
        Authority {
            subject: ca.subject.clone(),
            not_after: rfc3339(ca.not_after),
            fingerprint: ca.fingerprint.to_string(),
        }
    }
}

impl Site {
    fn of(site: &ringway_config::Site) -> Site {
        Site {
            name: site.name.to_string(),
            prefixes: texts(site.prefixes.iter().map(|placed| placed.prefix)),
            via: site.via.as_ref().map(ToString::to_string),
        }
    }
}

impl Gateway {
    fn of(gateway: &ringway_config::Gateway) -> Gateway {
        Gateway {
            name: gateway.name.to_string(),
            site: gateway.site.to_string(),
            endpoints: texts(&gateway.endpoints),
        }
    }
}

fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}
