//! Which of two gateways of one site is active, as `gw.m` decides it about itself and `gw2.m`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_core::message::SIBLINGS;
use ringway_core::{
    Action, Answer, ByeCode, ConnId, DialError, ExternalText, Hello, Message, Rank, Relay, Role,
    RoleReason, Secret, Settings, SiblingMessage, SiblingState, SiteRole, Standing,
};

use crate::bench::{Bench, SECOND, hello, id, membership, prefixes};

const MILLISECOND: Duration = Duration::from_millis(1);

/// By which `gw2.m` proves to be alive.
const SECRET: Secret = Secret([7; 32]);

pub(crate) fn settings() -> Settings {
    Settings {
        features: SIBLINGS,
        secret: Secret([1; 32]),
        ..Settings::default()
    }
}

/// The `Hello` of a gateway that knows of siblings.
pub(crate) fn new_hello(boot: u8) -> Message {
    let Message::Hello(hello) = hello(boot, 0) else {
        panic!("a hello")
    };
    Message::Hello(Hello {
        features: SIBLINGS,
        ..hello
    })
}

pub(crate) fn join(bench: &mut Bench, peer: &str, claims: &[&str]) -> ConnId {
    let conn = bench.connect(peer, Role::Accepter);
    bench.receive(conn, new_hello(1));
    let prefixes = prefixes(claims);
    let serial = 1;
    bench.receive(conn, Message::Announce { serial, prefixes });
    bench.pass(Duration::ZERO, &[conn]);
    conn
}

fn standby(epoch: u64) -> SiblingState {
    SiblingState {
        rank: Rank {
            epoch,
            preference: 100,
        },
        is_active: false,
        hands_over: false,
        no_carrier: false,
        tunnels: 1,
        serial: 0,
    }
}

/// The same, said later than everything before.
fn later(state: SiblingState) -> SiblingState {
    static SERIAL: AtomicU64 = AtomicU64::new(1);

    SiblingState {
        serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        ..state
    }
}

/// What `gw2.m` says of itself.
fn said(state: SiblingState) -> Message {
    Message::Sibling(SiblingMessage {
        state: later(state),
        secret: SECRET,
    })
}

fn active(epoch: u64) -> SiblingState {
    SiblingState {
        is_active: true,
        ..standby(epoch)
    }
}

fn role(bench: &Bench) -> Standing {
    let roles = bench
        .actions
        .iter()
        .rev()
        .filter_map(|action| match action {
            Action::Role(standing) => Some(standing.clone()),
            _ => None,
        });
    roles.into_iter().next().unwrap()
}

#[track_caller]
fn assert_role(bench: &Bench, role_is: SiteRole, epoch: u64, reason: RoleReason) {
    let Standing {
        role,
        epoch: is,
        reason: why,
        ..
    } = role(bench);
    assert_eq!((role, is, why), (role_is, epoch, reason));
}

fn sibling() -> ringway_config::GatewayId {
    id("gw2.m")
}

/// `gw2.m` is active with epoch 5, `gw.a` has a tunnel.
fn behind_an_active_sibling() -> (Bench, ConnId, ConnId) {
    let mut bench = Bench::with(settings());
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(active(5)));
    bench.pass(SECOND, &[peer, other]);
    assert_role(
        &bench,
        SiteRole::Standby,
        0,
        RoleReason::Outranked(sibling()),
    );
    (bench, peer, other)
}

/// `gw.m` has taken over with epoch 1, `gw2.m` is standby.
fn before_a_standby() -> (Bench, ConnId, ConnId) {
    let mut bench = Bench::with(settings());
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(standby(0)));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
    (bench, peer, other)
}

fn last_message(bench: &Bench, to: ConnId) -> SiblingMessage {
    let states = bench
        .sent(to)
        .into_iter()
        .filter_map(|message| match message {
            Message::Sibling(message) => Some(message),
            _ => None,
        });
    states.last().unwrap()
}

fn last_state(bench: &Bench, to: ConnId) -> SiblingState {
    last_message(bench, to).state
}

fn questions(bench: &Bench, to: ConnId) -> Vec<Relay> {
    let relays = bench
        .sent(to)
        .into_iter()
        .filter_map(|message| match message {
            Message::Relay(relay) => Some(relay),
            _ => None,
        });
    relays.collect()
}

/// What a peer brings back from the sibling that was asked, if that is in this state.
fn answer(question: &Relay, state: SiblingState) -> Message {
    let state = later(state);
    let proof = SECRET.prove(question.nonce, &state);

    brought(question, Answer { state, proof })
}

fn brought(question: &Relay, answer: Answer) -> Message {
    Message::Relay(Relay {
        from: question.to.clone(),
        to: question.from.clone(),
        nonce: question.nonce,
        answer: Some(answer),
    })
}

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

    let error = DialError::Resolve {
        host: "nowhere".into(),
        error: ExternalText::new("it has no address"),
    };
    let dial = bench.last_dial("gw2.m").unwrap();
    bench.mesh.handle_dial_failed(dial, error, bench.now);
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
fn the_silence_of_the_active_sibling_is_noticed_within_200_ms() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    bench.pass(140 * MILLISECOND, &[peer]);
    assert_role(
        &bench,
        SiteRole::Standby,
        0,
        RoleReason::Outranked(sibling()),
    );

    bench.pass(60 * MILLISECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 6, RoleReason::Silent(sibling()));
    let gap = role(&bench).gap.unwrap();
    assert!(
        (150 * MILLISECOND..200 * MILLISECOND).contains(&gap),
        "{gap:?}"
    );
}

#[test]
fn a_gateway_that_was_paused_does_not_take_its_own_silence_for_the_siblings() {
    let (mut bench, peer, other) = behind_an_active_sibling();
    bench.now += 60 * SECOND;
    bench.mesh.handle_timeout(bench.now);
    bench.collect();
    bench.pass(5 * MILLISECOND, &[]);
    bench.pass(SECOND, &[peer, other]);
    assert_role(
        &bench,
        SiteRole::Standby,
        0,
        RoleReason::Outranked(sibling()),
    );
}

#[test]
fn a_gateway_that_was_stopped_does_not_take_the_place_back_from_the_one_that_took_over() {
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
fn a_sibling_that_proves_through_a_peer_to_be_alive_is_left_its_place() {
    let (mut bench, peer, _) = behind_an_active_sibling();
    for _ in 0..100 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in questions(&bench, peer) {
            bench.receive(peer, answer(&question, active(5)));
        }
        bench
            .actions
            .retain(|action| !matches!(action, Action::Send { .. }));
        assert_role(
            &bench,
            SiteRole::Standby,
            0,
            RoleReason::Outranked(sibling()),
        );
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
fn a_higher_epoch_of_the_sibling_is_stood_down_for_and_an_equal_one_is_passed() {
    let (mut bench, _, other) = before_a_standby();
    bench.receive(other, said(active(2)));
    assert_role(
        &bench,
        SiteRole::Standby,
        1,
        RoleReason::Outranked(sibling()),
    );

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
    assert_role(
        &bench,
        SiteRole::Standby,
        1,
        RoleReason::Outranked(sibling()),
    );

    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 2, RoleReason::Silent(sibling()));
}

#[test]
fn only_a_gateway_of_our_site_has_a_say() {
    let (mut bench, peer, other) = before_a_standby();
    bench.receive(peer, said(active(u64::MAX)));
    bench.receive(peer, Message::Rank(active(u64::MAX).rank));
    bench.pass(SECOND, &[peer, other]);
    assert_role(&bench, SiteRole::Active, 1, RoleReason::Vacant);
}

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
fn a_gateway_whose_tunnels_are_silent_hands_over_and_is_active_until_the_sibling_is() {
    let (mut bench, _, other) = before_a_standby();
    bench.pass(200 * MILLISECOND, &[other]);
    assert!(!last_state(&bench, other).hands_over);
    bench.pass(150 * MILLISECOND, &[other]);
    let state = last_state(&bench, other);
    assert!(state.hands_over && state.is_active && state.tunnels == 0);

    bench.receive(other, said(active(2)));
    assert_role(
        &bench,
        SiteRole::Standby,
        1,
        RoleReason::Outranked(sibling()),
    );
}

#[test]
fn nobody_hands_over_if_the_sibling_has_no_tunnels_either() {
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
fn a_preferred_gateway_takes_its_place_back_after_a_minute() {
    let mut bench = Bench::with(Settings {
        preference: 200,
        ..settings()
    });
    let peer = join(&mut bench, "gw.a", &["10.2.0.0/16"]);
    let other = join(&mut bench, "gw2.m", &[]);
    bench.receive(other, said(active(5)));
    bench.pass(59 * SECOND, &[peer, other]);
    assert_role(
        &bench,
        SiteRole::Standby,
        0,
        RoleReason::Outranked(sibling()),
    );
    bench.pass(2 * SECOND, &[peer, other]);
    assert_role(
        &bench,
        SiteRole::Active,
        6,
        RoleReason::Preferred(sibling()),
    );
}

#[test]
fn a_preference_that_the_operator_changes_is_told_and_counts_from_then_on() {
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

#[test]
fn a_shutdown_hands_over_before_it_withdraws() {
    let (mut bench, _, other) = before_a_standby();
    bench.mesh.handle_shutdown(bench.now);
    bench.collect();
    assert!(last_state(&bench, other).hands_over);
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
    assert_role(
        &bench,
        SiteRole::Standby,
        0,
        RoleReason::Outranked(sibling()),
    );
}

#[test]
fn a_drained_gateway_hands_over_until_the_drain_is_cancelled_and_is_active_if_nobody_is_left() {
    let (mut bench, peer, other) = before_a_standby();
    bench.mesh.handle_drain(true, bench.now);
    bench.collect();
    assert!(last_state(&bench, other).hands_over && last_state(&bench, other).is_active);

    bench.receive(other, said(active(2)));
    assert_role(
        &bench,
        SiteRole::Standby,
        1,
        RoleReason::Outranked(sibling()),
    );
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 3, RoleReason::Silent(sibling()));

    bench.mesh.handle_drain(false, bench.now);
    bench.collect();
    bench.pass(SECOND, &[peer]);
    assert_role(&bench, SiteRole::Active, 3, RoleReason::Silent(sibling()));
}

fn last_endpoints(bench: &Bench) -> Vec<String> {
    let dials = bench
        .actions
        .iter()
        .rev()
        .filter_map(|action| match action {
            Action::Dial {
                peer, endpoints, ..
            } if *peer == sibling() => Some(endpoints),
            _ => None,
        });
    let endpoints = dials.into_iter().next().unwrap();
    endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sibling_is_dialled_inside_the_site_where_it_says_and_nowhere_else() {
    let (mut bench, peer, other) = before_a_standby();
    let said = ["10.1.0.3:4600", "10.2.0.3:4600", "192.0.2.1:4600"];
    let addresses = said.map(|address| address.parse().unwrap());
    bench.receive(peer, Message::Addresses(addresses.into()));
    let dials = bench.dials("gw2.m");
    bench.pass(SECOND, &[peer, other]);
    assert_eq!(bench.dials("gw2.m"), dials, "a peer of another site");

    bench.receive(other, Message::Addresses(addresses.into()));
    bench.pass(2 * SECOND, &[peer, other]);
    assert_eq!(
        last_endpoints(&bench),
        ["10.1.0.3:4600", "203.0.113.5:4600"]
    );
    let dials = bench.dials("gw2.m");
    bench.receive(other, Message::Addresses(addresses.into()));
    bench.disconnect(other);
    bench.pass(SECOND, &[peer]);
    assert!(bench.dials("gw2.m") > dials);
    assert_eq!(
        last_endpoints(&bench),
        ["10.1.0.3:4600", "203.0.113.5:4600"]
    );
}

#[test]
fn a_sibling_learns_our_addresses_and_peers_do_not() {
    let (mut bench, peer, other) = before_a_standby();
    let ours = Message::Addresses(["10.1.0.2:4600".parse().unwrap()].into());
    let Message::Addresses(addresses) = ours.clone() else {
        panic!("addresses")
    };
    for _ in 0..2 {
        bench.mesh.handle_addresses(addresses.clone());
        bench.collect();
    }
    let count = |bench: &Bench, conn| bench.sent(conn).iter().filter(|m| **m == ours).count();
    assert_eq!([count(&bench, other), count(&bench, peer)], [1, 0]);
}

fn no_carrier(state: SiblingState) -> SiblingState {
    SiblingState {
        no_carrier: true,
        ..state
    }
}

/// `gw.m` has lost the carrier of the interface to the site's network, or has it again.
fn lose_carrier(bench: &mut Bench, lost: Option<&str>) {
    bench
        .mesh
        .handle_carrier(lost.map(str::to_owned), bench.now);
    bench.collect();
}

fn no_carrier_reason() -> RoleReason {
    RoleReason::NoCarrier {
        interfaces: "eth1".into(),
        active: sibling(),
    }
}

#[test]
fn a_lost_carrier_hands_over_and_what_it_claims_goes_once_the_sibling_is_active() {
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
fn if_all_siblings_have_lost_their_carrier_nobody_moves() {
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

#[test]
fn what_a_sibling_says_through_a_peer_counts_as_what_it_says_itself() {
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

/// Half a second in which the sibling is heard of only through `peer`.
fn answer_for(bench: &mut Bench, peer: ConnId, state: SiblingState) {
    let mut asked = 0;
    for _ in 0..25 {
        bench.pass(20 * MILLISECOND, &[peer]);
        for question in questions(bench, peer) {
            asked += 1;
            bench.receive(peer, answer(&question, state));
        }
        bench
            .actions
            .retain(|action| !matches!(action, Action::Send { .. }));
    }
    assert!(asked > 0, "peers were asked");
}

#[test]
fn what_a_sibling_said_earlier_does_not_count_any_more_when_it_comes_late() {
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
