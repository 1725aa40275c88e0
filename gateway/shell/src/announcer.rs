//! [`Announcer`]: the findings about sites that are not announced because the host has no route to
//! them. The mesh withdraws and announces; a sibling with a route serves the site in the meantime.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::Prefix;
use ringway_intent::{Finding, Unannounced, unannounced};

use crate::inspector::Advice;
use crate::shell::Shell;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    /// By name.
    reported: BTreeMap<String, Finding>,
}

impl Announcer {
    fn update(&mut self, sites: &[Unannounced]) -> Vec<Advice> {
        let findings = sites.iter().map(Unannounced::finding);
        let now: BTreeMap<String, Finding> = findings
            .map(|finding| (finding.name.clone(), finding))
            .collect();

        let over = self.reported.keys().filter(|name| !now.contains_key(*name));
        let mut advice: Vec<Advice> = over.cloned().map(Advice::Clear).collect();
        let new = now
            .iter()
            .filter(|(name, finding)| self.reported.get(*name) != Some(finding));
        advice.extend(new.map(|(_, finding)| Advice::Raise(finding.clone())));

        self.reported = now;
        advice
    }
}

impl Shell {
    /// Updates the announcement from the configuration and the host's routes.
    pub(crate) fn announce(&mut self) {
        let sites = unannounced(&self.current.situation());
        let prefixes: BTreeSet<Prefix> = sites
            .iter()
            .flat_map(|site| &site.missing)
            .copied()
            .collect();
        self.mesh.handle_unannounced(prefixes);

        let advice = self.announcer.update(&sites);
        self.report(advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(missing: &[&str], is_partial: bool) -> Unannounced {
        Unannounced {
            site: "idc".into(),
            missing: missing.iter().map(|text| text.parse().unwrap()).collect(),
            is_partial,
        }
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut announcer = Announcer::default();
        let whole = site(&["10.9.0.0/16"], false);
        let [Advice::Raise(finding)] = &announcer.update(std::slice::from_ref(&whole))[..] else {
            panic!("the site is missing");
        };
        assert_eq!(finding.name, "announce idc");
        assert_eq!(
            finding.what,
            "idc is not announced: no route to 10.9.0.0/16"
        );
        assert_eq!(announcer.update(&[whole]), []);

        let part = site(&["fd00:9::/48"], true);
        let [Advice::Raise(finding)] = &announcer.update(&[part])[..] else {
            panic!("another one is missing");
        };
        assert_eq!(
            finding.what,
            "idc is not announced in part: no route to fd00:9::/48"
        );
        assert_eq!(
            announcer.update(&[]),
            [Advice::Clear("announce idc".into())]
        );
    }
}
