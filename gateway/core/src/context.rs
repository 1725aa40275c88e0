//! [`Context`]: what all tunnels of a mesh share: membership, settings, dice, the numbers in use and the
//! actions to be polled. It decides nothing.

use std::collections::{BTreeMap, VecDeque};

use ringway_config::{Endpoint, GatewayId};

use crate::action::Action;
use crate::close_reason::CloseReason;
use crate::id::{BootId, ConnId, DialId, SessionIndex};
use crate::membership::Membership;
use crate::message::Lane;
use crate::rng::Rng;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) membership: Membership,
    pub(crate) settings: Settings,
    pub(crate) boot: BootId,
    pub(crate) rng: Rng,
    /// Something that the forwarding table depends on may have changed.
    pub(crate) changed: bool,
    /// Shutting down: nothing is dialled any more.
    pub(crate) leaving: bool,
    /// Filled by one input, emptied by the shell before the next.
    actions: VecDeque<Action>,
    conns: BTreeMap<ConnId, GatewayId>,
    sessions: BTreeMap<SessionIndex, ConnId>,
    dials: BTreeMap<DialId, GatewayId>,
    last_dial: u64,
    last_probe: u64,
    last_serial: u64,
}

impl Context {
    pub(crate) fn new(membership: Membership, settings: Settings, boot: BootId, seed: u64) -> Self {
        Self {
            membership,
            settings,
            boot,
            rng: Rng::new(seed),
            changed: true,
            leaving: false,
            actions: VecDeque::new(),
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            dials: BTreeMap::new(),
            last_dial: 0,
            last_probe: 0,
            last_serial: 0,
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Ends a connection that has no session (any more).
    pub(crate) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.act(Action::Close { conn, reason });
    }

    /// Starts a session on `conn`, with an index for each lane: one at least.
    pub(crate) fn open_session(&mut self, conn: ConnId, peer: &GatewayId) -> Vec<Lane> {
        self.conns.insert(conn, peer.clone());
        (0..self.settings.lanes.get())
            .map(|lane| self.open_lane(conn, lane))
            .collect()
    }

    /// The index is random, nonzero, in no other use, and tells the lane.
    fn open_lane(&mut self, conn: ConnId, lane: u32) -> Lane {
        loop {
            let random = self.rng.next_u64() as u32;
            let index = (random - random % self.settings.lanes)
                .checked_add(lane)
                .map(SessionIndex);
            let free = |index: &SessionIndex| index.0 != 0 && !self.sessions.contains_key(index);
            if let Some(index) = index.filter(free) {
                self.sessions.insert(index, conn);
                return Lane {
                    index,
                    aead: self.settings.aead,
                };
            }
        }
    }

    /// Ends the session on `conn`.
    pub(crate) fn forget_session(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.sessions.retain(|_, session| *session != conn);
    }

    pub(crate) fn peer(&self, conn: ConnId) -> Option<&GatewayId> {
        self.conns.get(&conn)
    }

    pub(crate) fn session(&self, index: SessionIndex) -> Option<ConnId> {
        self.sessions.get(&index).copied()
    }

    pub(crate) fn dial(&mut self, peer: &GatewayId, endpoint: &Endpoint) -> DialId {
        self.last_dial += 1;
        let dial = DialId(self.last_dial);
        self.dials.insert(dial, peer.clone());
        self.act(Action::Dial {
            dial,
            peer: peer.clone(),
            endpoint: endpoint.clone(),
        });
        dial
    }

    /// The shell answered a dial: whom it was for, unless it was abandoned.
    pub(crate) fn answered(&mut self, dial: DialId) -> Option<GatewayId> {
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

    /// The serial of the next change of what we announce. One count for all tunnels, so that it never
    /// falls within a session.
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
