//! [`Harness`]: a shell for one mesh that asserts what every shell relies on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;
use ringway_core::{
    Action, BootId, ConnId, Connected, ConnectionError, Decoder, DialId, Fib, Incoming, Mesh, Role,
    SessionIndex, TunnelState,
};

use super::scene;

/// Most actions that one input may yield: a few for each session of each of four peers.
const MAX_ACTIONS: usize = 256;

/// Most sessions of one peer, half-open and draining ones included (gateway/PROTOCOL.md,
/// "Sessions").
const MAX_SESSIONS: usize = 8;

/// Most wake-ups in a second. Each of 32 sessions probes a hundred times a second at most.
const MAX_WAKES: u32 = 4000;

pub(super) struct Harness {
    mesh: Mesh,
    now: Instant,
    fib: Fib,
    conns: BTreeMap<ConnId, Conn>,
    /// The dials under way: to each peer one, and an earlier one that has had no answer yet.
    dials: BTreeMap<DialId, GatewayId>,
    /// Probes without an echo: session and number.
    probes: Vec<(SessionIndex, u64)>,
    membership: u8,
    leaving: bool,
    drained: bool,
    came_up: bool,
}

/// A connection that was established at some time.
struct Conn {
    peer: GatewayId,
    decoder: Decoder,
    /// Our index, once the keys that open are installed.
    opening: Option<SessionIndex>,
    /// The keys that seal are installed.
    sealing: bool,
    ended: bool,
}

impl Harness {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let boot = BootId([9; 16]);
        let mesh = Mesh::new(scene::membership(0), scene::settings(), boot, 1, now);
        let mut harness = Self {
            mesh,
            now,
            fib: Fib::default(),
            conns: BTreeMap::new(),
            dials: BTreeMap::new(),
            probes: Vec::new(),
            membership: 0,
            leaving: false,
            drained: false,
            came_up: false,
        };
        harness.carry_out();
        harness
    }

    pub(super) fn sessions_came_up(&self) -> bool {
        self.came_up
    }

    /// A connection that was established before, or one that never was.
    pub(super) fn conn(&self, number: u8) -> ConnId {
        ConnId(u64::from(number) % (self.conns.len() as u64 + 1))
    }

    /// Our index of a connection's session, or one that is unknown.
    pub(super) fn index(&self, number: u8) -> SessionIndex {
        let conn = self.conns.get(&self.conn(number));
        conn.and_then(|conn| conn.opening)
            .unwrap_or(SessionIndex(1))
    }

    /// A shell gives no input after this.
    pub(super) fn has_drained(&self) -> bool {
        self.drained
    }

    pub(super) fn input(&mut self, handle: impl FnOnce(&mut Mesh, Instant)) {
        handle(&mut self.mesh, self.now);
        self.carry_out();
    }

    pub(super) fn connect(&mut self, number: u8, role: Role) {
        let peer = scene::id(scene::PEERS[usize::from(number) % scene::PEERS.len()]);
        let dial = match role {
            Role::Accepter => None,
            Role::Dialler => self.some_dial(&peer, number),
        };
        let conn = ConnId(self.conns.len() as u64);
        let state = Conn {
            peer: peer.clone(),
            decoder: Decoder::default(),
            opening: None,
            sealing: false,
            ended: false,
        };
        self.conns.insert(conn, state);

        let connected = Connected {
            peer,
            role,
            dial,
            // Every fourth certificate has expired.
            expires: self.now + Duration::from_secs(60 * u64::from(number % 4)),
            rtt: Duration::ZERO,
        };
        self.input(|mesh, now| mesh.handle_connected(conn, connected, now));
    }

    /// Bytes of a control stream. As in every shell, a broken framing ends the connection.
    pub(super) fn bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.decoder.push(bytes);
        }

        // A message may end the connection, and with it what is left to read.
        while let Some(state) = self.conns.get_mut(&conn).filter(|state| !state.ended) {
            match state.decoder.next() {
                Ok(None) => return,
                Ok(Some(Incoming::Message(message))) => {
                    self.input(|mesh, now| mesh.handle_message(conn, message, now));
                }
                Ok(Some(Incoming::Malformed { kind, error })) => {
                    self.input(|mesh, now| mesh.handle_malformed(conn, kind, error, now));
                }
                Err(error) => return self.disconnect(conn, error.into()),
            }
        }
    }

    pub(super) fn disconnect(&mut self, conn: ConnId, error: ConnectionError) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.ended = true;
        }
        self.input(|mesh, now| mesh.handle_disconnected(conn, error, now));
    }

    /// A dial to `peer` that is under way: the earlier or the later one.
    fn some_dial(&mut self, peer: &GatewayId, number: u8) -> Option<DialId> {
        let mut under_way = self.dials.iter().filter(|(_, to)| *to == peer);
        let dial = if number.is_multiple_of(2) {
            under_way.next()
        } else {
            under_way.next_back()
        };

        let dial = dial.map(|(dial, _)| *dial)?;
        self.dials.remove(&dial);
        Some(dial)
    }

    pub(super) fn fail_dial(&mut self, dial: DialId) {
        self.dials.remove(&dial);
        self.input(|mesh, now| mesh.handle_dial_failed(dial, ConnectionError::Reset.into(), now));
    }

    pub(super) fn change_membership(&mut self, change: u8) {
        self.membership = change;
        self.input(|mesh, now| mesh.handle_membership(scene::membership(change), now));
    }

    /// Lets time pass, with every timeout in it. `echoes` says which probes are echoed: 0 none, 1
    /// all, above that all but every so many.
    pub(super) fn pass(&mut self, time: Duration, echoes: u8) {
        let end = self.now + time;
        let mut wakes = 0;

        while let Some(at) = self.mesh.poll_timeout().filter(|at| *at <= end) {
            wakes += 1;
            assert!(
                wakes <= MAX_WAKES * (1 + time.as_secs() as u32),
                "it wakes without end at {:?}",
                at
            );
            self.now = self.now.max(at);
            self.input(Mesh::handle_timeout);

            for (session, probe) in std::mem::take(&mut self.probes) {
                let lost = echoes == 0 || (echoes > 1 && probe % u64::from(echoes) == 0);
                if !lost {
                    self.input(|mesh, now| mesh.handle_echo(session, probe, now));
                }
            }
        }
        self.now = end;
    }

    /// Shuts down in the middle of a sequence, for one value in four.
    pub(super) fn begin_shutdown(&mut self, number: u8) {
        if number % 4 == 3 {
            self.leaving = true;
            self.input(Mesh::handle_shutdown);
        }
    }

    /// Shuts down and asserts that nothing is left.
    pub(super) fn shut_down(&mut self) {
        self.leaving = true;
        self.input(Mesh::handle_shutdown);
        self.pass(Duration::from_secs(1), 1);

        assert!(self.drained, "a second has passed since the shutdown");
        assert_eq!(self.mesh.poll_timeout(), None);
        assert!(self.dials.is_empty(), "dials are abandoned");
        for (conn, state) in &self.conns {
            assert!(state.ended, "{conn:?} is open after the shutdown");
        }
    }

    /// What holds between any two inputs.
    pub(super) fn check(&self) {
        let membership = scene::membership(self.membership);

        for (prefix, (peer, conn)) in &self.fib.routes {
            let state = &self.conns[conn];
            assert!(
                state.sealing && !state.ended,
                "{prefix} leads to an ended session"
            );
            assert_eq!(state.peer, *peer);

            let site = &membership.gateways[peer].site;
            let authorized = membership.prefixes(&peer.org, site);
            assert!(
                authorized.iter().any(|whole| whole.covers(prefix)),
                "{peer} may not claim {prefix}"
            );
            let local = membership.local_prefixes();
            assert!(!local.iter().any(|local| local.overlaps(prefix)));
        }

        for peer in scene::PEERS.map(scene::id) {
            let of_peer = self.conns.values().filter(|state| state.peer == peer);
            let open = of_peer.filter(|state| !state.ended).count();
            assert!(open <= MAX_SESSIONS, "{open} sessions of {peer}");
        }

        let status = self.mesh.status(self.now);
        assert!(
            status
                .tunnels
                .iter()
                .map(|tunnel| &tunnel.peer)
                .eq(membership.gateways.keys()),
            "one tunnel for each accepted gateway"
        );
        for tunnel in status.tunnels {
            let up = tunnel.conn.is_some_and(|conn| self.conns[&conn].sealing);
            assert_eq!(up, tunnel.state == TunnelState::Up);
        }
    }

    fn carry_out(&mut self) {
        let mut count = 0;

        while let Some(action) = self.mesh.poll_action() {
            count += 1;
            assert!(count <= MAX_ACTIONS, "{count} actions for one input");
            assert!(!self.drained, "{action:?} after the last");
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Dial { dial, peer, .. } => {
                assert!(!self.leaving, "a dial to {peer} during shutdown");
                self.dials.insert(dial, peer.clone());
                let under_way = self.dials.values().filter(|other| **other == peer);
                assert!(under_way.count() <= 2, "a third dial to {peer}");
            }
            Action::AbandonDial { dial } => _ = self.dials.remove(&dial),
            Action::InstallOpening { conn, lanes } => {
                self.open(conn).opening = Some(lanes[0].index);
            }
            Action::InstallSealing { conn, .. } => {
                let state = self.open(conn);
                assert!(state.opening.is_some(), "the keys that open come first");
                state.sealing = true;
                self.came_up = true;
            }
            Action::Send { conn, message } => {
                let state = self.open(conn);
                assert!(state.opening.is_some(), "{message:?} before the keys");
            }
            Action::Close { conn, .. } | Action::Retire { conn } => self.open(conn).ended = true,
            Action::Probe {
                session,
                conn,
                probe,
                ..
            } => {
                let state = self.open(conn);
                assert!(state.sealing && state.opening == Some(session));
                self.probes.push((session, probe));
            }
            Action::Publish(fib) => self.fib = fib,
            Action::ZoneMessage { conn, .. }
            | Action::TunnelUp { conn, .. }
            | Action::TunnelMoved { conn, .. } => assert!(self.open(conn).sealing),
            Action::Policy(letter) => assert!(self.open(letter.conn).sealing),
            Action::Offered { peer, .. } => panic!("an offer of {peer} to a gateway"),
            Action::PathMtu { .. }
            | Action::TunnelDown { .. }
            | Action::FirstAttemptFailed { .. }
            | Action::RecordsDiffer { .. }
            | Action::Role(_)
            | Action::StoreSecrets(_)
            | Action::Alarm(_) => {}
            Action::Drained => self.drained = true,
        }
    }

    /// The connection that an action names.
    fn open(&mut self, conn: ConnId) -> &mut Conn {
        let state = self
            .conns
            .get_mut(&conn)
            .expect("a connection that was established");
        assert!(!state.ended, "an action about {conn:?} after its end");
        state
    }
}
