//! Prefixes that one end of a tunnel refuses.

use super::*;

#[test]
fn a_node_that_claims_what_it_was_not_given_is_named_with_what_to_do() {
    let mut node = tunnel("node:db1.acme", "up");
    let reason = RefuseReason::NotAuthorized.to_string();
    node.refused
        .insert("10.9.5.10/32".to_owned(), reason.clone());
    let mut report = of_tunnels(vec![tunnel("gw.beta", "up")]);
    report.nodes = vec![tunnel("node:db2.acme", "down"), node];
    complete(&mut report, &mut Beginnings::default(), now());

    let [found] = report.attention.as_slice() else {
        panic!("{:?}", report.attention);
    };
    assert_eq!(found.kind, "prefix-refused");
    assert_eq!(
        found.what,
        "we refuse 10.9.5.10/32 of node db1: [[node]] db1 in the gateway's gateway.toml does not \
         list it"
    );
    assert!(
        found.remedy.starts_with("ringway node show db1   # "),
        "{}",
        found.remedy
    );

    // At the node itself.
    let mut gateway = tunnel("gw.acme", "up");
    gateway
        .refused_by_peer
        .insert("10.9.5.10/32".to_owned(), reason);
    let mut report = of_tunnels(vec![gateway]);
    report.gateway = "node:db1.acme".to_owned();
    complete(&mut report, &mut Beginnings::default(), now());
    let found = &report.attention[0];
    assert_eq!(found.kind, "our-prefix-refused");
    assert_eq!(
        found.what,
        "gw.acme refuses our 10.9.5.10/32: [[node]] db1 in the gateway's gateway.toml does not \
         list it"
    );
    assert!(
        found
            .remedy
            .starts_with("at gw.acme, ringway node show db1 prints"),
        "{}",
        found.remedy
    );
}

/// What is said about a prefix of ours, or of gw.beta's, that is refused, and the remedy.
fn refusal(is_ours: bool, reason: RefuseReason, drift: Option<&str>) -> (String, String) {
    let mut peer = tunnel("gw.beta", "up");
    let refused = BTreeMap::from([("10.0.0.0/24".to_owned(), reason.to_string())]);
    if is_ours {
        peer.refused_by_peer = refused;
    } else {
        peer.refused = refused;
    }
    let org = if is_ours { "acme" } else { "beta" };
    let drift = drift.map(|kind| RecordDriftReport {
        org: org.to_owned(),
        kind: kind.to_owned(),
        ours: None,
        theirs: None,
        what: "records differ".to_owned(),
    });
    peer.record_drift = drift.into_iter().collect();
    let mut report = of_tunnels(vec![peer]);
    report.gateway = "gw.acme".to_owned();
    complete(&mut report, &mut Beginnings::default(), now());

    let mut items = report.attention.into_iter();
    let found = items.find(|item| item.kind.ends_with("prefix-refused"));
    let found = found.expect("a finding");
    (found.what, found.remedy)
}

#[test]
fn each_reason_to_refuse_a_prefix_has_a_remedy() {
    for (is_ours, reason, drift, remedy) in [
        (
            true,
            RefuseReason::NotAuthorized,
            None,
            "beta must have our newest record: ",
        ),
        (
            true,
            RefuseReason::NotAuthorized,
            Some("we-are-older"),
            "this gateway holds an old copy of our own record: ",
        ),
        (
            true,
            RefuseReason::LocalSite,
            None,
            "10.0.0.0/24 is in use at both ends: ",
        ),
        (
            true,
            RefuseReason::Conflicted,
            None,
            "at gw.beta, ringway check names ",
        ),
        (
            false,
            RefuseReason::NotAuthorized,
            None,
            "the record of beta must have it: ",
        ),
        (
            false,
            RefuseReason::NotAuthorized,
            Some("peer-is-older"),
            "gw.beta holds an old copy of the record of its own ",
        ),
        (
            false,
            RefuseReason::NotAuthorized,
            Some("equivocation"),
            "ask beta which record is right; ",
        ),
        (
            false,
            RefuseReason::Conflicted,
            None,
            "ringway check   # names ",
        ),
        (
            false,
            RefuseReason::TooMany,
            None,
            "the claiming organization must use fewer ",
        ),
        (
            false,
            RefuseReason::OldSerial,
            None,
            "ringway status --peer gw.beta   # ",
        ),
    ] {
        let (what, found) = refusal(is_ours, reason, drift);
        assert!(found.starts_with(remedy), "{reason:?} {drift:?}: {found}");
        assert!(what.contains(&reason.to_string()), "{what}");
    }
}

#[test]
fn what_overlaps_at_a_node_is_no_refused_prefix_besides() {
    let mut gateway = tunnel("gw.acme", "up");
    let reason = RefuseReason::NotAuthorized.to_string();
    gateway.refused.insert("10.1.0.0/24".to_owned(), reason);
    let mut report = of_tunnels(vec![gateway]);
    report.gateway = "node:db1.acme".to_owned();
    report.routes = vec![RouteReport {
        prefix: "10.1.0.0/24".to_owned(),
        verdict: "conflicted".to_owned(),
        conflict_with: Some("10.1.0.0/24 (connected to eth0)".to_owned()),
        ..RouteReport::default()
    }];
    assert_eq!(kinds(report.clone()).0, ["prefix-conflict"]);

    report.routes.clear();
    complete(&mut report, &mut Beginnings::default(), now());
    let found = &report.attention[0];
    assert_eq!(found.kind, "prefix-refused");
    assert!(
        found
            .remedy
            .starts_with("ringway check   # names what is left out")
    );
}
