//! Which of two gateways of one site is active, as `gw.m` decides it about itself and `gw2.m`.

mod addresses;
mod carrier;
mod handing_over;
mod passing_on;
mod ranks;
mod refused;
mod silence;
mod witnesses;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_core::message::SIBLINGS;
use ringway_core::{
    Action, Answer, ConnId, DialError, ExternalText, Hello, Message, Rank, Relay, Role, RoleReason,
    Secret, Settings, SiblingMessage, SiblingState, SiteRole, Standing,
};

use crate::bench::{Bench, SECOND, hello, id, prefixes};

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

/// The standby's role while its sibling is active.
#[track_caller]
fn assert_outranked(bench: &Bench, epoch: u64) {
    let reason = RoleReason::Outranked(sibling());

    assert_role(bench, SiteRole::Standby, epoch, reason);
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
        org: question.org.clone(),
        from: question.to.clone(),
        to: question.from.clone(),
        nonce: question.nonce,
        answer: Some(answer),
    })
}

fn no_carrier(state: SiblingState) -> SiblingState {
    SiblingState {
        no_carrier: true,
        ..state
    }
}

fn no_carrier_reason() -> RoleReason {
    RoleReason::NoCarrier {
        interfaces: "eth1".into(),
        active: sibling(),
    }
}

/// `gw.m` has lost the carrier of the interface to the site's network, or has it again.
fn lose_carrier(bench: &mut Bench, lost: Option<&str>) {
    bench
        .mesh
        .handle_carrier(lost.map(str::to_owned), bench.now);
    bench.collect();
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

/// The first attempt to reach `gw2.m` has ended in failure.
fn fail_to_dial_the_sibling(bench: &mut Bench) {
    let error = DialError::Resolve {
        host: "nowhere".into(),
        error: ExternalText::new("it has no address"),
    };
    bench.pass(Duration::ZERO, &[]);
    let dial = bench.last_dial("gw2.m").unwrap();
    bench.mesh.handle_dial_failed(dial, error, bench.now);
}
