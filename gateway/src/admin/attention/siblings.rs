//! The findings that the files of a site's gateways differ in what they must have alike. What only
//! one of them has ends with a takeover.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_intent::Remedy;

use super::{AttentionReport, Kind, Report, SiblingReport, item};

/// Seconds that a difference may last before it is a finding: the gateways are reloaded one after
/// the other.
const ROLL_OUT: u64 = 5;

/// The findings about each sibling.
pub(super) fn differing(report: &Report) -> Vec<AttentionReport> {
    let siblings = report.site.siblings.iter();
    let compared = siblings.filter(|sibling| sibling.compared_s >= ROLL_OUT);

    let found = compared.flat_map(|sibling| {
        let found = [
            addresses(report, sibling),
            rules(report, sibling),
            nodes(report, sibling),
        ];
        found.into_iter().flatten()
    });
    found.collect()
}

fn addresses(report: &Report, sibling: &SiblingReport) -> Option<AttentionReport> {
    let ours = (&report.gateway, &report.site.virtual_addresses);
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
}

fn rules(report: &Report, sibling: &SiblingReport) -> Option<AttentionReport> {
    let ours = report.site.rules.as_ref()?;
    let theirs = sibling.rules.as_ref()?;
    let here = &report.gateway;
    let there = &sibling.gateway;

    let what = format!(
        "the rules of {here} and {there} differ ([policy] in gateway.toml): a takeover changes \
         which connections pass"
    );
    let fix = Remedy::ringway(
        "policy show   # at both gateways; then give their files the same rules, and reload both",
    );
    let about = format!("rules {there}");
    (ours != theirs).then(|| item(Kind::Takeover, &about, &what, fix))
}

fn nodes(report: &Report, sibling: &SiblingReport) -> Option<AttentionReport> {
    let ours = report.site.nodes.as_ref()?;
    let theirs = sibling.nodes.as_ref()?;
    let here = &report.gateway;
    let there = &sibling.gateway;

    let what = format!(
        "the attached nodes of {here} and {there} differ ([[node]] in gateway.toml): a takeover \
         cuts off what only one of them has"
    );
    let fix = Remedy::ringway(
        "node list   # at both gateways; then give their files the same nodes, and reload both",
    );
    let about = format!("nodes {there}");
    (ours != theirs).then(|| item(Kind::Takeover, &about, &what, fix))
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
    use crate::admin::site::SiteReport;

    fn list(texts: &[&str]) -> BTreeSet<IpAddr> {
        let addresses = texts.iter().map(|address| address.parse().unwrap());
        addresses.collect()
    }

    fn found(ours: &[&str], theirs: Option<&[&str]>) -> Vec<String> {
        let sibling = SiblingReport {
            gateway: "gw2.acme".into(),
            virtual_addresses: theirs.map(list),
            compared_s: ROLL_OUT,
            ..SiblingReport::default()
        };
        let report = Report {
            gateway: "gw.acme".into(),
            site: SiteReport {
                virtual_addresses: list(ours),
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

    fn of_digests(ours: [&str; 2], theirs: [Option<&str>; 2], compared_s: u64) -> Vec<String> {
        let [rules, nodes] = theirs.map(|digest| digest.map(str::to_owned));
        let sibling = SiblingReport {
            gateway: "gw2.acme".into(),
            rules,
            nodes,
            compared_s,
            ..SiblingReport::default()
        };
        let [rules, nodes] = ours.map(|digest| Some(digest.to_owned()));
        let report = Report {
            gateway: "gw.acme".into(),
            site: SiteReport {
                rules,
                nodes,
                siblings: vec![sibling],
                ..SiteReport::default()
            },
            ..Report::default()
        };
        let found = differing(&report).into_iter();
        found.map(|item| item.name).collect()
    }

    #[test]
    fn rules_and_nodes_that_differ_for_longer_than_a_roll_out_are_named() {
        let of = |theirs| of_digests(["a", "b"], theirs, ROLL_OUT);
        let [rules, nodes] = ["takeover rules gw2.acme", "takeover nodes gw2.acme"];
        assert_eq!(of([Some("a"), Some("b")]), [""; 0]);
        assert_eq!(of([Some("x"), Some("b")]), [rules]);
        assert_eq!(of([Some("a"), Some("x")]), [nodes]);
        assert_eq!(of([Some("x"), Some("x")]), [rules, nodes]);
        // An earlier version says nothing of them.
        assert_eq!(of([None, None]), [""; 0]);

        let soon = of_digests(["a", "b"], [Some("x"), Some("x")], ROLL_OUT - 1);
        assert_eq!(soon, [""; 0]);
    }
}
