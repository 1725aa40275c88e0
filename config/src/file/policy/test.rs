//! `[[policy.test]]`: what the rules must say. Whether they do is judged by the gateway, which
//! knows the addresses of names.

use super::node::{self, NODE};
use super::scope::Scope;
use super::service::{self, Named, ServiceKeys};
use crate::file::item::Item;
use crate::file::table::Table;
use crate::keys::{policy, policy_test as keys};
use crate::{Expectation, Party, PolicyTest, limits};

const SERVICE: ServiceKeys = ServiceKeys {
    proto: &keys::PROTO,
    ports: &keys::PORTS,
    service: &keys::SERVICE,
};

/// Reads every test. One with faults is left out.
pub(super) fn read(policy: &Table<'_>, scope: &Scope<'_>, named: &Named) -> Vec<PolicyTest> {
    policy
        .tables(&policy::TEST, limits::POLICY_TESTS, &keys::SCHEMA)
        .iter()
        .filter_map(|test| read_test(test, scope, named))
        .collect()
}

fn read_test(test: &Table<'_>, scope: &Scope<'_>, named: &Named) -> Option<PolicyTest> {
    // Every key is read before the first `?`, so that the faults of all are reported.
    let from = test
        .required(&keys::FROM)
        .and_then(|item| read_party(&item, scope));
    let to = test
        .required(&keys::TO)
        .and_then(|item| read_party(&item, scope));
    let services = service::read(test, &SERVICE, named);
    let expect = test
        .required(&keys::EXPECT)
        .and_then(|item| item.word(&[("allow", Expectation::Allow), ("deny", Expectation::Deny)]));

    Some(PolicyTest {
        from: from?,
        to: to?,
        services: services?,
        expect: expect?,
        place: test.place().clone(),
    })
}

fn read_party(item: &Item<'_>, scope: &Scope<'_>) -> Option<Party> {
    let text = item.text()?;
    // A node that is not known is a fault here as in a rule.
    if let Some((org, name)) = text.split_once(NODE) {
        node::read(item, org, name, scope)?;
    }
    // Without a zone, which was reported, names cannot be completed.
    let zone = scope.zone.as_ref()?;
    match Party::parse(text, zone) {
        Ok(party) => Some(party),
        Err(error) => item.refuse(error),
    }
}
