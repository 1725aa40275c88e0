//! `[policy]`: the connections that hosts of other sites may open here, and that our hosts may open
//! in other sites.
//!
//! A rule about an organization, a site or a prefix that is in no record is no fault but a note: it
//! matches nothing, and must not keep the removal of a member from being loaded. What a name means
//! is known only with the zone, and checked by the gateway.

mod node;
mod origin;
mod ports;
mod proto;
mod scope;
mod service;
mod target;
mod test;

use super::consortium::Consortium;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::nodes::Listed;
use super::table::Table;
use super::tunnel::read_seconds;
use crate::keys::{allow, allow_egress, gateway, policy as keys};
use crate::{Allow, AllowEgress, Egress, OnDenied, Policy, limits};

use scope::Scope;
use service::{Named, ServiceKeys};

/// Seconds.
const GRACE: std::ops::RangeInclusive<u32> = 0..=3600;

/// Ports that a system gives to connections that it opens (RFC 6056, section 3.2). A service below
/// would be open to every segment that claims to belong to a known connection.
const GRACE_PORTS: std::ops::RangeInclusive<u32> = 1024..=65_535;

/// Reads `[policy]`. A rule with faults is left out.
pub(crate) fn read(
    table: &Table<'_>,
    local: &LocalGateway,
    consortium: &Consortium,
    nodes: &Listed,
) -> Policy {
    let Some(table) = table.table(&gateway::POLICY, &keys::SCHEMA) else {
        return Policy::default();
    };
    let scope = Scope::new(local, consortium, nodes);
    let named = Named::read(&table);

    let allow = table.tables(&keys::ALLOW, limits::RULES, &allow::SCHEMA);
    let allow_egress = table.tables(&keys::ALLOW_EGRESS, limits::RULES, &allow_egress::SCHEMA);
    let mut policy = Policy {
        allow: Some(
            allow
                .iter()
                .filter_map(|rule| read_allow(rule, &scope, &named))
                .collect(),
        ),
        allow_egress: allow_egress
            .iter()
            .filter_map(|rule| read_allow_egress(rule, &scope, &named))
            .collect(),
        tests: test::read(&table, &scope, &named),
        ..Policy::default()
    };
    read_settings(&table, &mut policy);

    policy.services = named.into_services();
    policy
}

/// A value with faults is reported; the default that stays is never used.
fn read_settings(table: &Table<'_>, policy: &mut Policy) {
    if let Some(denied) = table
        .optional(&keys::DENIED)
        .and_then(|item| item.word(&[("drop", OnDenied::Drop), ("reject", OnDenied::Reject)]))
    {
        policy.denied = denied;
    }
    if let Some(egress) = table
        .optional(&keys::EGRESS)
        .and_then(|item| read_egress(&item))
    {
        policy.egress = egress;
    }
    if let Some(flows) = table
        .optional(&keys::FLOWS)
        .and_then(|item| item.integer(limits::FLOWS))
    {
        policy.flows = flows;
    }
    if let Some(grace) = read_seconds(table, &keys::GRACE, GRACE) {
        policy.grace = grace;
    }
    if let Some(port) = table
        .optional(&keys::GRACE_PORTS)
        .and_then(|item| u16::try_from(item.integer(GRACE_PORTS)?).ok())
    {
        policy.grace_port = port;
    }
}

fn read_egress(item: &Item<'_>) -> Option<Egress> {
    item.word(&[
        ("all", Egress::All),
        ("named", Egress::Named),
        ("none", Egress::None),
    ])
}

fn read_allow(rule: &Table<'_>, scope: &Scope<'_>, named: &Named) -> Option<Allow> {
    const SERVICE: ServiceKeys = ServiceKeys {
        proto: &allow::PROTO,
        ports: &allow::PORTS,
        service: &allow::SERVICE,
    };

    // Every key is read before the first `?`, so that the faults of all are reported.
    let from = rule
        .required(&allow::FROM)
        .and_then(|item| origin::read(&item, scope));
    let to = rule
        .required(&allow::TO)
        .and_then(|item| target::read(&item, scope));
    let services = service::read(rule, &SERVICE, named);

    Some(Allow {
        from: from?,
        to: to?,
        services: services?,
        place: rule.place().clone(),
    })
}

fn read_allow_egress(rule: &Table<'_>, scope: &Scope<'_>, named: &Named) -> Option<AllowEgress> {
    const SERVICE: ServiceKeys = ServiceKeys {
        proto: &allow_egress::PROTO,
        ports: &allow_egress::PORTS,
        service: &allow_egress::SERVICE,
    };

    let from = rule
        .required(&allow_egress::FROM)
        .and_then(|item| target::read(&item, scope));
    let to = rule
        .required(&allow_egress::TO)
        .and_then(|item| origin::read(&item, scope));
    let services = service::read(rule, &SERVICE, named);

    Some(AllowEgress {
        from: from?,
        to: to?,
        services: services?,
        place: rule.place().clone(),
    })
}
