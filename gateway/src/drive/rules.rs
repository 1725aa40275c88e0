//! [`CompiledRules`]: the filter's rules of the moment. They are compiled again only if something
//! that they depend on has changed: tables are published with every session.

use std::sync::Arc;

use ringway_dns::Zone;
use ringway_filter::{Rules, RulesSpec};

use crate::policy::names::addresses;

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
    /// The latest rules.
    pub(super) fn latest(&self) -> Option<&Rules> {
        Some(&self.0.as_ref()?.rules)
    }

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
