//! The forwarding table: chosen from the claims of all tunnels, and published when it differs.

use std::collections::BTreeSet;
use std::time::Instant;

use ringway_config::{GatewayId, Prefix};

use super::Mesh;
use crate::action::Action;
use crate::fib::Fib;
use crate::membership::Membership;
use crate::rib::{self, Claim};
use crate::tunnel::Tunnel;

impl Mesh {
    /// Announces to siblings which attached nodes have a session with this gateway.
    fn announce_nodes(&mut self, now: Instant) {
        let tunnels = self.tunnels.iter();
        let siblings = tunnels.filter(|(_, tunnel)| tunnel.is_sibling(&self.context));
        let claims = siblings.flat_map(|(peer, tunnel)| {
            let claims = tunnel.claims();
            claims.map(|claim| (claim.prefix, peer.clone()))
        });
        self.clients.set_claims(claims.collect(), now);

        let nodes = self.tunnels.values();
        let nodes = nodes.filter(|tunnel| tunnel.is_to_node() && !tunnel.is_silent());
        let here = nodes.flat_map(Tunnel::claims).map(|claim| claim.prefix);
        let here: BTreeSet<Prefix> = here
            .chain(self.clients.here(&self.context.membership))
            .collect();
        if here == self.context.nodes_here {
            return;
        }

        self.context.nodes_here = here;
        self.tell_siblings();
    }

    fn tell_siblings(&mut self) {
        self.on_all(|tunnel, context| {
            if tunnel.is_sibling(context) {
                tunnel.announce_again(context);
            }
        });
    }

    /// Announces to siblings which prefixes of other sites this gateway reaches.
    fn announce_reached(&mut self) {
        let routes = self.published.routes.iter();
        let reached: BTreeSet<Prefix> = routes
            .filter(|(_, (gateway, _))| {
                let tunnel = self.tunnels.get(gateway);
                tunnel.is_some_and(|tunnel| {
                    !tunnel.is_to_node() && !tunnel.is_sibling(&self.context) && tunnel.carries()
                })
            })
            .map(|(prefix, _)| *prefix)
            .collect();
        if reached == self.context.reached_here {
            return;
        }

        self.context.reached_here = reached;
        self.tell_siblings();
    }

    /// Computes the forwarding table again if its inputs may have changed, and publishes it if it
    /// differs.
    pub(super) fn publish(&mut self, now: Instant) {
        if !std::mem::take(&mut self.context.routes_stale) {
            return;
        }

        self.announce_nodes(now);
        let membership = &self.context.membership;
        let nodes_here = &self.context.nodes_here;
        let claims = self.tunnels.values().flat_map(Tunnel::claims);
        let claims = claims.flat_map(|claim| accepted_parts(membership, claim));
        // Two siblings that have a session with a node must not send its packets to each other.
        let claims =
            claims.filter(|claim| claim.gateway.is_node() || !nodes_here.contains(&claim.prefix));
        let claims = self.direct_or_by_sibling(claims.collect());
        let choice = rib::choose(claims.into_iter(), &self.published.routes, now);
        self.choose_again = choice.again;
        let fib = Fib {
            routes: choice.routes,
            authorized: self.context.membership.authorized_list(),
            local: self.context.membership.local_prefixes().to_vec(),
        };

        // Most changes of a session or a claim leave the table as it is.
        if self.published != fib {
            self.context.act(Action::Publish(fib.clone()));
            self.published = fib;
        }
        if self.context.has_siblings {
            self.announce_reached();
        }
    }

    /// Removes the claims that are not to be used: for a prefix to which a tunnel of ours carries
    /// packets, those of siblings; for one that only a sibling reaches, all others.
    ///
    /// A gateway announces to its siblings only what its own tunnels lead to. So packets pass one
    /// sibling at most.
    fn direct_or_by_sibling<'a>(&self, mut claims: Vec<Claim<'a>>) -> Vec<Claim<'a>> {
        if !self.context.has_siblings {
            return claims;
        }

        let carrying = claims.iter().filter(|claim| self.carries(claim.gateway));
        let (by_sibling, direct): (Vec<&Claim<'a>>, Vec<&Claim<'a>>) =
            carrying.partition(|claim| self.leads_by_sibling(claim));
        let direct: BTreeSet<Prefix> = direct.iter().map(|claim| claim.prefix).collect();
        let detours: BTreeSet<Prefix> = by_sibling
            .iter()
            .map(|claim| claim.prefix)
            .filter(|prefix| !direct.iter().any(|whole| whole.covers(prefix)))
            .collect();

        claims.retain(|claim| {
            let is_detour = detours.contains(&claim.prefix);
            if self.leads_by_sibling(claim) {
                is_detour && self.carries(claim.gateway)
            } else {
                !is_detour
            }
        });
        claims
    }

    /// A sibling's claim about another site, and not about an attached node.
    fn leads_by_sibling(&self, claim: &Claim<'_>) -> bool {
        let tunnel = self.tunnels.get(claim.gateway);
        let is_sibling = tunnel.is_some_and(|tunnel| tunnel.is_sibling(&self.context));

        is_sibling && {
            let mut local = self.context.membership.local_prefixes().iter();
            !local.any(|own| own.covers(&claim.prefix))
        }
    }

    fn carries(&self, gateway: &GatewayId) -> bool {
        self.tunnels.get(gateway).is_some_and(Tunnel::carries)
    }
}

/// Narrows a claim at an attached node to the parts of the prefix that the node accepts. At a
/// gateway the claim stays whole.
fn accepted_parts<'a>(
    membership: &'a Membership,
    claim: Claim<'a>,
) -> impl Iterator<Item = Claim<'a>> + use<'a> {
    let is_node = membership.me.is_node();
    let site = membership
        .gateways
        .get(claim.gateway)
        .map(|info| &info.site);
    let accepted = site.filter(|_| is_node).map_or(&[][..], |site| {
        membership.prefixes(&claim.gateway.org, site)
    });
    let parts = accepted
        .iter()
        .filter(move |part| claim.prefix.covers(part))
        .map(move |part| Claim {
            prefix: *part,
            ..claim
        });

    let whole = (!is_node).then_some(claim);
    parts.chain(whole)
}
