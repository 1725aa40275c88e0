//! [`translate`]: the names that a cluster's Services ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::DnsName;

use crate::addresses;
use crate::annotation;
use crate::cluster::Cluster;
use crate::finding::{Finding, Problem};
use crate::limits;
use crate::object::{Annotated, Key, Service, Slice};
use crate::terms::Terms;

/// The names of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The addresses of each name; none is empty.
    pub hosts: BTreeMap<DnsName, BTreeSet<IpAddr>>,
    /// Why some Services do not have what they ask for.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub more_findings: usize,
    /// Addresses of all names together.
    pub records: usize,
}

/// The names that the Services of `cluster` ask for. A name belongs to the oldest Service that asks
/// for it, whether that has addresses or not: each gateway decides the same, at any time.
pub fn translate(cluster: &Cluster, terms: &Terms) -> Names {
    let slices = slices_by_service(cluster);
    let mut names = Names::default();
    let mut owners: BTreeMap<DnsName, &Key> = BTreeMap::new();

    for (service, annotated) in by_age(cluster) {
        let mut problems = Vec::new();
        let wanted = annotation::names(&annotated.name, terms, &mut problems);
        let owned = claim(wanted, &service.key, &mut owners, &mut problems);

        if !owned.is_empty() {
            let of_service = slices
                .get(&service_of(&service.key))
                .map_or(&[][..], |of| of);
            let found = addresses::find(
                service,
                annotated,
                of_service,
                cluster,
                terms,
                &mut problems,
            );
            names.add(owned, &found, &mut problems);
        }
        names.note(&service.key, problems);
    }
    names
}

/// Those that ask for names, the oldest first.
fn by_age(cluster: &Cluster) -> Vec<(&Service, &Annotated)> {
    let mut services: Vec<(&Service, &Annotated)> = cluster
        .services()
        .filter_map(|service| Some((service, service.annotated.as_ref()?)))
        .collect();

    services.sort_by_key(|(service, _)| (&service.created, &service.key));
    services
}

/// Of the `wanted` names, those that no older Service has.
fn claim<'a>(
    wanted: BTreeSet<DnsName>,
    service: &'a Key,
    owners: &mut BTreeMap<DnsName, &'a Key>,
    problems: &mut Vec<Problem>,
) -> Vec<DnsName> {
    let mut owned = Vec::new();
    for name in wanted {
        if let Some(owner) = owners.get(&name) {
            let by = Key::clone(owner);
            problems.push(Problem::Claimed { name, by });
        } else if owners.len() >= limits::NAMES {
            problems.push(Problem::TooManyNames(name));
        } else {
            owners.insert(name.clone(), service);
            owned.push(name);
        }
    }
    owned
}

/// Namespace and Service.
type Of<'a> = (&'a str, &'a str);

fn service_of(key: &Key) -> Of<'_> {
    (&key.namespace, &key.name)
}

fn slices_by_service(cluster: &Cluster) -> BTreeMap<Of<'_>, Vec<&Slice>> {
    let mut by_service: BTreeMap<Of<'_>, Vec<&Slice>> = BTreeMap::new();
    for slice in cluster.slices() {
        let of = (slice.key.namespace.as_str(), slice.service.as_str());
        by_service.entry(of).or_default().push(slice);
    }
    by_service
}

impl Names {
    fn add(
        &mut self,
        owned: Vec<DnsName>,
        addresses: &BTreeSet<IpAddr>,
        problems: &mut Vec<Problem>,
    ) {
        // A name without addresses does not exist.
        if addresses.is_empty() {
            return;
        }
        let records = self.records + owned.len() * addresses.len();
        if records > limits::RECORDS {
            problems.push(Problem::TooManyRecords);
            return;
        }

        self.records = records;
        for name in owned {
            self.hosts.insert(name, addresses.clone());
        }
    }

    fn note(&mut self, service: &Key, problems: Vec<Problem>) {
        for problem in problems {
            if self.findings.len() < limits::FINDINGS {
                self.findings.push(Finding {
                    service: service.clone(),
                    problem,
                });
            } else {
                self.more_findings += 1;
            }
        }
    }
}
