//! A gateway whose program lies about the ranks of its site, and about flows: what it says reaches
//! its peers and siblings on its own sessions, beside what its daemon says.
//!
//! `invariant` watches what comes of it while it lies. It is restarted in the end: then all must be
//! as if it had never lied (`model`).

use ringway_config::{Digest, GatewayName, OrgId};
use ringway_core::message::{Answer, Relay, SiblingMessage, SiblingState};
use ringway_core::{ConnId, Message, Rank, Secret};

use crate::exchange::Exchange;
use crate::invariant;
use crate::model::sessions_of;
use crate::wire::{self, Item};
use crate::world::World;

/// Says something untrue on each session of `node`.
pub(crate) fn lie(world: &mut World, node: usize) {
    for conn in begin(world, node) {
        lie_about_rank(world, node, conn);
        if world.rng.chance(200) {
            lie_about_flows(world, node, conn);
        }
    }
}

/// [`lie`], about ranks alone.
pub(crate) fn lie_about_ranks(world: &mut World, node: usize) {
    for conn in begin(world, node) {
        lie_about_rank(world, node, conn);
    }
}

/// `node` is a liar from now on; its sessions.
fn begin(world: &mut World, node: usize) -> Vec<ConnId> {
    if !world.nodes[node].runs() {
        return Vec::new();
    }
    world.nodes[node].has_lied = true;
    world.nodes[node].has_ever_lied = true;

    sessions_of(world, node).map(|(conn, _)| conn).collect()
}

fn lie_about_rank(world: &mut World, node: usize, conn: ConnId) {
    let message = untruth(world, node, conn);
    world.send(conn, Item::Bytes(message.encode()));
}

/// Says that a host of the other end's site has asked a host of its own site, and brings the
/// answer. Or that a host of its own site has asked one of the other end's.
fn lie_about_flows(world: &mut World, node: usize, conn: ConnId) {
    let peer = invariant::peer_of(world, conn);
    let Some(peer) = world.nodes.iter().position(|there| there.id == *peer) else {
        return;
    };
    // Both gateways may be those of one site: then it is about any other.
    let far = world.rng.below(world.nodes.len());
    let far = if world.rng.chance(500) { node } else { far };
    let (near, far) = if world.rng.chance(800) {
        (peer, far)
    } else {
        (far, peer)
    };
    if !world.nodes[near].runs() || !world.nodes[far].runs() {
        return;
    }

    if let Some(exchange) = Exchange::between(world, near, far) {
        world.claim(node, conn, exchange);
    }
}

fn untruth(world: &mut World, node: usize, conn: ConnId) -> Message {
    let rank = Rank {
        epoch: epoch(world),
        preference: world.rng.next() as u32,
    };

    match world.rng.below(4) {
        0 => Message::Rank(rank),
        1 => Message::Relay(Relay {
            org: some_org(world, node, conn),
            from: some_gateway(world, node),
            to: named(world, invariant::node_of(world, other_end(conn))),
            nonce: nonce(world),
            answer: Some(Answer {
                state: some_state(world, rank),
                proof: Digest::of(&nonce(world)),
            }),
        }),
        2 => Message::Relay(Relay {
            org: some_org(world, node, conn),
            from: named(world, node),
            to: some_gateway(world, node),
            nonce: nonce(world),
            answer: None,
        }),
        _ => Message::Sibling(SiblingMessage {
            state: some_state(world, rank),
            secret: Secret([world.rng.next() as u8; 32]),
        }),
    }
}

fn some_state(world: &mut World, rank: Rank) -> SiblingState {
    SiblingState {
        rank,
        is_active: world.rng.chance(700),
        hands_over: world.rng.chance(200),
        no_carrier: world.rng.chance(200),
        tunnels: world.rng.next() as u16,
        serial: world.rng.next(),
    }
}

/// The highest of all, the highest that is counted on from, and others.
fn epoch(world: &mut World) -> u64 {
    match world.rng.below(4) {
        0 => u64::MAX,
        1 => (1 << 62) - 1,
        2 => 1_000_000 + world.rng.below(1000) as u64,
        _ => world.rng.next(),
    }
}

/// Its own, or that of the gateway that it lies to.
fn some_org(world: &mut World, node: usize, conn: ConnId) -> OrgId {
    if world.rng.chance(500) {
        world.nodes[node].id.org.clone()
    } else {
        invariant::peer_of(world, conn).org.clone()
    }
}

fn other_end(conn: ConnId) -> ConnId {
    let (wire, end) = wire::end_of(conn);
    wire::conn(wire, 1 - end)
}

/// Its name; of an attached node, which no message can name, that of some gateway.
fn named(world: &mut World, node: usize) -> GatewayName {
    let id = &world.nodes[node].id;
    if id.is_node() {
        return some_gateway(world, node);
    }

    id.name.clone()
}

fn some_gateway(world: &mut World, node: usize) -> GatewayName {
    let org = &world.nodes[node].id.org;
    let names = world
        .nodes
        .iter()
        .filter(|other| other.id.org == *org && !other.id.is_node());
    let names: Vec<GatewayName> = names.map(|other| other.id.name.clone()).collect();

    names[world.rng.below(names.len())].clone()
}

fn nonce(world: &mut World) -> [u8; 16] {
    (u128::from(world.rng.next()) << 64 | u128::from(world.rng.next())).to_be_bytes()
}
