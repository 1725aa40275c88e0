//! The reference model: who should reach whom once nothing changes any more. It knows records, lives and
//! cuts, but no sessions, handshakes or messages.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::{GatewayId, OrgId, Prefix};
use ringway_core::{ConnId, TunnelState};

use crate::wire;
use crate::world::{Violation, World};

/// Compares every gateway with the model. `settled`: no session is being replaced any more, either.
pub(crate) fn compare(world: &World, settled: bool) -> Result<(), Violation> {
    for node in (0..world.nodes.len()).filter(|node| world.nodes[*node].runs()) {
        let fault = tunnels(world, node)
            .or_else(|| routes(world, node))
            .or_else(|| match settled {
                true => sessions(world, node),
                false => None,
            });
        if let Some(text) = fault {
            return Err(Violation(format!(
                "at the end: {}: {text}",
                world.nodes[node].id
            )));
        }
    }
    Ok(())
}

/// Two gateways have a tunnel if both run, both accept each other, a path is there and one can dial; if
/// neither can dial any more, they keep the one they have.
pub(crate) fn linked(world: &World, a: usize, b: usize) -> bool {
    let (here, there) = (&world.nodes[a], &world.nodes[b]);
    let (ours, theirs) = (here.membership(), there.membership());
    let (Some(of_there), Some(of_here)) =
        (ours.gateways.get(&there.id), theirs.gateways.get(&here.id))
    else {
        return false;
    };
    let dialable = !of_there.endpoints.is_empty() || !of_here.endpoints.is_empty();
    let standing = || sessions_of(world, a).any(|(_, peer)| *peer == there.id);
    here.runs() && there.runs() && !world.network.is_cut(a, b) && (dialable || standing())
}

fn peers(world: &World, node: usize) -> BTreeMap<GatewayId, usize> {
    let others =
        (0..world.nodes.len()).filter(|other| *other != node && linked(world, node, *other));
    others
        .map(|other| (world.nodes[other].id.clone(), other))
        .collect()
}

fn tunnels(world: &World, node: usize) -> Option<String> {
    let here = &world.nodes[node];
    let expected = peers(world, node);
    let status = here.mesh.as_ref()?.status(world.now);
    let members: BTreeSet<&GatewayId> = status.tunnels.iter().map(|tunnel| &tunnel.peer).collect();
    if !members.into_iter().eq(here.membership().gateways.keys()) {
        return Some("status lists other gateways than the records".into());
    }
    for tunnel in &status.tunnels {
        let up = tunnel.state == TunnelState::Up;
        if up != expected.contains_key(&tunnel.peer) {
            return Some(format!(
                "tunnel to {}: up is {up} ({:?})",
                tunnel.peer, tunnel.last_error
            ));
        }
        let drift = expected
            .get(&tunnel.peer)
            .map(|other| drift(world, node, *other));
        if drift.is_some_and(|drift| drift != tunnel.records_differ) {
            return Some(format!(
                "records differ from {}: {:?}",
                tunnel.peer, tunnel.records_differ
            ));
        }
    }
    None
}

fn drift(world: &World, a: usize, b: usize) -> Vec<OrgId> {
    let (ours, theirs) = (world.nodes[a].records(), world.nodes[b].records());
    let orgs: BTreeSet<&OrgId> = ours.keys().chain(theirs.keys()).collect();
    orgs.into_iter()
        .filter(|org| ours.get(*org) != theirs.get(*org))
        .cloned()
        .collect()
}

/// A prefix is reached if a linked gateway of another site serves it and our records give it to its site.
fn routes(world: &World, node: usize) -> Option<String> {
    let here = &world.nodes[node];
    let ours = here.membership();
    let mut expected: BTreeMap<Prefix, BTreeSet<GatewayId>> = BTreeMap::new();
    for (id, other) in peers(world, node) {
        let info = ours.gateways.get(&id)?;
        if id.org == here.id.org && info.site == here.site {
            continue;
        }
        let served = world.nodes[other].membership();
        let allowed = ours.prefixes(&id.org, &info.site);
        for prefix in served
            .local_prefixes()
            .iter()
            .filter(|prefix| allowed.iter().any(|whole| whole.covers(prefix)))
        {
            if !ours.local_prefixes().iter().any(|own| own.overlaps(prefix)) {
                expected.entry(*prefix).or_default().insert(id.clone());
            }
        }
    }
    if !here.fib.routes.keys().eq(expected.keys()) {
        let (have, want) = (here.fib.routes.keys(), expected.keys());
        return Some(format!(
            "routes {:?}, not {:?}",
            have.collect::<Vec<_>>(),
            want.collect::<Vec<_>>()
        ));
    }
    let mut routes = here.fib.routes.iter();
    routes.find_map(
        |(prefix, (gateway, conn))| match expected[prefix].contains(gateway) {
            false => Some(format!(
                "{prefix} goes to {gateway}, which does not serve it"
            )),
            true => {
                (!arrives(world, *conn)).then(|| format!("{prefix} is not received by {gateway}"))
            }
        },
    )
}

/// The sessions that both `Hello`s are through on, and the peer of each.
pub(crate) fn sessions_of(
    world: &World,
    node: usize,
) -> impl Iterator<Item = (ConnId, &GatewayId)> {
    let conns = world.nodes[node].sealing.keys();
    conns.map(|conn| (*conn, peer_of(world, *conn)))
}

/// The gateway at the other end of a connection.
pub(crate) fn peer_of(world: &World, conn: ConnId) -> &GatewayId {
    let (wire, end) = wire::end_of(conn);
    &world.nodes[world.wires[wire].ends[1 - end].node].id
}

/// The other end opens what is sealed here and takes it for ours.
fn arrives(world: &World, conn: ConnId) -> bool {
    let (wire, end) = wire::end_of(conn);
    let ends = &world.wires[wire].ends;
    let (here, there) = (
        &world.nodes[ends[end].node],
        &world.nodes[ends[1 - end].node],
    );
    let theirs = wire::conn(wire, 1 - end);
    let opens = here
        .sealing
        .get(&conn)
        .is_some_and(|index| there.opening.get(&theirs) == Some(index));
    opens && there.sealing.contains_key(&theirs)
}

/// One session per tunnel is left, and both ends agree which.
fn sessions(world: &World, node: usize) -> Option<String> {
    let here = &world.nodes[node];
    let mut seen = BTreeSet::new();
    for (conn, peer) in sessions_of(world, node) {
        if !seen.insert(peer) {
            return Some(format!("two sessions with {peer}"));
        }
        if !arrives(world, conn) {
            return Some(format!("the session with {peer} is not the peer's"));
        }
    }
    // A gateway that is no member (any more) still tries, and is refused.
    let mut stray = here
        .opening
        .keys()
        .filter(|conn| !here.sealing.contains_key(conn));
    stray.find_map(|conn| {
        let (wire, end) = wire::end_of(*conn);
        let peer = world.wires[wire].ends[1 - end].node;
        linked(world, node, peer)
            .then(|| format!("keys without a session with {}", world.nodes[peer].id))
    })
}
