//! A gateway leaves its place to a sibling.

use ringway_core::{ByeCode, ConnId, Message, RoleReason, SiblingState, SiteRole};

use super::{
    MILLISECOND, active, assert_outranked, assert_role, before_a_standby, behind_an_active_sibling,
    join, last_state, said, sibling, standby,
};
use crate::bench::{Bench, SECOND};

#[test]
fn a_sibling_that_stops_is_replaced_at_once() {
    let (mut bench, _, other) = behind_an_active_sibling();
    let code = ByeCode::Shutdown;
    bench.receive(other, Message::Bye { code });
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Left(sibling()));
}

#[test]
fn a_sibling_that_hands_over_is_replaced_at_once_and_stays_active_until_then() {
    let (mut bench, _, other) = behind_an_active_sibling();
    let leaving = SiblingState {
        hands_over: true,
        ..active(5)
    };
    bench.receive(other, said(leaving));
    assert_role(
        &bench,
        SiteRole::Active,
        6,
        RoleReason::HandedOver(sibling()),
    );
    assert!(last_state(&bench, other).is_active);
}

#[test]
fn a_gateway_with_silent_tunnels_hands_over_and_stays_active_until_the_sibling_is() {
    let (mut bench, _, other) = before_a_standby();
    bench.pass(200 * MILLISECOND, &[other]);
    assert!(!last_state(&bench, other).hands_over);
    bench.pass(150 * MILLISECOND, &[other]);
    let state = last_state(&bench, other);
    assert!(state.hands_over && state.is_active && state.tunnels == 0);

    bench.receive(other, said(active(2)));
    assert_outranked(&bench, 1);
}

#[test]
fn a_gateway_does_not_hand_over_to_a_sibling_without_tunnels() {
    let (mut bench, _, other) = before_a_standby();
    let cut_off = SiblingState {
        tunnels: 0,
        ..standby(0)
    };
    bench.receive(other, said(cut_off));
    bench.pass(3 * SECOND, &[other]);
    assert!(!last_state(&bench, other).hands_over);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn tunnels_that_all_siblings_lost_cause_no_takeover_by_the_first_to_regain_them() {
    let (mut bench, peer, other) = before_a_standby();
    let cut_off = SiblingState {
        tunnels: 0,
        ..standby(0)
    };
    bench.receive(other, said(cut_off));
    bench.pass(SECOND, &[other]);
    bench.receive(other, said(standby(0)));
    bench.pass(900 * MILLISECOND, &[other]);
    assert!(!last_state(&bench, other).hands_over);

    // Unless it keeps it for itself.
    bench.pass(300 * MILLISECOND, &[other]);
    assert!(last_state(&bench, other).hands_over);
    let peer_again = join(&mut bench, "gw.a", &[]);
    bench.pass(SECOND, &[peer, peer_again, other]);
    assert!(!last_state(&bench, other).hands_over);
}

#[test]
fn when_the_last_peer_stops_the_sibling_has_a_second_to_notice_it_too() {
    let (mut bench, peer, other) = before_a_standby();
    let code = ByeCode::Shutdown;
    bench.receive(peer, Message::Bye { code });
    bench.pass(900 * MILLISECOND, &[other]);
    assert!(!last_state(&bench, other).hands_over);

    bench.pass(300 * MILLISECOND, &[other]);
    assert!(last_state(&bench, other).hands_over);
}

/// The active sibling has lost its uplink, and this gateway may have, too: an echo is late.
fn asked_while_an_echo_is_late() -> (Bench, ConnId, ConnId) {
    let (mut bench, peer, other) = behind_an_active_sibling();
    bench.pass(150 * MILLISECOND, &[other]);
    bench.receive(other, said(cut_off()));
    bench.pass(50 * MILLISECOND, &[other]);
    assert_stays(&bench);
    (bench, peer, other)
}

/// The active sibling, which wants to hand over.
fn cut_off() -> SiblingState {
    SiblingState {
        hands_over: true,
        tunnels: 0,
        ..active(5)
    }
}

#[track_caller]
fn assert_stays(bench: &Bench) {
    let outranked = RoleReason::Outranked(sibling());

    assert_role(bench, SiteRole::Standby, 0, outranked);
}

#[test]
fn a_gateway_that_may_be_cut_off_too_waits_for_an_echo_before_it_takes_over() {
    let (mut bench, peer, other) = asked_while_an_echo_is_late();
    bench.pass(50 * MILLISECOND, &[peer, other]);
    let handed_over = RoleReason::HandedOver(sibling());
    assert_role(&bench, SiteRole::Active, 6, handed_over.clone());

    // Its tunnels are dead: the sibling has no reason any more.
    let (mut bench, _, other) = asked_while_an_echo_is_late();
    bench.pass(100 * MILLISECOND, &[other]);
    assert_eq!(last_state(&bench, other).tunnels, 0);
    bench.receive(other, said(active(5)));
    bench.pass(SECOND, &[other]);
    assert_stays(&bench);

    // It has another one.
    let (mut bench, _, other) = asked_while_an_echo_is_late();
    bench.pass(300 * MILLISECOND, &[other]);
    assert_role(&bench, SiteRole::Active, 6, handed_over);
}

#[test]
fn clearly_fewer_tunnels_hand_over_after_a_second() {
    let (mut bench, peer, other) = before_a_standby();
    let better = SiblingState {
        tunnels: 3,
        ..standby(0)
    };
    bench.receive(other, said(better));
    bench.pass(900 * MILLISECOND, &[peer, other]);
    assert!(!last_state(&bench, other).hands_over);
    bench.pass(300 * MILLISECOND, &[peer, other]);
    assert!(last_state(&bench, other).hands_over);
}

#[test]
fn a_shutdown_hands_over_before_it_withdraws() {
    let (mut bench, _, other) = before_a_standby();
    bench.mesh.handle_shutdown(bench.now);
    bench.collect();
    assert!(last_state(&bench, other).hands_over);
}

#[test]
fn a_drained_gateway_hands_over_until_cancelled_and_is_active_if_alone() {
    let (mut bench, peer, other) = before_a_standby();
    bench.mesh.handle_drain(true, bench.now);
    bench.collect();
    assert!(last_state(&bench, other).hands_over && last_state(&bench, other).is_active);

    bench.receive(other, said(active(2)));
    assert_outranked(&bench, 1);
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 3, RoleReason::Silent(sibling()));

    bench.mesh.handle_drain(false, bench.now);
    bench.collect();
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 3, RoleReason::Silent(sibling()));
}
