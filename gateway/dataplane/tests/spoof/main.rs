//! No packet with a wrong source, destination or shape is delivered, and no good one is lost: every
//! ordered pair of gateways, both directions, both families, against a naive model.
//!
//! ```text
//!  ingress   a compromised gateway seals any packet ──► the peer opens, admits or drops
//!  egress    a compromised host sends any packet ──► its gateway routes or drops
//!                                                     ──► seals ──► the peer admits
//! ```
//! The model never parses: a packet's addresses and faults are known from its crafting. With
//! a check taken away, the same run must disagree with the model: the positive controls below.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod class;
mod craft;
mod model;
mod nodes;
mod world;

use std::collections::BTreeMap;

use class::Class;
use craft::{Crafted, Rng};
use ringway_dataplane::{
    Checksum, DropReason, HEADER_LEN, Header, Kind, OVERHEAD, TAG_LEN, admit, route,
};
use world::{Weakness, World};

/// Packets of each class, pair of gateways, family and direction; `RINGWAY_SPOOF_REPEAT` sets
/// another number, and `RINGWAY_SEED` the seed.
const REPEAT: usize = 64;

/// The result of a run.
#[derive(Default)]
struct Tally {
    packets: usize,
    delivered: usize,
    /// By direction and class: how often the gateways and the model disagreed, and one example.
    wrong: BTreeMap<(&'static str, Class), (usize, String)>,
}

impl Tally {
    fn note(
        &mut self,
        direction: &'static str,
        class: Class,
        found: Verdict,
        expected: Verdict,
        crafted: &Crafted,
    ) {
        self.packets += 1;
        self.delivered += usize::from(found.is_ok());
        if found != expected {
            let example = || format!("{found:?} instead of {expected:?}: {crafted:?}");
            self.wrong
                .entry((direction, class))
                .or_insert_with(|| (0, example()))
                .0 += 1;
        }
    }
}

/// The gateway that delivered, or why the packet was dropped.
type Verdict = Result<usize, DropReason>;

#[test]
fn nothing_wrong_is_delivered_and_nothing_good_is_dropped() {
    let repeat = number("RINGWAY_SPOOF_REPEAT").map_or(REPEAT, |repeat| repeat as usize);
    let tally = run(Weakness::None, repeat);
    println!(
        "result: {} packets, {} delivered, {} judged otherwise than by the model",
        tally.packets,
        tally.delivered,
        tally.wrong.len()
    );
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert!(
        tally.packets >= 3_000 * repeat,
        "only {} packets",
        tally.packets
    );
    assert!(
        tally.delivered >= tally.packets / 10,
        "only {} of {} were good",
        tally.delivered,
        tally.packets
    );
}

#[test]
fn without_the_source_check_a_foreign_source_is_delivered() {
    let tally = run(Weakness::AnySource, 2);
    assert!(
        tally
            .wrong
            .contains_key(&("ingress", Class::SourceOfAThirdSite)),
        "{:?}",
        tally.wrong.keys()
    );
    assert!(
        tally
            .wrong
            .contains_key(&("ingress", Class::SourceOfTheReceiver)),
        "{:?}",
        tally.wrong.keys()
    );
}

#[test]
fn without_the_destination_check_a_foreign_destination_is_delivered() {
    let tally = run(Weakness::AnyDestination, 2);
    assert!(
        tally
            .wrong
            .contains_key(&("ingress", Class::DestinationHeldByNoSite)),
        "{:?}",
        tally.wrong.keys()
    );
}

#[test]
fn without_authorization_an_announced_source_is_delivered() {
    let tally = run(Weakness::WideAuthorization, 2);
    assert!(
        tally
            .wrong
            .contains_key(&("ingress", Class::SourceHeldByNoSite)),
        "{:?}",
        tally.wrong.keys()
    );
}

#[test]
fn without_consent_a_site_of_another_organization_is_served() {
    let tally = run(Weakness::NoConsent, 2);
    assert!(
        tally
            .wrong
            .contains_key(&("ingress", Class::SourceOfARefusedSite)),
        "{:?}",
        tally.wrong.keys()
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(weakness: Weakness, repeat: usize) -> Tally {
    let world = World::new(weakness);
    let mut rng = Rng::new(number("RINGWAY_SEED").unwrap_or(0x5eed));
    let mut tally = Tally::default();
    for (from, to) in world.pairs() {
        for class in Class::ALL {
            for v6 in [false, true].repeat(repeat) {
                let crafted = class.craft(&world, from, to, v6, &mut rng);
                ingress(&world, &mut tally, from, to, *class, &crafted, &mut rng);
                egress(&world, &mut tally, from, *class, &crafted);
            }
        }
    }
    tally
}

/// Gateway `from` seals any packet; gateway `to` must drop it unless it is a good one.
fn ingress(
    world: &World,
    tally: &mut Tally,
    from: usize,
    to: usize,
    class: Class,
    crafted: &Crafted,
    rng: &mut Rng,
) {
    let mut datagram = seal(world, from, to, &crafted.packet);
    let mut expected = world
        .model
        .admits(world.site(from), to, crafted)
        .map(|()| to);
    match class {
        Class::Tampered => {
            let at = HEADER_LEN + rng.below(datagram.len() - HEADER_LEN);
            datagram[at] ^= 1 << rng.below(8);
            expected = Err(DropReason::Auth);
        }
        Class::AnothersSession => {
            let other = world.other_than(&[from, to], rng);
            datagram[4..8].copy_from_slice(&World::index(other, to).to_be_bytes());
            // The other session may also have seen its number.
            let found = open(world, to, &datagram);
            let refused = matches!(found, Err(DropReason::Auth | DropReason::Replay));
            return tally.note(
                "ingress",
                class,
                found,
                if refused {
                    found
                } else {
                    Err(DropReason::Auth)
                },
                crafted,
            );
        }
        Class::Replayed => {
            let first = open(world, to, &datagram);
            tally.note("ingress", class, first, expected, crafted);
            expected = Err(DropReason::Replay);
        }
        _ => {}
    }
    tally.note(
        "ingress",
        class,
        open(world, to, &datagram),
        expected,
        crafted,
    );
}

/// A host behind gateway `from` sends any packet; the peer must admit those that are routed.
fn egress(world: &World, tally: &mut Tally, from: usize, class: Class, crafted: &Crafted) {
    let expected = world.model.routes(from, crafted);
    let found = route(&world.gateways[from].snapshot, &crafted.packet).map(|session| {
        let peer = World::receiver(session.lane(0).index());
        (peer, seal(world, from, peer, &crafted.packet))
    });
    let routed = found
        .as_ref()
        .map(|(peer, _)| *peer)
        .map_err(|reason| *reason);
    tally.note("egress", class, routed, expected, crafted);
    if let Ok((peer, datagram)) = found {
        let expected = world
            .model
            .admits(world.site(from), peer, crafted)
            .map(|()| peer);
        tally.note(
            "through",
            class,
            open(world, peer, &datagram),
            expected,
            crafted,
        );
    }
}

fn seal(world: &World, from: usize, to: usize, packet: &[u8]) -> Vec<u8> {
    let session = &world.gateways[from].outgoing[&to];
    let mut buffer = vec![0; packet.len() + OVERHEAD];
    buffer[HEADER_LEN..][..packet.len()].copy_from_slice(packet);
    session
        .seal(
            Kind::Packet(Checksum::Complete),
            session.reserve(1).unwrap(),
            &mut buffer,
        )
        .unwrap();
    buffer
}

fn open(world: &World, at: usize, datagram: &[u8]) -> Verdict {
    let snapshot = &world.gateways[at].snapshot;
    let mut datagram = datagram.to_vec();
    let header = Header::decode(&datagram)?;
    let session = snapshot
        .incoming(header.index)
        .ok_or(DropReason::UnknownIndex)?;
    session.open(&header, &mut datagram)?;
    let packet = &datagram[HEADER_LEN..datagram.len() - TAG_LEN];
    admit(snapshot, session.site(), packet).map(|()| at)
}
