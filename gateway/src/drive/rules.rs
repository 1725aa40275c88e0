//! [`CompiledRules`]: the filter's rules of the moment. They are compiled again only if something
//! that they depend on has changed: tables are published with every session.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringway_config::DnsName;
use ringway_dns::Zone;
use ringway_dns::rdata::kind;
use ringway_filter::{Rules, RulesSpec};

/// The latest rules, and what they were compiled from.
#[derive(Default)]
pub(super) struct CompiledRules(Option<Compiled>);

struct Compiled {
    /// Without names.
    spec: RulesSpec,
    zone: Option<Arc<Zone>>,
    rules: Arc<Rules>,
}

impl CompiledRules {
    /// The rules of `spec`, with the addresses of the names in `zone`, our own.
    pub(super) fn compile(&mut self, spec: &RulesSpec, zone: Option<&Arc<Zone>>) -> Arc<Rules> {
        if let Some(last) = &self.0
            && last.spec == *spec
            && last.zone.as_ref().map(Arc::as_ptr) == zone.map(Arc::as_ptr)
        {
            return last.rules.clone();
        }

        let with_names = RulesSpec {
            names: zone.map(|zone| addresses(zone)).unwrap_or_default(),
            ..spec.clone()
        };
        let rules = Arc::new(match &self.0 {
            // The counts of organizations and rules go on.
            Some(last) => Rules::replace(&last.rules, &with_names),
            None => Rules::compile(&with_names),
        });

        self.0 = Some(Compiled {
            spec: spec.clone(),
            zone: zone.cloned(),
            rules: rules.clone(),
        });
        rules
    }
}

/// The addresses of every name in a zone.
fn addresses(zone: &Zone) -> BTreeMap<DnsName, Vec<IpAddr>> {
    let mut names: BTreeMap<DnsName, Vec<IpAddr>> = BTreeMap::new();

    zone.rrsets(|owner, set| {
        // Other kinds hold no address; a wildcard or a service label is no name of a host.
        let Ok(name) = owner.to_string().trim_end_matches('.').parse::<DnsName>() else {
            return;
        };
        let addresses = set.data().filter_map(|data| address(set.kind(), data));
        let mut addresses = addresses.peekable();
        if addresses.peek().is_some() {
            names.entry(name).or_default().extend(addresses);
        }
    });
    names
}

fn address(of: u16, data: &[u8]) -> Option<IpAddr> {
    match of {
        kind::A => Some(<[u8; 4]>::try_from(data).ok()?.into()),
        kind::AAAA => Some(<[u8; 16]>::try_from(data).ok()?.into()),
        _ => None,
    }
}
