//! A sibling of which nothing is heard.

use std::time::Duration;

use ringway_core::{Action, Role, RoleReason, SiteRole};

use super::{
    MILLISECOND, active, assert_outranked, assert_role, before_a_standby, behind_an_active_sibling,
    join, new_hello, role, said, sibling,
};
use crate::bench::SECOND;

#[test]
fn the_silence_of_the_active_sibling_is_noticed_within_200_ms() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    bench.pass(140 * MILLISECOND, &[peer]);
    assert_outranked(&bench, 0);

    bench.pass(60 * MILLISECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
    let gap = role(&bench).gap.unwrap();
    assert!(
        (150 * MILLISECOND..200 * MILLISECOND).contains(&gap),
        "{gap:?}"
    );
}

#[test]
fn an_active_sibling_that_was_restarted_is_replaced_even_if_it_is_back_at_once() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    let again = bench.connect("gw2.m", Role::Accepter);
    bench.receive(again, new_hello(2));
    bench.pass(Duration::ZERO, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Left(sibling()));

    // It has not heard of that yet.
    bench.receive(again, said(active(1)));
    bench.pass(SECOND, &[peer, again]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Left(sibling()));
}

#[test]
fn a_gateway_that_was_paused_does_not_take_its_own_silence_for_the_siblings() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    bench.now += 60 * SECOND;
    bench.mesh.handle_timeout(bench.now);
    bench.collect();
    bench.pass(5 * MILLISECOND, &[]);
    bench.pass(SECOND, &[peer, other]);
    assert_outranked(&bench, 0);
}

#[test]
fn a_gateway_that_was_suspended_does_not_take_the_role_back() {
    let (mut bench, peer, other) = before_a_standby();
    bench.now += 5 * SECOND;

    // What had arrived meanwhile is read first; then all have given our sessions up.
    bench.receive(other, said(active(2)));
    for conn in [other, peer] {
        bench.disconnect(conn);
    }
    bench.pass(SECOND, &[]);
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 1, outranked.clone());

    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(active(2)));
    bench.pass(5 * SECOND, &[other]);
    assert_role(&bench, SiteRole::Standby, 1, outranked);
}

#[test]
fn five_percent_loss_for_an_hour_causes_no_takeover() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    let mut rng = 1_u64;
    let mut lost = move || {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (rng >> 33) % 1000 < 98
    };
    let end = bench.now + 3600 * SECOND;
    while bench.now < end {
        let echoing = if lost() {
            vec![peer]
        } else {
            vec![peer, other]
        };
        let step = bench.mesh.poll_timeout().unwrap().max(bench.now);
        bench.pass(step - bench.now, &echoing);
        bench
            .actions
            .retain(|action| matches!(action, Action::Role(_)));
    }
    assert_outranked(&bench, 0);
}
