//! A sibling answers but refuses the session: another daemon uses our identity, because the machine
//! was cloned, or one of the two does not accept the other's certificate.

use ringway_core::{ByeCode, Message, RoleReason, SiteRole};

use super::{
    active, assert_outranked, assert_role, before_a_standby, behind_an_active_sibling, join, said,
    sibling, standby,
};
use crate::bench::SECOND;

const REFUSED: Message = Message::Bye {
    code: ByeCode::DuplicateIdentity,
};

#[test]
fn a_gateway_refused_as_a_copy_is_standby_until_its_sibling_accepts_it_again() {
    let (mut bench, peer, other) = before_a_standby();
    let replaced = RoleReason::Replaced(sibling());
    bench.receive(other, REFUSED);
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Standby, 1, replaced.clone());

    // It tries again and again. An echo comes before the refusal, and nothing is said.
    for _ in 0..3 {
        let other = join(&mut bench, "gw2.m", &[]);
        bench.pass(SECOND, &[peer, other]);
        bench.receive(other, REFUSED);
        bench.pass(SECOND, &[peer]);
        assert_role(&bench, SiteRole::Standby, 1, replaced.clone());
    }

    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(active(2)));
    bench.pass(SECOND, &[peer, other]);
    assert_outranked(&bench, 1);
}

#[test]
fn a_gateway_refused_as_a_copy_is_active_again_if_its_sibling_is_gone() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(other, REFUSED);
    bench.pass(SECOND, &[peer]);

    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(standby(0)));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 2, RoleReason::Vacant);
}

#[test]
fn a_peer_that_refuses_a_gateway_as_a_copy_does_not_take_its_role_away() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(peer, REFUSED);
    bench.pass(3 * SECOND, &[other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

const EXPIRED: Message = Message::Bye {
    code: ByeCode::Expired,
};

#[test]
fn a_gateway_whose_certificate_no_peer_accepts_leaves_the_role_to_its_sibling() {
    let (mut bench, peer, other) = before_a_standby();
    let refused = RoleReason::Refused(sibling());
    bench.receive(other, EXPIRED);
    bench.pass(SECOND, &[peer]);
    // Peers use it: the sibling's clock may be the wrong one.
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);

    bench.receive(peer, EXPIRED);
    bench.pass(SECOND, &[]);
    assert_role(&bench, SiteRole::Standby, 1, refused);

    let peer = join(&mut bench, "gw.a", &[]);
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 2, RoleReason::Vacant);
}

#[test]
fn a_standby_whose_certificate_no_peer_accepts_stays_standby() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    for conn in [peer, other] {
        bench.receive(conn, EXPIRED);
    }
    bench.pass(3 * SECOND, &[]);
    assert_role(&bench, SiteRole::Standby, 0, RoleReason::Refused(sibling()));
}
