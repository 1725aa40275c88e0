//! The choice of the active gateway by rank: epoch and preference, and whose messages count.

use ringway_core::{Message, RoleReason, Settings, SiteRole};

use super::{
    active, assert_outranked, assert_role, before_a_standby, behind_an_active_sibling,
    fail_to_dial_the_sibling, join, last_state, said, settings, sibling,
};
use crate::bench::{Bench, SECOND, membership};

#[test]
fn a_gateway_without_siblings_is_active_and_so_is_one_that_loses_them() {
    let mut bench = Bench::with(settings());
    assert_role(&bench, SiteRole::Standby, 0, RoleReason::Starting);

    let mut alone = membership();
    alone.gateways.remove(&sibling());
    bench.mesh.handle_membership(alone, bench.now);
    bench.collect();
    assert_role(&bench, SiteRole::Active, 0, RoleReason::Alone);

    // One that comes later does not take its place.
    bench.mesh.handle_membership(membership(), bench.now);
    bench.collect();
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn after_the_start_it_is_active_only_once_its_siblings_were_looked_for() {
    let mut bench = Bench::with(settings());
    bench.pass(SECOND, &[]);
    assert_role(&bench, SiteRole::Standby, 0, RoleReason::Starting);

    fail_to_dial_the_sibling(&mut bench);
    bench.pass(SECOND, &[]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn a_sibling_of_an_earlier_version_takes_no_part() {
    let mut bench = Bench::with(settings());
    let conn = bench.tunnel("gw2.m", &[]);
    bench.pass(SECOND, &[conn]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
    assert!(
        !bench
            .sent(conn)
            .iter()
            .any(|message| matches!(message, Message::Sibling(_) | Message::Rank(_)))
    );
}

#[test]
fn a_gateway_stands_down_for_a_higher_epoch_and_exceeds_an_equal_one() {
    let (mut bench, _, other) = before_a_standby();
    bench.receive(other, said(active(2)));
    assert_outranked(&bench, 1);

    // Two took over at once, and this one goes before.
    let (mut bench, _, other) = before_a_standby();
    bench.receive(other, said(active(1)));
    assert_role(&bench, SiteRole::Active, 2, RoleReason::Vacant);
    assert_eq!(last_state(&bench, other).rank.epoch, 2);
}

#[test]
fn a_jump_to_the_highest_epoch_does_not_outlive_the_one_that_made_it() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(other, said(active(u64::MAX)));
    bench.pass(SECOND, &[peer, other]);
    assert_outranked(&bench, 1);

    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 2, RoleReason::Silent(sibling()));
}

#[test]
fn only_gateways_of_our_site_influence_the_role() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(peer, said(active(u64::MAX)));
    bench.receive(peer, Message::Rank(active(u64::MAX).rank));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn a_preferred_gateway_takes_the_role_back_after_a_minute() {
    let mut bench = Bench::with(Settings {
        preference: 200,
        ..settings()
    });
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(active(5)));
    bench.pass(59 * SECOND, &[peer, other]);
    assert_outranked(&bench, 0);
    bench.pass(2 * SECOND, &[peer, other]);
    assert_role(
        &bench,
        SiteRole::Active,
        6,
        RoleReason::Preferred(sibling()),
    );
}

#[test]
fn a_changed_preference_is_sent_to_siblings_and_takes_effect() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    bench.pass(59 * SECOND, &[peer, other]);
    bench.mesh.handle_preference(200, bench.now);
    bench.collect();
    assert_eq!(last_state(&bench, other).rank.preference, 200);

    bench.pass(59 * SECOND, &[peer, other]);
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 0, outranked);
    bench.pass(2 * SECOND, &[peer, other]);
    let preferred = RoleReason::Preferred(sibling());
    assert_role(&bench, SiteRole::Active, 6, preferred);
}
