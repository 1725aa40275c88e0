//! The finding that the gateways of a site do not have the same virtual addresses: what only one of
//! them has is nowhere once the other one is active, and the site's hosts lose their router.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{AttentionReport, Kind, Report, item};

/// One finding for each sibling whose addresses differ.
pub(super) fn differing(report: &Report) -> Vec<AttentionReport> {
    let ours = (&report.gateway, &report.site.virtual_addresses);
    let siblings = report.site.siblings.iter();

    let found = siblings.filter_map(|sibling| {
        // An earlier version reports none.
        let theirs = (&sibling.gateway, sibling.virtual_addresses.as_ref()?);
        let differences: Vec<String> = [only(ours, theirs), only(theirs, ours)]
            .into_iter()
            .flatten()
            .collect();

        let what = format!(
            "the virtual addresses of this site's gateways differ: {}; a takeover moves only what \
             both have",
            differences.join(", and ")
        );
        let fix = "give both the same [ha] addresses in gateway.toml, and reload";
        let about = format!("addresses {}", sibling.gateway);
        (!differences.is_empty()).then(|| item(Kind::Takeover, &about, &what, fix))
    });
    found.collect()
}

/// What the first has and the second has not.
fn only(
    (with, have): (&String, &BTreeSet<IpAddr>),
    (without, lack): (&String, &BTreeSet<IpAddr>),
) -> Option<String> {
    let missing: Vec<String> = have.difference(lack).map(IpAddr::to_string).collect();

    (!missing.is_empty())
        .then(|| format!("{with} has {} and {without} does not", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::site::{SiblingReport, SiteReport};

    fn addresses(list: &[&str]) -> BTreeSet<IpAddr> {
        list.iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    fn found(ours: &[&str], theirs: Option<&[&str]>) -> Vec<String> {
        let sibling = SiblingReport {
            gateway: "gw2.acme".into(),
            virtual_addresses: theirs.map(addresses),
            ..SiblingReport::default()
        };
        let report = Report {
            gateway: "gw.acme".into(),
            site: SiteReport {
                virtual_addresses: addresses(ours),
                siblings: vec![sibling],
                ..SiteReport::default()
            },
            ..Report::default()
        };
        differing(&report)
            .into_iter()
            .map(|item| item.what)
            .collect()
    }

    #[test]
    fn both_gateways_and_their_addresses_are_named_where_they_differ() {
        let what = found(&["10.0.0.3", "fd00::3"], Some(&["10.0.0.4", "fd00::3"]));
        assert_eq!(
            what,
            [
                "the virtual addresses of this site's gateways differ: gw.acme has 10.0.0.3 and \
                 gw2.acme does not, and gw2.acme has 10.0.0.4 and gw.acme does not; a takeover \
                 moves only what both have"
            ]
        );
        let what = found(&["10.0.0.3"], Some(&[]));
        assert!(what[0].contains("gw.acme has 10.0.0.3 and gw2.acme does not;"));

        assert_eq!(found(&["10.0.0.3"], Some(&["10.0.0.3"])), [""; 0]);
        assert_eq!(found(&["10.0.0.3"], None), [""; 0]);
        assert_eq!(found(&[], Some(&[])), [""; 0]);
    }
}
