//! Interfaces to the site's network without a carrier.

use ringway_core::{Message, RoleReason, SiteRole};

use super::{
    active, assert_role, before_a_standby, behind_an_active_sibling, join, last_state,
    lose_carrier, no_carrier, no_carrier_reason, said, settings, sibling, standby,
};
use crate::bench::{Bench, SECOND};

#[test]
fn a_lost_carrier_hands_over_and_claims_are_withdrawn_once_the_sibling_is_active() {
    let (mut bench, peer, other) = before_a_standby();
    lose_carrier(&mut bench, Some("eth1"));
    let state = last_state(&bench, other);
    assert!(state.no_carrier && state.is_active);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);

    bench.actions.clear();
    bench.receive(other, said(active(2)));
    assert_role(&bench, SiteRole::Standby, 1, no_carrier_reason());
    let withdrawn = |message: &Message| matches!(message, Message::Withdraw { .. });
    assert!(bench.sent(peer).iter().any(withdrawn));

    // With a carrier it claims the site again, and leaves the sibling its place.
    bench.actions.clear();
    lose_carrier(&mut bench, None);
    let announced = |message: &Message| matches!(message, Message::Announce { .. });
    assert!(bench.sent(peer).iter().any(announced));
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 1, outranked);
    assert!(!last_state(&bench, other).no_carrier);
}

#[test]
fn a_sibling_without_a_carrier_is_replaced_at_once() {
    let (mut bench, _, other) = behind_an_active_sibling();
    bench.receive(other, said(no_carrier(active(5))));
    let handed_over = RoleReason::HandedOver(sibling());
    assert_role(&bench, SiteRole::Active, 6, handed_over.clone());

    // It is not left its place because of a higher preference or epoch.
    bench.receive(other, said(no_carrier(active(9))));
    assert_role(&bench, SiteRole::Active, 6, handed_over);
}

#[test]
fn without_a_carrier_a_gateway_is_active_only_if_no_sibling_is_left() {
    let mut bench = Bench::with(settings());
    lose_carrier(&mut bench, Some("eth1"));
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(standby(0)));
    bench.pass(3 * SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Standby, 0, no_carrier_reason());

    // Nothing better is left then.
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn no_role_changes_if_all_siblings_have_lost_their_carrier() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(other, said(no_carrier(standby(0))));
    lose_carrier(&mut bench, Some("eth1"));
    bench.pass(3 * SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);

    let (mut bench, peer, other) = behind_an_active_sibling();
    lose_carrier(&mut bench, Some("eth1"));
    bench.receive(other, said(no_carrier(active(5))));
    bench.pass(3 * SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Standby, 0, no_carrier_reason());
}

#[test]
fn a_drained_sibling_is_better_than_a_gateway_without_a_carrier() {
    let (mut bench, peer, other) = before_a_standby();
    bench.mesh.handle_drain(true, bench.now);
    bench.collect();
    bench.receive(other, said(no_carrier(active(2))));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}
