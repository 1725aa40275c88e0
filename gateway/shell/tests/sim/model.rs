//! The reference model: who should reach whom, and what should be in force, once nothing changes
//! any more. It knows files, hosts, lives and cuts, but no sessions, handshakes, messages or
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringway_config::{GatewayId, OrgId, Prefix};
use ringway_core::message::{SIBLING_ROUTES, SIBLINGS};
use ringway_core::{ConnId, Membership, SiteRole, TunnelState};
use ringway_intent::{RouteState, Situation, Tunnelled, guard, plan_routes};

use crate::consortium;
use crate::invariant::peer_of;
use crate::node::Node;
use crate::ways;
use crate::wire;
use crate::world::{Violation, World};

/// Gateways of a site that met so long ago did so before anything was cut for good.
const ACQUAINTED: Duration = Duration::from_secs(10);

/// What every gateway should make of its records.
struct View<'w> {
    world: &'w World,
    memberships: Vec<Membership>,
}

/// Compares every gateway with the model. `settled`: no session is being replaced any more, either.
pub(crate) fn compare(world: &World, settled: bool) -> Result<(), Violation> {
    let memberships = world.nodes.iter().map(Node::membership).collect();
    let view = View { world, memberships };

    for node in (0..world.nodes.len()).filter(|node| world.nodes[*node].runs()) {
        let fault = in_force(world, node)
            .or_else(|| tunnels(&view, node))
            .or_else(|| routes(&view, node))
            .or_else(|| role(&view, node))
            .or_else(|| kernel(world, node))
            .or_else(|| certificates(&view, node))
            .or_else(|| if settled { sessions(&view, node) } else { None });

        if let Some(text) = fault {
            let id = &world.nodes[node].id;
            return Err(Violation(format!("at the end: {id}: {text}")));
        }
    }
    Ok(())
}

/// What was read last, and nothing spoke against, is in force; and nothing that was asked for is
/// unread.
fn in_force(world: &World, node: usize) -> Option<String> {
    let gateway = &world.nodes[node];
    let daemon = gateway.running();
    let current = daemon.shell.current();
    let expected = &daemon.expected;

    if expected.must_read_config {
        return Some("a reload was lost".into());
    }
    if expected.must_read_identity {
        return Some("a rotation was lost".into());
    }
    // Records may differ in what no configuration shows: then there is nothing to put in force.
    let last_good = gateway.config();
    let in_force = consortium::config(&gateway.id, &gateway.site, &daemon.records);
    if in_force != last_good || *current.config != last_good {
        return Some("other records are in force than the last good ones".into());
    }
    if daemon.certificate != expected.certificate || current.certificate != daemon.certificate {
        return Some("another certificate is in use than the last good one".into());
    }
    if current.links != gateway.kernel.links {
        return Some("a change of the host was lost".into());
    }
    if current.rulings != gateway.rulings() {
        return Some("the verdicts are not those of the files and the host".into());
    }
    if !daemon.pending.is_empty() {
        return Some("something was read that is neither in force nor dropped".into());
    }
    None
}

/// Two gateways have a tunnel if both run, both accept each other, a path is there and one can
/// dial; if neither can dial any more, they keep the one they have.
fn linked(view: &View<'_>, a: usize, b: usize) -> bool {
    let world = view.world;
    let here = &world.nodes[a];
    let there = &world.nodes[b];
    let ours = &view.memberships[a];
    let theirs = &view.memberships[b];
    let (Some(of_there), Some(of_here)) =
        (ours.gateways.get(&there.id), theirs.gateways.get(&here.id))
    else {
        return false;
    };
    if !here.runs() || !there.runs() || world.network.is_cut(a, b) {
        return false;
    }

    let is_dialable = !of_there.endpoints.is_empty() || !of_here.endpoints.is_empty();
    is_dialable || sessions_of(world, a).any(|(_, peer)| *peer == there.id)
}

/// One of two gateways that accept each other can be dialled.
fn is_dialable(view: &View<'_>, a: usize, b: usize) -> bool {
    let endpoints = |of: usize, at: usize| {
        let info = view.memberships[at].gateways.get(&view.world.nodes[of].id);
        info.is_some_and(|info| !info.endpoints.is_empty())
    };

    endpoints(a, b) || endpoints(b, a)
}

fn peers(view: &View<'_>, node: usize) -> BTreeMap<GatewayId, usize> {
    let nodes = &view.world.nodes;

    (0..nodes.len())
        .filter(|other| *other != node && linked(view, node, *other))
        .map(|other| (nodes[other].id.clone(), other))
        .collect()
}

fn tunnels(view: &View<'_>, node: usize) -> Option<String> {
    let world = view.world;
    let here = &world.nodes[node];
    let expected = peers(view, node);
    let status = here.running().shell.status(world.now);
    let members: BTreeSet<&GatewayId> = status.tunnels.iter().map(|tunnel| &tunnel.peer).collect();
    if !members
        .into_iter()
        .eq(view.memberships[node].gateways.keys())
    {
        return Some("status lists other gateways than the records".into());
    }

    for tunnel in &status.tunnels {
        let is_up = tunnel.state == TunnelState::Up;
        if is_up != expected.contains_key(&tunnel.peer) {
            return Some(format!(
                "tunnel to {}: up is {is_up} ({:?})",
                tunnel.peer, tunnel.last_error
            ));
        }

        // With an attached node, nobody compares records.
        let drift = expected.get(&tunnel.peer).map(|other| {
            let is_attachment = here.id.is_node() || tunnel.peer.is_node();
            if is_attachment {
                Vec::new()
            } else {
                drift(world, node, *other)
            }
        });
        let reported: Vec<OrgId> = tunnel
            .records_differ
            .iter()
            .map(|drift| drift.org.clone())
            .collect();
        if drift.is_some_and(|drift| drift != reported) {
            return Some(format!(
                "records differ from {}: {:?}",
                tunnel.peer, tunnel.records_differ
            ));
        }
    }
    None
}

fn drift(world: &World, a: usize, b: usize) -> Vec<OrgId> {
    let ours = world.nodes[a].records();
    let theirs = world.nodes[b].records();
    let orgs: BTreeSet<&OrgId> = ours.keys().chain(theirs.keys()).collect();

    orgs.into_iter()
        // By their versions: what a refused reload takes away makes no other record.
        .filter(|org| {
            let [ours, theirs] = [ours, theirs].map(|records| records.get(*org));
            ours.map(|record| record.version) != theirs.map(|record| record.version)
        })
        .cloned()
        .collect()
}

/// A prefix is reached if a linked gateway of another site serves it and has a way to it, and our
/// records give it to its site.
fn routes(view: &View<'_>, node: usize) -> Option<String> {
    let world = view.world;
    let here = &world.nodes[node];
    let expected = if here.id.is_node() {
        ways_of_a_node(view, node)
    } else {
        ways_of_a_gateway(view, node)?
    };

    let routes = &here.running().tables.routes;
    if !routes.keys().eq(expected.keys()) {
        let have: Vec<_> = routes.keys().collect();
        let want: Vec<_> = expected.keys().collect();
        return Some(format!("routes {have:?}, not {want:?}"));
    }
    routes.iter().find_map(|(prefix, conn)| {
        let gateway = peer_of(world, *conn);
        if !expected[prefix].contains(gateway) {
            return Some(format!(
                "{prefix} goes to {gateway}, which does not serve it"
            ));
        }
        (!arrives(world, *conn)).then(|| format!("{prefix} is not received by {gateway}"))
    })
}

/// Who leads to each prefix.
type Ways = BTreeMap<Prefix, BTreeSet<GatewayId>>;

fn ways_of_a_gateway(view: &View<'_>, node: usize) -> Option<Ways> {
    let mut expected = own_ways(view, node)?;
    if view.world.settings.features & SIBLING_ROUTES != 0 {
        add_ways_of_siblings(view, node, &mut expected)?;
    }
    Some(expected)
}

/// What no tunnel of ours leads to, and one of a sibling's does, is reached through it.
fn add_ways_of_siblings(view: &View<'_>, node: usize, expected: &mut Ways) -> Option<()> {
    let here = &view.world.nodes[node];
    let ours = &view.memberships[node];
    let direct: BTreeSet<Prefix> = expected.keys().copied().collect();
    let sites = ours
        .authorized
        .iter()
        .filter(|((org, site), _)| !site.is_node() && (org, site) != (&here.id.org, &here.site));
    let known: Vec<Prefix> = sites.flat_map(|(_, prefixes)| prefixes).copied().collect();

    for (id, sibling) in peers(view, node) {
        if id.org != here.id.org || view.world.nodes[sibling].site != here.site {
            continue;
        }
        for prefix in own_ways(view, sibling)?.into_keys() {
            let covers = |whole: &Prefix| whole.covers(&prefix);
            let mut local = ours.local_prefixes().iter();
            let is_remote = known.iter().any(covers)
                && !local.any(|own| own.overlaps(&prefix))
                && !direct.iter().any(covers);
            if is_remote {
                expected.entry(prefix).or_default().insert(id.clone());
            }
        }
    }
    Some(())
}

/// The prefixes to which this gateway has a tunnel, and those of nodes behind its siblings.
fn own_ways(view: &View<'_>, node: usize) -> Option<Ways> {
    let world = view.world;
    let here = &world.nodes[node];
    let ours = &view.memberships[node];
    let mut expected = Ways::new();
    for (id, other) in peers(view, node) {
        let info = ours.gateways.get(&id)?;
        if id.org == here.id.org && info.site == here.site {
            add_nodes_of_a_sibling(view, (node, other), &mut expected);
            continue;
        }
        let served = &view.memberships[other];
        let allowed = ours.prefixes(&id.org, &info.site);
        for prefix in served
            .local_prefixes()
            .iter()
            .filter(|prefix| allowed.iter().any(|whole| whole.covers(prefix)))
        {
            let has_way = ways::lead_to(&world.nodes[other].kernel.ways, prefix, served);
            let mut own = ours.local_prefixes().iter();
            if has_way && (id.is_node() || !own.any(|own| own.overlaps(prefix))) {
                expected.entry(*prefix).or_default().insert(id.clone());
            }
        }
    }
    Some(expected)
}

/// A node that is attached to our sibling and not here is reached through it.
fn add_nodes_of_a_sibling(view: &View<'_>, (node, sibling): (usize, usize), expected: &mut Ways) {
    let nodes = &view.world.nodes;
    let [ours, theirs] = [node, sibling].map(|gateway| &view.memberships[gateway]);

    for attached in (0..nodes.len()).filter(|other| nodes[*other].id.is_node()) {
        let [here, there] = [node, sibling].map(|gateway| linked(view, gateway, attached));
        if here || !there {
            continue;
        }
        let node = &nodes[attached];
        let prefixes = ours.prefixes(&node.id.org, &node.site).iter();
        let known = theirs.prefixes(&node.id.org, &node.site);
        for prefix in prefixes.filter(|prefix| known.contains(prefix)) {
            let ways = expected.entry(*prefix).or_default();
            ways.insert(nodes[sibling].id.clone());
        }
    }
}

/// A node reaches, of what its gateways have offered, what one of them announces.
fn ways_of_a_node(view: &View<'_>, node: usize) -> Ways {
    let world = view.world;
    let ours = &view.memberships[node];
    let mut expected = Ways::new();

    for (id, gateway) in peers(view, node) {
        let taken = ours.prefixes(&id.org, &world.nodes[gateway].site);
        let announced = announced_to_nodes(view, gateway);
        for prefix in taken {
            if announced.iter().any(|whole| whole.covers(prefix)) {
                expected.entry(*prefix).or_default().insert(id.clone());
            }
        }
    }
    expected
}

/// The prefixes of all sites, but for data centres behind its own site that it has no route to.
fn announced_to_nodes(view: &View<'_>, gateway: usize) -> Vec<Prefix> {
    let here = &view.world.nodes[gateway];
    let ours = &view.memberships[gateway];
    let own = (here.id.org.clone(), here.site.clone());
    let behind = ours.passing.values().filter(|site| site.via == own);
    let behind: Vec<&Prefix> = behind.flat_map(|site| &site.prefixes).collect();

    let sites = ours.authorized.iter();
    let prefixes = sites
        .filter(|((_, site), _)| !site.is_node())
        .flat_map(|(_, prefixes)| prefixes);
    prefixes
        .filter(|prefix| !behind.contains(prefix) || here.kernel.ways.contains(prefix))
        .copied()
        .collect()
}

/// Of the gateways of a site that reach each other exactly one is active; one that reaches no
/// sibling is.
fn role(view: &View<'_>, node: usize) -> Option<String> {
    let world = view.world;
    let here = &world.nodes[node];
    if world.settings.features & SIBLINGS == 0 || here.id.is_node() {
        return None;
    }

    let ours = view.memberships[node].gateways.iter();
    let mut siblings = ours.filter(|(id, info)| id.org == here.id.org && info.site == here.site);
    let Some((id, _)) = siblings.next() else {
        return (!is_active(here)).then(|| "is not active, although it has no siblings".into());
    };
    let sibling = world.nodes.iter().position(|node| node.id == *id)?;
    let there = &world.nodes[sibling];

    let active = [here, there].iter().filter(|node| is_active(node)).count();
    if linked(view, node, sibling) {
        return (active != 1).then(|| format!("{active} gateways of its site are active"));
    }
    // Through peers, one that is cut off may be known to live; it must be if both have met before.
    let is_cut = there.runs() && world.network.is_cut(node, sibling);
    if is_cut && have_met(world, here, there) && share_peers(view, node, sibling) {
        return (active != 1).then(|| format!("{active} gateways of its divided site are active"));
    }
    // One that nobody accepts any more leaves the place to its sibling.
    if there.runs() && !is_cut && peers(view, node).is_empty() {
        return None;
    }
    let is_apart = is_cut || there.runs() && !is_dialable(view, node, sibling);
    (!is_active(here) && !is_apart || active == 0)
        .then(|| format!("is not active, although {id} is not there"))
}

/// Each has heard early what the other proves to be alive by, and that was true.
fn have_met(world: &World, here: &Node, there: &Node) -> bool {
    let met = |node: &Node, other: &Node| {
        let first = node.met.get(&other.id);
        first.is_some_and(|first| *first + ACQUAINTED <= world.now)
    };

    met(here, there) && met(there, here) && !here.has_ever_lied && !there.has_ever_lied
}

/// Every peer that one of them can ask has a tunnel to the other.
fn share_peers(view: &View<'_>, node: usize, sibling: usize) -> bool {
    let of_node = peers(view, node);

    !of_node.is_empty() && of_node == peers(view, sibling)
}

fn is_active(node: &Node) -> bool {
    let standing = node.standing.as_ref().filter(|_| node.runs());

    standing.is_some_and(|standing| standing.role == SiteRole::Active)
}

/// The kernel has the routes and the guard of what is in force, and no others.
fn kernel(world: &World, node: usize) -> Option<String> {
    let gateway = &world.nodes[node];
    let daemon = gateway.running();
    let tunnelled: Tunnelled = daemon
        .tables
        .routes
        .keys()
        .map(|prefix| (*prefix, Some(1280)))
        .collect();
    let situation = Situation {
        config: &gateway.config(),
        rulings: &gateway.rulings(),
        connected: &gateway.connected(),
        links: &gateway.kernel.links,
        held: &daemon.shell.current().held,
    };
    let plan = plan_routes(&situation, &tunnelled);

    if gateway.kernel.routes.keys().ne(plan.keys()) {
        let have: Vec<_> = gateway.kernel.routes.keys().collect();
        let want: Vec<_> = plan.keys().collect();
        return Some(format!("the kernel routes {have:?}, not {want:?}"));
    }
    for (prefix, wanted) in &plan {
        let has = gateway.kernel.routes[prefix];
        if std::mem::discriminant(&has) != std::mem::discriminant(wanted) {
            return Some(format!(
                "the kernel has {has:?} for {prefix}, not {wanted:?}"
            ));
        }
    }
    if !gateway.kernel.forwards {
        return Some("forwarding is off, although the guard is there".into());
    }
    let is_guarded = gateway.kernel.guard == Some(guard(&situation));
    if !is_guarded {
        return Some("the guard is not that of what is in force".into());
    }
    left_open(gateway)
}

/// No prefix that was ever a member's is left to the default route, unless it is somebody's now or
/// the host needs it for itself.
fn left_open(gateway: &Node) -> Option<String> {
    let rulings = gateway.rulings();
    let config = gateway.config();
    let own = config.own_prefixes().iter().map(|own| own.prefix);
    let connected = gateway.connected();
    let local: Vec<Prefix> = own
        .chain(connected.iter().map(|network| network.prefix))
        .collect();

    gateway
        .ever
        .iter()
        .filter(|prefix| !local.iter().any(|local| local.overlaps(prefix)))
        .filter(|prefix| !rulings.iter().any(|ruling| ruling.prefix.covers(prefix)))
        .find(|prefix| gateway.kernel.routes.get(prefix) != Some(&RouteState::Unreachable))
        .map(|prefix| format!("{prefix} was a member's and may follow the default route"))
}

/// A session whose handshake was under way when our certificate changed has been replaced, if we
/// can dial.
fn certificates(view: &View<'_>, node: usize) -> Option<String> {
    let world = view.world;
    let daemon = world.nodes[node].running();
    let membership = &view.memberships[node];

    sessions_of(world, node).find_map(|(conn, peer)| {
        let link = daemon.links.get(&conn)?;
        let is_outdated = link.certificate != daemon.certificate && link.since >= daemon.rotated;
        let can_dial = membership
            .gateways
            .get(peer)
            .is_some_and(|info| !info.endpoints.is_empty());
        let is_in_use = daemon.tables.routes.values().any(|used| *used == conn);
        (is_outdated && can_dial && is_in_use)
            .then(|| format!("the session with {peer} presents an earlier certificate"))
    })
}

/// The sessions that both `Hello`s are through on, and the peer of each.
pub(crate) fn sessions_of(
    world: &World,
    node: usize,
) -> impl Iterator<Item = (ConnId, &GatewayId)> {
    let daemon = world.nodes[node].running();

    daemon
        .sealing
        .keys()
        .map(|conn| (*conn, peer_of(world, *conn)))
}

/// The other end opens what is sealed here and takes it for ours.
fn arrives(world: &World, conn: ConnId) -> bool {
    let (wire, end) = wire::end_of(conn);
    let theirs = wire::conn(wire, 1 - end);
    if !world.is_held(theirs) {
        return false;
    }

    let ends = &world.wires[wire].ends;
    let here = world.nodes[ends[end].node].running();
    let there = world.nodes[ends[1 - end].node].running();
    let opens = here
        .sealing
        .get(&conn)
        .is_some_and(|index| there.opening.get(&theirs) == Some(index));
    opens && there.sealing.contains_key(&theirs)
}

/// One session per tunnel is left, and both ends agree which.
fn sessions(view: &View<'_>, node: usize) -> Option<String> {
    let world = view.world;
    let here = world.nodes[node].running();
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
    here.opening
        .keys()
        .filter(|conn| !here.sealing.contains_key(conn))
        .find_map(|conn| {
            let (wire, end) = wire::end_of(*conn);
            let peer = world.wires[wire].ends[1 - end].node;
            linked(view, node, peer)
                .then(|| format!("keys without a session with {}", world.nodes[peer].id))
        })
}
