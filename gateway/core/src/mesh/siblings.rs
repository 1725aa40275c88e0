//! What the mesh does for [`Siblings`](crate::siblings::Siblings): shows it the tunnels, carries
//! its questions and answers, and tells peers, siblings and the shell what it decides.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use super::{FEW_NODES, Mesh};
use crate::action::Action;
use crate::id::ConnId;
use crate::message::{Answer, Message, Relay};
use crate::siblings::View;

/// Peers that are asked about a sibling.
const WITNESSES: usize = 3;

/// Added to two round trips to a peer that is asked.
const MARGIN: Duration = Duration::from_millis(30);

/// The longest time that a word of a peer is waited for.
const LONGEST: Duration = Duration::from_millis(250);

/// What the tunnels to other sites show.
struct Uplinks {
    /// How many carry packets.
    living: u16,
    /// The nearest peers that can be asked.
    witnesses: Vec<GatewayId>,
    /// How long their word is waited for.
    patience: Duration,
}

impl Mesh {
    /// The membership lists these siblings now.
    pub(super) fn follow_siblings(&mut self, now: Instant) {
        let membership = &self.context.membership;
        let siblings: BTreeSet<GatewayId> = membership
            .gateways
            .iter()
            .filter(|(peer, info)| membership.shares_site(peer, &info.site))
            .map(|(peer, _)| peer.clone())
            .collect();

        let nodes = membership.gateways.keys().filter(|peer| peer.is_node());
        self.context.has_few_nodes = nodes.count() <= FEW_NODES;
        self.context.has_siblings = !siblings.is_empty();
        self.context.siblings_stale = true;
        self.siblings.follow(&siblings, now);
    }

    /// Decides again whether this gateway is the active one, if anything may have changed.
    pub(super) fn settle_siblings(&mut self, now: Instant) {
        self.pass_on(now);

        let is_due = !self.siblings.is_empty() && self.siblings.is_due(now);
        if !std::mem::take(&mut self.context.siblings_stale) && !is_due {
            return;
        }

        self.siblings.look(now);
        let uplinks = self.uplinks(now);
        let ids: Vec<GatewayId> = self.siblings.ids().cloned().collect();
        for id in &ids {
            let tunnel = self.tunnels.get(id);
            let view = tunnel.map_or(View::Silent, |tunnel| tunnel.view(&self.context, now));
            self.siblings.observe(id, view, uplinks.patience, now);
        }
        self.ask(&uplinks.witnesses, now);
        if let Some(secrets) = self.siblings.secrets_to_keep(now) {
            self.context.act(Action::KeepSecrets(secrets));
        }

        self.siblings.decide(uplinks.living, now);
        self.tell_siblings();
        if let Some(standing) = self.siblings.news() {
            self.context.act(Action::Role(standing));
        }
    }

    fn uplinks(&self, now: Instant) -> Uplinks {
        let mut living = 0_u16;
        let mut near = Vec::new();
        for (peer, tunnel) in &self.tunnels {
            if tunnel.is_sibling(&self.context) || tunnel.is_to_node() {
                continue;
            }
            let Some(uplink) = tunnel.uplink(&self.context, now) else {
                continue;
            };
            living = living.saturating_add(1);
            near.extend(uplink.map(|rtt| (rtt, peer)));
        }

        near.sort();
        near.truncate(WITNESSES);
        let farthest = near.last().map(|(rtt, _)| *rtt);
        Uplinks {
            living,
            witnesses: near.into_iter().map(|(_, peer)| peer.clone()).collect(),
            // Alone, nobody's word can come.
            patience: farthest.map_or(Duration::ZERO, |rtt| (rtt * 2 + MARGIN).min(LONGEST)),
        }
    }

    /// Asks siblings that do not answer whether they are alive, through peers.
    fn ask(&mut self, witnesses: &[GatewayId], now: Instant) {
        // A question that nobody passes on has not been asked.
        if witnesses.is_empty() {
            return;
        }

        for sibling in self.siblings.to_be_asked(now) {
            let nonce = self.context.next_nonce();
            self.siblings.asked(&sibling, nonce, now);

            for witness in witnesses {
                let relay = Relay {
                    org: sibling.org.clone(),
                    from: self.context.membership.me.name.clone(),
                    to: sibling.name.clone(),
                    nonce,
                    answer: None,
                };
                if let Some(tunnel) = self.tunnels.get(witness) {
                    tunnel.relay(&mut self.context, relay);
                }
            }
        }
    }

    /// Tells the siblings everything, and the other peers the rank of our claims.
    fn tell_siblings(&mut self) {
        if let Some(state) = self.siblings.next_state(&self.context.announced) {
            self.context.announced = state;
            for tunnel in self.tunnels.values_mut() {
                tunnel.tell_standing(&mut self.context);
            }
        }

        // After the rank: it comes before the claims that it is for.
        let claims_site = self.siblings.claims_site();
        if self.context.claims_site != claims_site {
            self.context.claims_site = claims_site;
            for tunnel in self.tunnels.values_mut() {
                tunnel.announce_again(&mut self.context);
            }
        }
    }

    /// Passes messages of siblings on, and takes those for this gateway.
    fn pass_on(&mut self, now: Instant) {
        for (sender, conn, relay) in std::mem::take(&mut self.context.relays) {
            let speaks_for_itself = relay.org == sender.org && relay.from == sender.name;

            if speaks_for_itself && !self.is_own_sibling(&sender) {
                self.pass_to_sibling(&sender, relay);
            } else if relay.org == self.context.membership.me.org {
                self.take_relayed(conn, relay, now);
            }
        }
    }

    fn is_own_sibling(&self, id: &GatewayId) -> bool {
        self.siblings.ids().any(|sibling| sibling == id)
    }

    /// Only between gateways of one site: no other has a reason to go through us.
    fn pass_to_sibling(&mut self, sender: &GatewayId, relay: Relay) {
        let receiver = GatewayId {
            org: sender.org.clone(),
            name: relay.to.clone(),
        };
        let gateways = &self.context.membership.gateways;
        let site = |id| gateways.get(id).map(|info| &info.site);
        if *sender == receiver || site(sender).is_none() || site(sender) != site(&receiver) {
            return;
        }

        if let Some(tunnel) = self.tunnels.get(&receiver) {
            tunnel.relay(&mut self.context, relay);
        }
    }

    fn take_relayed(&mut self, conn: ConnId, relay: Relay, now: Instant) {
        let me = self.context.membership.me.clone();
        let sibling = GatewayId {
            org: me.org.clone(),
            name: relay.from,
        };
        if relay.to != me.name || !self.is_own_sibling(&sibling) {
            return;
        }

        match relay.answer {
            Some(answer) => {
                if self.siblings.proved(&sibling, relay.nonce, answer, now) {
                    self.context.siblings_stale = true;
                }
            }
            None => {
                let secret = self.context.settings.secret.shared_with(&sibling);
                let state = self.context.announced;
                let answer = Answer {
                    state,
                    proof: secret.prove(relay.nonce, &state),
                };
                let message = Message::Relay(Relay {
                    org: me.org,
                    from: me.name,
                    to: sibling.name,
                    nonce: relay.nonce,
                    answer: Some(answer),
                });
                self.context.act(Action::Send { conn, message });
            }
        }
    }
}
