//! Invariants that must hold at every moment.

use std::collections::BTreeSet;

use ringway_config::{Config, GatewayId, Member, OrgId, Ruling, SiteId};
use ringway_core::{ConnId, Membership, SiteRole, Standing};
use ringway_intent::{RoutePlan, RouteState};

use crate::attached;
use crate::wire;
use crate::world::World;

/// Published tables send only to members, only what they are authorized for, and only on sessions
/// whose keys both ends hold; and every private prefix has a route.
pub(crate) fn tables_are_sound(world: &mut World, node: usize) {
    if let Err(text) = check(world, node) {
        let id = world.nodes[node].id.clone();
        world.violate(format!("{id}: {text}"));
    }
}

/// Looks at the records and verdicts themselves, not at the membership that the shell made of them.
fn check(world: &World, node: usize) -> Result<(), String> {
    let daemon = world.nodes[node].running();
    let current = daemon.shell.current();

    for conn in &daemon.tables.sessions {
        let peer = peer_of(world, *conn);
        // A gateway that clings to a removed one is found by the model.
        if !daemon.shell.membership().gateways.contains_key(peer) {
            return Err(format!("a session of {peer}, which is no member"));
        }
    }
    for (prefix, conn) in &daemon.tables.routes {
        let peer = peer_of(world, *conn);
        if attached::may_lead(&current.config, peer, prefix) {
            peer_can_open(world, *conn)?;
            continue;
        }
        let Some(site) = site_of(&current.config, peer) else {
            return Err(format!("{prefix} goes to {peer}, which is no member"));
        };
        // A gateway of our site passes on what is for any other.
        let here = (&current.config.own.org, &current.config.site);
        let is_by_sibling = (&peer.org, site) == here;
        if !current
            .rulings
            .iter()
            .filter(|ruling| is_by_sibling || may_serve(&current.config, (&peer.org, site), ruling))
            .any(|ruling| ruling.is_available() && ruling.prefix.covers(prefix))
        {
            return Err(format!(
                "{prefix} goes to {peer}, outside its authorization"
            ));
        }
        let own = current.config.own_prefixes();
        let mut own = own
            .iter()
            .filter(|own| !current.config.is_own_address(&own.prefix));
        if own.any(|own| own.prefix.overlaps(prefix)) {
            return Err(format!("{prefix} goes to {peer}, but is our own"));
        }
        peer_can_open(world, *conn)?;
    }
    every_private_prefix_has_a_route(world, node)
}

/// The records let the gateways of site `server` serve the prefix.
fn may_serve(config: &Config, server: (&OrgId, &SiteId), ruling: &Ruling) -> bool {
    let record = config.record(&ruling.org);
    let via = record
        .and_then(|record| record.site(&ruling.site))
        .and_then(|site| site.via.as_ref());
    let Some(via) = via else {
        return (&ruling.org, &ruling.site) == server;
    };

    let host = via.org.as_ref().unwrap_or(&ruling.org);
    let consents = |record: &Member| {
        let mut transit = record.transit.iter();
        transit.any(|transit| (&transit.org, &transit.site) == (&ruling.org, &ruling.site))
    };
    (host, &via.site) == server
        && (*host == ruling.org || config.record(host).is_some_and(consents))
}

fn site_of<'c>(config: &'c Config, peer: &GatewayId) -> Option<&'c SiteId> {
    let gateway = config.record(&peer.org)?.gateway(&peer.name)?;

    Some(&gateway.site)
}

/// As long as the other end has not ended the connection, it opens what we seal.
fn peer_can_open(world: &World, conn: ConnId) -> Result<(), String> {
    let (wire, end) = wire::end_of(conn);
    if !world.is_open(wire, 1 - end) {
        return Ok(());
    }

    let here = world.nodes[node_of(world, conn)].running();
    let peer = wire::conn(wire, 1 - end);
    let there = &world.nodes[node_of(world, peer)];
    let index = here.sealing.get(&conn).ok_or("no sealing keys")?;
    if there.running().opening.get(&peer) == Some(index) {
        Ok(())
    } else {
        Err(format!("{} cannot open what we seal", there.id))
    }
}

/// The kernel knows every remote prefix of the records in force at the last comparison, but for
/// networks of the host: through a tunnel, or as unreachable. Never does it follow the default
/// route.
fn every_private_prefix_has_a_route(world: &World, node: usize) -> Result<(), String> {
    let gateway = &world.nodes[node];
    let daemon = gateway.running();
    // The plan that follows what is in force now is on its way.
    if daemon.is_syncing || daemon.is_sync_refused || gateway.kernel.is_meddled {
        return Ok(());
    }

    let current = daemon.shell.current();
    let missing = current
        .rulings
        .iter()
        .map(|ruling| ruling.prefix)
        .filter(|prefix| {
            !current
                .config
                .own_prefixes()
                .iter()
                .any(|own| own.prefix.overlaps(prefix))
        })
        .filter(|prefix| {
            !current
                .connected
                .iter()
                .any(|network| network.prefix.overlaps(prefix))
        })
        .find(|prefix| !gateway.kernel.routes.contains_key(prefix));
    match missing {
        None => Ok(()),
        Some(prefix) => Err(format!("{prefix} has no route in the kernel")),
    }
}

/// A change of membership ends the sessions of removed gateways, and no other.
pub(crate) fn only_removed_are_cut(
    world: &mut World,
    node: usize,
    before: &Membership,
    ended: &[ConnId],
) {
    let after = world.nodes[node].running().shell.membership();
    let kept: BTreeSet<GatewayId> = before
        .gateways
        .keys()
        .filter(|peer| after.gateways.contains_key(peer))
        .cloned()
        .collect();

    for conn in ended {
        let peer = peer_of(world, *conn).clone();
        if kept.contains(&peer) {
            world.accuse(node, &format!("cut {peer}, which stays a member"));
        }
    }
}

/// The highest epoch that honest gateways count to.
const CEILING: u64 = 1 << 62;

/// More takeovers than a site can have in a course of events.
const MANY: u64 = 1000;

/// Whatever a gateway lies about its rank, no honest one takes a number from which there is no way
/// on; and the order of a site whose gateways are honest knows nothing of it.
pub(crate) fn ranks_are_sound(world: &mut World, node: usize) {
    let here = &world.nodes[node];
    let Some(epoch) = here.standing.as_ref().map(|standing| standing.epoch) else {
        return;
    };
    let mut gateways = world.nodes.iter();
    let is_lied_to = gateways
        .any(|there| there.has_ever_lied && there.id.org == here.id.org && there.site == here.site);

    if epoch > CEILING || !is_lied_to && epoch > MANY {
        world.accuse(node, &format!("takes epoch {epoch}"));
    }
}

/// Connections that went through the sibling until now pass when a gateway takes over from it.
pub(crate) fn takeover_has_grace(world: &mut World, node: usize, standing: &Standing) {
    let is_takeover = standing.role == SiteRole::Active && standing.reason.sibling().is_some();

    if is_takeover && world.nodes[node].last_grace != Some(world.now) {
        world.accuse(node, "takes over without a time of grace");
    }
}

/// True if a route leads into a tunnel.
pub(crate) fn has_tunnel_routes(routes: &RoutePlan) -> bool {
    routes
        .values()
        .any(|state| matches!(state, RouteState::Tunnel { .. }))
}

/// The node at this end of a connection.
pub(crate) fn node_of(world: &World, conn: ConnId) -> usize {
    let (wire, end) = wire::end_of(conn);

    world.wires[wire].ends[end].node
}

/// The gateway at the other end of a connection.
pub(crate) fn peer_of(world: &World, conn: ConnId) -> &GatewayId {
    let (wire, end) = wire::end_of(conn);

    &world.nodes[world.wires[wire].ends[1 - end].node].id
}
