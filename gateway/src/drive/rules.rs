//! [`CompiledRules`]: the filter's current rules. Tables are published with every session, so rules
//! are compiled again only if something that they depend on has changed.

use std::sync::Arc;

use ringway_dns::Zone;
use ringway_filter::{Rules, RulesSpec};

use crate::policy::names::addresses;

/// The current rules, and their inputs.
#[derive(Default)]
pub(super) struct CompiledRules(Option<Compiled>);

struct Compiled {
    /// The rules before names are resolved.
    spec: RulesSpec,
    zone: Option<Arc<Zone>>,
    rules: Arc<Rules>,
}

impl CompiledRules {
    /// The current rules.
    pub(super) fn latest(&self) -> Option<&Rules> {
        Some(&self.0.as_ref()?.rules)
    }

    /// Compiles `spec`, with the addresses of names from `zone`, our own.
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
            // Counters of organizations and rules continue.
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
