//! Messages between siblings that peers relay while the site's network is down.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::GatewayId;
use ringway_core::{
    Action, Answer, ConnId, Message, Relay, RoleReason, Secret, Settings, SiblingMessage, SiteRole,
};

use super::{
    MILLISECOND, SECRET, active, answer, answer_for, assert_outranked, assert_role,
    before_a_standby, behind_an_active_sibling, brought, fail_to_dial_the_sibling, join,
    last_message, last_state, later, lose_carrier, no_carrier, no_carrier_reason, questions, role,
    said, settings, sibling, standby,
};
use crate::bench::{Bench, SECOND, id, membership};

#[test]
fn a_sibling_that_is_proven_alive_through_a_peer_keeps_the_role() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    for _ in 0..100 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in questions(&bench, peer) {
            bench.receive(peer, answer(&question, active(5)));
        }
        bench
            .actions
            .retain(|action| !matches!(action, Action::Send { .. }));
        assert_outranked(&bench, 0);
    }

    // Its word counts for as long as it comes.
    bench.pass(2 * SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
}

#[test]
fn a_peer_cannot_say_that_a_sibling_is_alive_nor_repeat_its_proof() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    let state = active(5);
    let mut proof = None;
    for _ in 0..10 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in questions(&bench, peer) {
            let nonce = question.nonce;
            let first = proof.get_or_insert(SECRET.prove([0; 16], &state));
            for proof in [*first, Secret([1; 32]).prove(nonce, &state)] {
                bench.receive(peer, brought(&question, Answer { state, proof }));
            }
        }
    }
    assert!(proof.is_some(), "peers were asked");
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
}

#[test]
fn a_proof_that_a_peer_has_kept_back_holds_no_takeover_up() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    bench.pass(120 * MILLISECOND, &[peer]);
    let kept = questions(&bench, peer);
    assert!(!kept.is_empty(), "peers were asked");
    bench.pass(5 * SECOND, &[peer, other]);

    bench.pass(100 * MILLISECOND, &[peer]);
    for question in kept {
        bench.receive(peer, answer(&question, active(5)));
    }
    bench.pass(100 * MILLISECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
}

#[test]
fn a_question_is_answered_with_a_proof_that_only_the_sibling_can_check() {
    let (mut bench, peer, other) = before_a_standby();
    let SiblingMessage { state, secret } = last_message(&bench, other);
    let question = Relay {
        org: sibling().org,
        from: sibling().name,
        to: id("gw.m").name,
        nonce: [3; 16],
        answer: None,
    };
    bench.receive(peer, Message::Relay(question));

    let answers = questions(&bench, peer);
    assert_eq!(answers.len(), 1);
    let proof = secret.prove([3; 16], &state);
    assert_eq!(answers[0].answer, Some(Answer { state, proof }));
    assert_eq!(answers[0].to, sibling().name);
}

#[test]
fn a_siblings_state_counts_the_same_through_a_peer_as_directly() {
    // It was active, and says that it has no carrier.
    let (mut bench, peer, _) = behind_an_active_sibling();
    answer_for(&mut bench, peer, no_carrier(active(5)));
    let handed_over = RoleReason::HandedOver(sibling());
    assert_role(&bench, SiteRole::Active, 6, handed_over);

    // It has taken over from this gateway, which has none.
    let (mut bench, peer, _) = before_a_standby();
    lose_carrier(&mut bench, Some("eth1"));
    answer_for(&mut bench, peer, active(2));
    assert_role(&bench, SiteRole::Standby, 1, no_carrier_reason());

    // Both have none.
    let (mut bench, peer, _) = before_a_standby();
    lose_carrier(&mut bench, Some("eth1"));
    answer_for(&mut bench, peer, no_carrier(standby(0)));
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn a_delayed_state_of_a_sibling_does_not_replace_a_later_one() {
    let (mut bench, peer, other) = before_a_standby();
    let earlier = said(standby(0));
    lose_carrier(&mut bench, Some("eth1"));
    answer_for(&mut bench, peer, active(2));
    assert_role(&bench, SiteRole::Standby, 1, no_carrier_reason());

    // The site's network is back, and with it what was lost there.
    lose_carrier(&mut bench, None);
    bench.receive(other, earlier);
    bench.pass(SECOND, &[peer, other]);
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 1, outranked);

    // What it says on a new session counts, whatever it counts there.
    bench.disconnect(other);
    let other = join(&mut bench, "gw2.m", &[]);
    let secret = SECRET;
    let state = standby(0);
    bench.receive(other, Message::Sibling(SiblingMessage { state, secret }));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 3, RoleReason::Left(sibling()));
}

#[test]
fn a_peer_cannot_change_what_a_sibling_says() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    for _ in 0..50 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in questions(&bench, peer) {
            let proof = SECRET.prove(question.nonce, &active(5));
            for state in [no_carrier(active(5)), active(4), standby(5)] {
                let state = later(state);
                bench.receive(peer, brought(&question, Answer { state, proof }));
            }
            bench.receive(peer, answer(&question, active(5)));
        }
        bench
            .actions
            .retain(|action| !matches!(action, Action::Send { .. }));
    }
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 0, outranked);
    assert!(bench.live.contains(&other));
}

/// `gw.m` has just started again and knows what `gw2.m` proves to be alive by; `gw.a` has a
/// tunnel, and the site's network is cut.
fn restarted_behind_a_cut() -> (Bench, ConnId) {
    let mut bench = Bench::with(remembering());
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    fail_to_dial_the_sibling(&mut bench);
    (bench, peer)
}

fn remembering() -> Settings {
    Settings {
        sibling_secrets: [(sibling(), SECRET)].into(),
        ..settings()
    }
}

#[test]
fn after_a_restart_a_sibling_that_is_proven_active_through_a_peer_keeps_the_role() {
    let (mut bench, peer) = restarted_behind_a_cut();
    for _ in 0..300 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in take_questions(&mut bench, peer) {
            bench.receive(peer, answer(&question, active(5)));
        }
        assert_ne!(role(&bench).role, SiteRole::Active);
    }
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 0, outranked);

    // Then it dies.
    bench.pass(2 * SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
}

#[test]
fn after_a_restart_a_dead_sibling_is_waited_for_until_a_peer_was_asked() {
    let (mut bench, peer) = restarted_behind_a_cut();
    bench.pass(SECOND / 2, &[peer]);
    assert!(!questions(&bench, peer).is_empty(), "peers were asked");
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);

    // Without a peer for three seconds from the start on.
    let mut bench = Bench::with(remembering());
    fail_to_dial_the_sibling(&mut bench);
    bench.pass(2900 * MILLISECOND, &[]);
    assert_role(&bench, SiteRole::Standby, 0, RoleReason::Starting);
    bench.pass(200 * MILLISECOND, &[]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn a_gateway_that_came_up_alone_stands_down_for_the_one_that_peers_reach_later() {
    let mut bench = Bench::with(remembering());
    fail_to_dial_the_sibling(&mut bench);
    bench.pass(4 * SECOND, &[]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);

    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    answer_for(&mut bench, peer, active(5));
    let outranked = RoleReason::Outranked(sibling());
    assert_role(&bench, SiteRole::Standby, 1, outranked);
}

#[test]
fn a_peer_cannot_keep_a_gateway_that_has_just_started_from_being_active() {
    let (mut bench, peer) = restarted_behind_a_cut();
    let state = active(5);
    let mut proof = None;
    for _ in 0..50 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in take_questions(&mut bench, peer) {
            let nonce = question.nonce;
            let first = proof.get_or_insert(SECRET.prove([0; 16], &state));
            for proof in [*first, Secret([1; 32]).prove(nonce, &state)] {
                bench.receive(peer, brought(&question, Answer { state, proof }));
            }
        }
    }
    assert!(proof.is_some(), "peers were asked");
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

#[test]
fn a_siblings_secret_for_proofs_is_stored_and_at_most_once_a_second() {
    let (mut bench, peer, other) = before_a_standby();
    assert_eq!(kept(&bench), [[(sibling(), SECRET)].into()]);
    bench.pass(SECOND, &[peer, other]);
    assert_eq!(kept(&bench).len(), 1, "nothing new");

    for number in 0..100 {
        let state = later(standby(0));
        let secret = Secret([number; 32]);
        bench.receive(other, Message::Sibling(SiblingMessage { state, secret }));
        bench.pass(20 * MILLISECOND, &[peer, other]);
    }
    bench.pass(SECOND, &[peer, other]);
    let kept = kept(&bench);
    assert!((2..=5).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap()[&sibling()], Secret([99; 32]));
}

#[test]
fn after_a_restart_states_are_later_and_no_challenge_repeats() {
    let mut nonces = BTreeSet::new();
    let mut serials = Vec::new();
    for starts in [1, 2] {
        let settings = Settings {
            starts: starts.into(),
            ..remembering()
        };
        let mut bench = Bench::started(starts, membership(), settings);
        let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
        fail_to_dial_the_sibling(&mut bench);
        bench.pass(SECOND, &[peer]);
        let asked = questions(&bench, peer).into_iter();
        nonces.extend(asked.map(|question| question.nonce));

        let other = join(&mut bench, "gw2.m", &[]);
        serials.push(last_state(&bench, other).serial);
    }
    assert!(nonces.len() >= 2, "both have asked");
    assert!(serials[0] < serials[1], "{serials:?}");
}

/// Each order to keep what siblings prove to be alive by.
fn kept(bench: &Bench) -> Vec<BTreeMap<GatewayId, Secret>> {
    let actions = bench.actions.iter();
    let kept = actions.filter_map(|action| match action {
        Action::StoreSecrets(secrets) => Some(secrets.clone()),
        _ => None,
    });
    kept.collect()
}

fn take_questions(bench: &mut Bench, peer: ConnId) -> Vec<Relay> {
    let asked = questions(bench, peer);
    let is_sent = |action: &Action| matches!(action, Action::Send { .. });
    bench.actions.retain(|action| !is_sent(action));
    asked
}
