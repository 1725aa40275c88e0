//! The connections that rules allow, resolved to addresses: later changes of names, records and
//! host addresses do not affect them.

use std::path::Path;

use ringway_config::{Allow, Origin, Place, Prefix, Target};

use super::site::sources;
use super::{dns_services, targets};
use crate::spec::RulesSpec;

impl RulesSpec {
    /// What the policy opens to other sites, our DNS included and the default echo left out, with
    /// prefixes for every name, organization and site.
    pub fn meaning(&self) -> Vec<Allow> {
        let allow = self.policy.allow.as_deref();
        let rules = allow.unwrap_or_default();
        let mut meant: Vec<Allow> = rules.iter().filter_map(|rule| self.meant(rule)).collect();

        // Without any rule the operator wants nothing opened at all, DNS included.
        let is_closed = allow.is_some_and(<[Allow]>::is_empty);
        if !is_closed {
            meant.extend(dns_services(self).into_iter().map(|(to, services)| Allow {
                from: vec![Origin::All],
                to: vec![Target::Prefix(to)],
                services: services.into(),
                place: Place::whole(Path::new("gateway.toml")),
            }));
        }
        meant
    }

    /// The same rule in addresses; `None` if it matches nothing.
    fn meant(&self, rule: &Allow) -> Option<Allow> {
        let from = self.origins(&rule.from);
        let to = targets(self, &rule.to);
        if from.is_empty() || to.is_empty() {
            return None;
        }

        Some(Allow {
            from,
            to: in_order(to).into_iter().map(Target::Prefix).collect(),
            services: rule.services.clone(),
            place: rule.place.clone(),
        })
    }

    fn origins(&self, origins: &[Origin]) -> Vec<Origin> {
        if origins.contains(&Origin::All) {
            return vec![Origin::All];
        }

        let mut prefixes = Vec::new();
        for site in &self.sites {
            match sources(site, origins) {
                None => {}
                Some(only) if only.is_empty() => prefixes.extend(&site.prefixes),
                Some(only) => prefixes.extend(only),
            }
        }
        in_order(prefixes).into_iter().map(Origin::Prefix).collect()
    }
}

fn in_order(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}
