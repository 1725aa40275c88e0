//! Connects [`Siblings`](crate::siblings::Siblings) with the tunnels: reports their state to it,
//! sends and forwards its queries and answers, and publishes the result of the election.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;

use super::{FEW_NODES, Mesh};
use crate::action::Action;
use crate::id::ConnId;
use crate::message::{Answer, Message, Relay};
use crate::siblings::{SiblingSettings, SiteStatus, Uplinks, View};

/// How many peers are asked about a sibling.
const WITNESSES: usize = 3;

/// Added to two round trips to the farthest witness.
const MARGIN: Duration = Duration::from_millis(30);

/// The longest time to wait for witnesses.
const MAX_TIMEOUT: Duration = Duration::from_millis(250);

/// The tunnels to other sites, and who is behind them.
struct Surroundings {
    uplinks: Uplinks,
    /// The nearest peers that can be asked about a sibling.
    witnesses: Vec<GatewayId>,
    /// How long to wait for their answers.
    timeout: Duration,
}

impl Mesh {
    /// Takes the siblings from the membership.
    pub(super) fn update_siblings(&mut self, now: Instant) {
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
        self.siblings.set_siblings(&siblings, now);
    }

    /// The gateways of this site, for operators.
    pub(super) fn site_status(&self, now: Instant) -> SiteStatus {
        let mut status = self.siblings.status();
        let Some((ours, since)) = &self.context.site_settings else {
            return status;
        };

        status.settings = ours.clone();
        for (id, sibling) in &mut status.siblings {
            let tunnel = self.tunnels.get(id);
            let theirs = tunnel.and_then(|tunnel| tunnel.site_settings(&self.context));
            sibling.settings = theirs.map(|(theirs, changed)| SiblingSettings {
                settings: theirs.clone(),
                compared_for: now.saturating_duration_since(*changed.max(since)),
            });
        }
        status
    }

    /// Runs the election again if its inputs may have changed or its time has come.
    pub(super) fn poll_siblings(&mut self, now: Instant) {
        self.dispatch_relays(now);

        let is_due = !self.siblings.is_empty() && self.siblings.is_due(now);
        if !std::mem::take(&mut self.context.siblings_stale) && !is_due {
            return;
        }

        self.siblings.note_poll(now);
        let around = self.surroundings(now);
        let ids: Vec<GatewayId> = self.siblings.ids().cloned().collect();
        for id in &ids {
            let tunnel = self.tunnels.get(id);
            let view = tunnel.map_or(View::Silent, |tunnel| tunnel.view(&self.context, now));
            self.siblings.observe(id, view, around.timeout, now);
        }
        self.query_witnesses(&around.witnesses, now);
        if let Some(secrets) = self.siblings.secrets_to_store(now) {
            self.context.act(Action::StoreSecrets(secrets));
        }

        self.siblings.elect(&around.uplinks, now);
        self.publish_standing();
        if let Some(standing) = self.siblings.poll_standing() {
            self.context.act(Action::Role(standing));
        }
    }

    fn surroundings(&self, now: Instant) -> Surroundings {
        let mut uplinks = Uplinks {
            alive: 0,
            is_confirmed: false,
            has_sessions: false,
        };
        let mut near = Vec::new();
        for (peer, tunnel) in &self.tunnels {
            if tunnel.is_sibling(&self.context) || tunnel.is_to_node() {
                continue;
            }
            uplinks.has_sessions |= tunnel.has_session();
            let Some(uplink) = tunnel.uplink(&self.context, now) else {
                continue;
            };
            uplinks.alive = uplinks.alive.saturating_add(1);
            uplinks.is_confirmed |= tunnel.echoes_in_time(&self.context, now);
            near.extend(uplink.map(|rtt| (rtt, peer)));
        }

        near.sort();
        near.truncate(WITNESSES);
        let farthest = near.last().map(|(rtt, _)| *rtt);
        Surroundings {
            uplinks,
            witnesses: near.into_iter().map(|(_, peer)| peer.clone()).collect(),
            // Without a witness there is no answer to wait for.
            timeout: farthest.map_or(Duration::ZERO, |rtt| (rtt * 2 + MARGIN).min(MAX_TIMEOUT)),
        }
    }

    /// Asks siblings that do not answer, through peers, whether they are alive.
    fn query_witnesses(&mut self, witnesses: &[GatewayId], now: Instant) {
        // A query that cannot be sent must not start the wait for an answer.
        if witnesses.is_empty() {
            return;
        }

        for sibling in self.siblings.due_queries(now) {
            let nonce = self.context.next_nonce();
            self.siblings.note_query(&sibling, nonce, now);

            for witness in witnesses {
                let relay = Relay {
                    org: sibling.org.clone(),
                    from: self.context.membership.me.name.clone(),
                    to: sibling.name.clone(),
                    nonce,
                    answer: None,
                };
                if let Some(tunnel) = self.tunnels.get(witness) {
                    tunnel.send_relay(&mut self.context, relay);
                }
            }
        }
    }

    /// Sends our state to the siblings and the rank of our claims to the other peers.
    fn publish_standing(&mut self) {
        if let Some(state) = self.siblings.next_state(&self.context.announced) {
            self.context.announced = state;
            for tunnel in self.tunnels.values_mut() {
                tunnel.send_standing(&mut self.context);
            }
        }

        // The rank is sent before the claims that it applies to.
        let claims_site = self.siblings.claims_site();
        if self.context.claims_site != claims_site {
            self.context.claims_site = claims_site;
            for tunnel in self.tunnels.values_mut() {
                tunnel.announce_again(&mut self.context);
            }
        }
    }

    /// Forwards relays between siblings of another site, and handles those for this gateway.
    fn dispatch_relays(&mut self, now: Instant) {
        for (sender, conn, relay) in std::mem::take(&mut self.context.relays) {
            let is_from_sender = relay.org == sender.org && relay.from == sender.name;

            if is_from_sender && !self.is_own_sibling(&sender) {
                self.forward_relay(&sender, relay);
            } else if relay.org == self.context.membership.me.org {
                self.handle_relay(conn, relay, now);
            }
        }
    }

    fn is_own_sibling(&self, id: &GatewayId) -> bool {
        self.siblings.ids().any(|sibling| sibling == id)
    }

    /// Forwards only between gateways of one site: no others have a reason to use us.
    fn forward_relay(&mut self, sender: &GatewayId, relay: Relay) {
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
            tunnel.send_relay(&mut self.context, relay);
        }
    }

    fn handle_relay(&mut self, conn: ConnId, relay: Relay, now: Instant) {
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
                if self
                    .siblings
                    .handle_proof(&sibling, relay.nonce, answer, now)
                {
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
