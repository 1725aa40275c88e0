//! What must hold at every moment, whatever happens.

use std::collections::BTreeSet;

use ringway_config::GatewayId;
use ringway_core::{ConnId, Membership};

use crate::model;
use crate::wire;
use crate::world::World;

/// A published table sends only to members, only what they are authorized for, and only on sessions whose
/// keys both ends hold.
pub(crate) fn table_is_sound(world: &mut World, node: usize) {
    if let Err(text) = check(world, node) {
        let id = world.nodes[node].id.clone();
        world.violate(format!("{id}: {text}"));
    }
}

fn check(world: &World, node: usize) -> Result<(), String> {
    let gateway = &world.nodes[node];
    let membership = gateway.membership();
    for (conn, peer) in model::sessions_of(world, node) {
        if !membership.gateways.contains_key(peer) {
            return Err(format!("a session of {peer}, which is no member"));
        }
        if !gateway.opening.contains_key(&conn) {
            return Err(format!("a session of {peer} without keys"));
        }
        peer_can_open(world, conn)?;
    }
    for (prefix, (peer, conn)) in &gateway.fib.routes {
        let Some(info) = membership.gateways.get(peer) else {
            return Err(format!("{prefix} goes to {peer}, which is no member"));
        };
        if !membership
            .prefixes(&peer.org, &info.site)
            .iter()
            .any(|whole| whole.covers(prefix))
        {
            return Err(format!(
                "{prefix} goes to {peer}, outside its authorization"
            ));
        }
        if membership
            .local_prefixes()
            .iter()
            .any(|own| own.overlaps(prefix))
        {
            return Err(format!("{prefix} goes to {peer}, but is our own"));
        }
        if !gateway.sealing.contains_key(conn) || model::peer_of(world, *conn) != peer {
            return Err(format!("{prefix} goes to {peer} on a session of another"));
        }
    }
    Ok(())
}

/// As long as the other end has not ended the connection, it opens what we seal.
fn peer_can_open(world: &World, conn: ConnId) -> Result<(), String> {
    let (wire, end) = wire::end_of(conn);
    if !world.is_open(wire, 1 - end) {
        return Ok(());
    }
    let ends = &world.wires[wire].ends;
    let (here, there) = (
        &world.nodes[ends[end].node],
        &world.nodes[ends[1 - end].node],
    );
    let index = here.sealing.get(&conn).ok_or("no sealing keys")?;
    match there.opening.get(&wire::conn(wire, 1 - end)) == Some(index) {
        true => Ok(()),
        false => Err(format!("{} cannot open what we seal", there.id)),
    }
}

/// A change of membership ends the sessions of removed gateways, and no other.
pub(crate) fn only_removed_are_cut(
    world: &mut World,
    node: usize,
    before: &Membership,
    ended: &[ConnId],
) {
    let after = world.nodes[node].membership();
    let kept: BTreeSet<GatewayId> = before
        .gateways
        .keys()
        .filter(|peer| after.gateways.contains_key(peer))
        .cloned()
        .collect();
    for conn in ended {
        let (wire, end) = wire::end_of(*conn);
        let peer = world.nodes[world.wires[wire].ends[1 - end].node].id.clone();
        if kept.contains(&peer) {
            world.violate(format!(
                "{} cut {peer}, which stays a member",
                world.nodes[node].id
            ));
        }
    }
}
