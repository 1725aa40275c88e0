//! [`Context`]: what all tunnels of a mesh share: membership, settings, random numbers, the
//! identifiers in use and the actions that wait for the shell. It decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ringway_config::{Endpoint, GatewayId, Prefix};

use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::id::{BootId, ConnId, DialId, SessionIndex};
use crate::membership::Membership;
use crate::message::{Lane, Relay, SIBLINGS, SiblingMessage, SiblingState, SiteSettings};
use crate::rng::Rng;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) membership: Membership,
    pub(crate) settings: Settings,
    pub(crate) boot: BootId,
    pub(crate) rng: Rng,
    pub(crate) phase: Phase,
    /// The settings of tunnels to siblings, and of the others if there are siblings.
    sibling_pace: Settings,
    uplink_pace: Settings,
    many_nodes_pace: Settings,
    /// Our record lists other gateways at our site.
    pub(crate) has_siblings: bool,
    /// At most [`FEW_NODES`](crate::mesh::FEW_NODES) nodes may be attached to this gateway.
    pub(crate) has_few_nodes: bool,
    /// True if what siblings are judged by may have changed.
    pub(crate) siblings_stale: bool,
    /// What this gateway says of itself to those of its site.
    pub(crate) announced: SiblingState,
    /// It claims its site's prefixes.
    pub(crate) claims_site: bool,
    /// Prefixes that this gateway serves and does not announce now.
    pub(crate) unannounced: BTreeSet<Prefix>,
    /// Where siblings can dial this gateway inside our site.
    pub(crate) addresses: BTreeSet<SocketAddr>,
    /// What the site's gateways must have alike, and when it changed; `None` before it is known.
    pub(crate) site_settings: Option<(SiteSettings, Instant)>,
    /// What the attached nodes that have sessions with this gateway claim.
    pub(crate) nodes_here: BTreeSet<Prefix>,
    /// The prefixes of other sites that tunnels of this gateway lead to and carry packets for.
    pub(crate) reached_here: BTreeSet<Prefix>,
    /// Where attached nodes ask for the consortium's names.
    pub(crate) resolvers: BTreeSet<IpAddr>,
    /// Messages between siblings: who sent each, and on which connection.
    pub(crate) relays: Vec<(GatewayId, ConnId, Relay)>,
    /// True if the inputs of the forwarding table may have changed since it was last computed.
    pub(crate) routes_stale: bool,
    /// Filled by one input, emptied by the shell before the next.
    actions: VecDeque<Action>,
    conns: BTreeMap<ConnId, GatewayId>,
    sessions: BTreeMap<SessionIndex, ConnId>,
    dials: BTreeMap<DialId, GatewayId>,
    last_dial: u64,
    last_probe: u64,
    last_serial: u64,
    last_nonce: u64,
}

/// The life of a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Every prefix is withdrawn and no peer is dialled. At this time the sessions are closed.
    Leaving(Instant),
    /// Every session is closed.
    Drained,
}

impl Context {
    pub(crate) fn new(membership: Membership, settings: Settings, boot: BootId, seed: u64) -> Self {
        Self {
            membership,
            sibling_pace: settings.for_siblings(),
            uplink_pace: settings.for_uplinks(),
            many_nodes_pace: settings.for_many_nodes(),
            has_siblings: false,
            has_few_nodes: true,
            siblings_stale: true,
            announced: SiblingState::default(),
            claims_site: true,
            unannounced: BTreeSet::new(),
            addresses: BTreeSet::new(),
            site_settings: None,
            nodes_here: BTreeSet::new(),
            reached_here: BTreeSet::new(),
            resolvers: BTreeSet::new(),
            relays: Vec::new(),
            settings,
            boot,
            rng: Rng::new(seed),
            phase: Phase::Running,
            routes_stale: true,
            actions: VecDeque::new(),
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            dials: BTreeMap::new(),
            last_dial: 0,
            last_probe: 0,
            last_serial: 0,
            last_nonce: 0,
        }
    }

    /// How fast a tunnel is probed.
    pub(crate) fn pace(&self, is_sibling: bool) -> &Settings {
        // A node has the gateways of one site for siblings: it moves from one to another.
        let may_move = self.has_siblings || self.membership.me.is_node();
        if self.settings.features & SIBLINGS == 0 || !may_move {
            &self.settings
        } else if is_sibling {
            &self.sibling_pace
        } else {
            &self.uplink_pace
        }
    }

    /// How fast a tunnel to an attached node is probed. Only a gateway with siblings has another
    /// way to a node, and one with many nodes cannot look after each of them all the time. Once
    /// the silence of one of many is detected, there is no hurry: all of them may be silent.
    pub(crate) fn pace_for_node(&self, is_silent: bool) -> &Settings {
        if !self.has_siblings {
            &self.settings
        } else if self.has_few_nodes {
            &self.uplink_pace
        } else if is_silent {
            &self.settings
        } else {
            &self.many_nodes_pace
        }
    }

    /// What we say to a sibling.
    pub(crate) fn message_for(&self, sibling: &GatewayId) -> SiblingMessage {
        SiblingMessage {
            state: self.announced,
            secret: self.settings.secret.shared_with(sibling),
        }
    }

    pub(crate) fn next_nonce(&mut self) -> [u8; 16] {
        self.last_nonce += 1;
        self.settings.secret.nonce(self.boot, self.last_nonce)
    }

    /// True before the shutdown.
    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Queues an action.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Closes a connection without a session.
    pub(crate) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.act(Action::Close { conn, reason });
    }

    /// Starts a session on `conn`. Returns an index for each lane: at least one.
    pub(crate) fn open_session(&mut self, conn: ConnId, peer: &GatewayId) -> Vec<Lane> {
        self.conns.insert(conn, peer.clone());

        let lanes = 0..self.settings.lanes.get();
        lanes.map(|lane| self.open_lane(conn, lane)).collect()
    }

    /// Draws an index that is random, not zero, not in use, and equal to `lane` modulo the number
    /// of lanes.
    fn open_lane(&mut self, conn: ConnId, lane: u32) -> Lane {
        loop {
            let random = self.rng.next_u64() as u32;
            let multiple = random - random % self.settings.lanes;

            // Close to 2^32 the sum overflows; 0 and indexes in use are possible too. Draw again
            // then.
            let Some(index) = multiple.checked_add(lane).map(SessionIndex) else {
                continue;
            };
            if index.0 == 0 || self.sessions.contains_key(&index) {
                continue;
            }

            self.sessions.insert(index, conn);
            return Lane {
                index,
                aead: self.settings.aead,
            };
        }
    }

    /// Releases the identifiers of the session on `conn`.
    pub(crate) fn forget_session(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.sessions.retain(|_, session| *session != conn);
    }

    /// The peer of the session on `conn`.
    pub(crate) fn peer(&self, conn: ConnId) -> Option<&GatewayId> {
        self.conns.get(&conn)
    }

    /// The connection of the session with one of our indexes.
    pub(crate) fn session(&self, index: SessionIndex) -> Option<ConnId> {
        self.sessions.get(&index).copied()
    }

    pub(crate) fn dial(&mut self, peer: &GatewayId, endpoints: &[Endpoint]) -> DialId {
        self.last_dial += 1;
        let dial = DialId(self.last_dial);

        self.dials.insert(dial, peer.clone());
        self.act(Action::Dial {
            dial,
            peer: peer.clone(),
            endpoints: endpoints.to_vec(),
        });
        dial
    }

    /// Ends a dial that the shell has answered. Returns its peer, unless the dial was abandoned.
    pub(crate) fn finish_dial(&mut self, dial: DialId) -> Option<GatewayId> {
        self.dials.remove(&dial)
    }

    pub(crate) fn abandon(&mut self, dial: DialId) {
        self.dials.remove(&dial);
        self.act(Action::AbandonDial { dial });
    }

    pub(crate) fn next_probe(&mut self) -> u64 {
        self.last_probe += 1;
        self.last_probe
    }

    /// The serial of the next announcement or withdrawal. All tunnels share the count, so that
    /// serials grow within every session.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }

    /// Why a gateway that the membership does not list has no session.
    pub(crate) fn not_accepted(&self, peer: &GatewayId) -> CloseReason {
        if self.membership.records.contains_key(&peer.org) {
            CloseReason::UnknownGateway(peer.clone())
        } else {
            CloseReason::UnknownOrg(peer.org.clone())
        }
    }
}
