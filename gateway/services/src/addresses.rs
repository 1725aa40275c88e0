//! `find`: the addresses at which members reach a Service.
//!
//! | Service | addresses |
//! |---|---|
//! | ClusterIP, headless | its ready endpoints: the ClusterIP leads nowhere outside the cluster |
//! | LoadBalancer | what the cloud gave it |
//! | NodePort | the ready nodes; with `externalTrafficPolicy: Local` those with a ready endpoint |
//! | any, with `ringway.io/address` | these, such as a load balancer's before the nodes |
//!
//! A Service has none unless one of its endpoints is ready: members would reach a load balancer
//! that has nobody to ask, while another site may serve the same name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::annotation::{self, Origin};
use crate::cluster::Cluster;
use crate::finding::Problem;
use crate::limits;
use crate::object::{Annotated, Endpoint, Ingress, Service, Slice};
use crate::terms::Terms;

/// The addresses of `service`, of which `slices` are the endpoints. What is wrong is added to
/// `problems`.
pub(crate) fn find(
    service: &Service,
    annotated: &Annotated,
    slices: &[&Slice],
    cluster: &Cluster,
    terms: &Terms,
    problems: &mut Vec<Problem>,
) -> BTreeSet<IpAddr> {
    let origin = annotation::origin(annotated.from.as_deref(), service.kind, problems);
    if origin == Origin::Nowhere {
        problems.push(Problem::Alias);
        return BTreeSet::new();
    }

    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready: Vec<&Endpoint> = endpoints.filter(|endpoint| endpoint.is_ready).collect();
    if ready.is_empty() {
        problems.push(Problem::NotReady);
        return BTreeSet::new();
    }

    let found = match (&annotated.address, origin) {
        (Some(text), _) => annotation::addresses(text, problems),
        (None, Origin::LoadBalancer) => of_load_balancer(service, problems),
        (None, Origin::Nodes) => of_nodes(service, &ready, cluster, problems),
        (None, _) => ready.iter().map(|endpoint| endpoint.address).collect(),
    };
    capped(ours(found, terms, problems), problems)
}

fn of_load_balancer(service: &Service, problems: &mut Vec<Problem>) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    if service.ingress.is_empty() {
        problems.push(Problem::NoIngress);
    }

    for ingress in &service.ingress {
        match ingress {
            Ingress::Address(address) => {
                addresses.insert(*address);
            }
            Ingress::Other(text) => problems.push(Problem::Hostname(text.clone())),
        }
    }
    addresses
}

fn of_nodes(
    service: &Service,
    ready: &[&Endpoint],
    cluster: &Cluster,
    problems: &mut Vec<Problem>,
) -> BTreeSet<IpAddr> {
    let Some(nodes) = cluster.nodes() else {
        problems.push(Problem::NodesUnknown);
        return BTreeSet::new();
    };

    let hosts: BTreeSet<&str> = ready
        .iter()
        .filter_map(|endpoint| endpoint.node.as_deref())
        .collect();
    let addresses: BTreeSet<IpAddr> = nodes
        .filter(|node| node.is_ready && !node.is_excluded)
        .filter(|node| !service.is_local || hosts.contains(node.key.name.as_str()))
        .flat_map(|node| node.addresses.iter().copied())
        .collect();

    if addresses.is_empty() {
        problems.push(Problem::NoNode);
    }
    addresses
}

/// Leaves out what is not this site's. One finding stands for all.
fn ours(found: BTreeSet<IpAddr>, terms: &Terms, problems: &mut Vec<Problem>) -> BTreeSet<IpAddr> {
    let (ours, foreign): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
        found.into_iter().partition(|address| terms.holds(*address));
    if let Some(first) = foreign.first() {
        problems.push(Problem::Foreign(*first));
    }

    ours
}

/// The lowest addresses, if there are too many: the same ones at each gateway.
fn capped(found: BTreeSet<IpAddr>, problems: &mut Vec<Problem>) -> BTreeSet<IpAddr> {
    if found.len() > limits::ADDRESSES {
        problems.push(Problem::TooManyAddresses(found.len()));
    }

    found.into_iter().take(limits::ADDRESSES).collect()
}
