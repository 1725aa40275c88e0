//! [`Bench`]: `gw.m` (site `home`, 10.1.0.0/16) with its peers `gw.a`, `gw.z` and `gw2.m`, which
//! serves the same site.
//!
//! In dialler order `gw.a` comes before `gw.m`, `gw.z` after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::{Digest, Endpoint, GatewayId, Host, Prefix, SiteId};
use ringway_core::{
    Action, Aead, Alarm, BootId, ByeCode, ConnId, Connected, ConnectionError, DialId, Fib,
    GatewayInfo, Hello, Lane, Membership, Mesh, Message, Role, SessionIndex, Settings, TunnelState,
    TunnelStatus,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(crate) struct Bench {
    pub(crate) mesh: Mesh,
    pub(crate) now: Instant,
    /// Its actions since the test last cleared them.
    pub(crate) actions: Vec<Action>,
    /// The last published table.
    pub(crate) fib: Fib,
    /// Sessions with the keys of both directions: up or draining.
    pub(crate) live: BTreeSet<ConnId>,
    conns: u64,
}

/// A gateway's, or that of an attached node, such as `node:db1.m`.
pub(crate) fn id(text: &str) -> GatewayId {
    match text
        .strip_prefix("node:")
        .and_then(|rest| rest.split_once('.'))
    {
        Some((node, org)) => GatewayId::of_node(&node.parse().unwrap(), &org.parse().unwrap()),
        None => text.parse().unwrap(),
    }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn prefixes(texts: &[&str]) -> BTreeSet<Prefix> {
    texts.iter().map(|text| prefix(text)).collect()
}

pub(crate) fn membership() -> Membership {
    let site = |text: &str| text.parse::<SiteId>().unwrap();
    let gateway = |text: &str, at: &str| {
        let endpoints = vec![Endpoint {
            host: Host::Address([203, 0, 113, 5].into()),
            port: 4600,
        }];
        (
            id(text),
            GatewayInfo {
                site: site(at),
                endpoints,
            },
        )
    };
    let list =
        |org: &str, at: &str, range: &str| ((org.parse().unwrap(), site(at)), vec![prefix(range)]);
    let record = |org: &str| (org.parse().unwrap(), Digest::of(org.as_bytes()).into());
    Membership {
        me: id("gw.m"),
        site: site("home"),
        is_dialable: true,
        gateways: [
            gateway("gw.a", "east"),
            gateway("gw.z", "west"),
            gateway("gw2.m", "home"),
        ]
        .into(),
        authorized: [
            list("m", "home", "10.1.0.0/16"),
            list("a", "east", "10.2.0.0/16"),
            list("z", "west", "10.3.0.0/16"),
        ]
        .into(),
        passing: BTreeMap::new(),
        conflicted: Vec::new(),
        records: [record("a"), record("m"), record("z")].into(),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::of(membership(), settings)
    }

    pub(crate) fn of(membership: Membership, settings: Settings) -> Self {
        Self::started(9, membership, settings)
    }

    pub(crate) fn started(boot: u8, membership: Membership, settings: Settings) -> Self {
        let now = Instant::now();
        let mesh = Mesh::new(membership, settings, BootId([boot; 16]), 1, now);
        let mut bench = Self {
            mesh,
            now,
            actions: Vec::new(),
            fib: Fib::default(),
            live: BTreeSet::new(),
            conns: 0,
        };
        bench.collect();
        bench
    }

    /// Collects the actions of the mesh.
    pub(crate) fn collect(&mut self) {
        while let Some(action) = self.mesh.poll_action() {
            match &action {
                Action::Publish(fib) => self.fib = fib.clone(),
                Action::InstallSealing { conn, .. } => _ = self.live.insert(*conn),
                Action::Close { conn, .. } | Action::Retire { conn } => {
                    self.live.remove(conn);
                }
                _ => {}
            }
            self.actions.push(action);
        }
    }

    /// Lets time pass, with every timeout in it. Probes on the sessions in `echoing` are echoed.
    pub(crate) fn pass(&mut self, time: Duration, echoing: &[ConnId]) {
        let end = self.now + time;
        while let Some(at) = self.mesh.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.mesh.handle_timeout(self.now);
            let first = self.actions.len();
            self.collect();
            for action in &self.actions[first..] {
                if let Action::Probe {
                    session,
                    conn,
                    probe,
                    ..
                } = action
                    && echoing.contains(conn)
                {
                    self.mesh.handle_echo(*session, *probe, self.now);
                }
            }
            self.collect();
        }
        self.now = end;
    }

    /// A connection with `peer`, whose certificate is valid for a year.
    pub(crate) fn connect(&mut self, peer: &str, role: Role) -> ConnId {
        self.connect_until(peer, role, self.now + YEAR)
    }

    pub(crate) fn connect_until(&mut self, peer: &str, role: Role, expires: Instant) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let dial = (role == Role::Dialler).then(|| self.last_dial(peer).unwrap());
        let connected = Connected {
            peer: id(peer),
            role,
            dial,
            expires,
            rtt: Duration::ZERO,
        };
        self.mesh.handle_connected(conn, connected, self.now);
        self.collect();
        conn
    }

    pub(crate) fn last_dial(&self, to: &str) -> Option<DialId> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::Dial { dial, peer, .. } if *peer == id(to) => Some(*dial),
            _ => None,
        })
    }

    /// Number of dials to a peer.
    pub(crate) fn dials(&self, to: &str) -> usize {
        let dials =
            |action: &&Action| matches!(action, Action::Dial { peer, .. } if *peer == id(to));
        self.actions.iter().filter(dials).count()
    }

    /// Our index of a session.
    pub(crate) fn index(&self, of: ConnId) -> SessionIndex {
        let index = self.actions.iter().find_map(|action| match action {
            Action::InstallOpening { conn, lanes } if *conn == of => Some(lanes[0].index),
            _ => None,
        });
        index.unwrap()
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) {
        self.live.remove(&conn);
        self.mesh
            .handle_disconnected(conn, ConnectionError::Reset, self.now);
        self.collect();
    }

    pub(crate) fn receive(&mut self, conn: ConnId, message: Message) {
        self.mesh.handle_message(conn, message, self.now);
        self.collect();
    }

    /// A session that is up, has announced `claims` and carried a packet.
    pub(crate) fn tunnel(&mut self, peer: &str, claims: &[&str]) -> ConnId {
        let conn = self.connect(peer, Role::Accepter);
        self.receive(conn, hello(1, 0));
        self.receive(
            conn,
            Message::Announce {
                serial: 1,
                prefixes: prefixes(claims),
            },
        );
        self.pass(Duration::ZERO, &[conn]);
        conn
    }

    pub(crate) fn sent(&self, to: ConnId) -> Vec<Message> {
        let sent = self.actions.iter().filter_map(|action| match action {
            Action::Send { conn, message } if *conn == to => Some(message.clone()),
            _ => None,
        });
        sent.collect()
    }

    /// The code with which we closed a connection.
    pub(crate) fn closed(&self, which: ConnId) -> Option<ByeCode> {
        self.actions.iter().find_map(|action| match action {
            Action::Close { conn, reason } if *conn == which => Some(reason.code()),
            _ => None,
        })
    }

    pub(crate) fn retired(&self, which: ConnId) -> bool {
        self.actions.contains(&Action::Retire { conn: which })
    }

    pub(crate) fn alarms(&self) -> Vec<&Alarm> {
        let alarms = self.actions.iter().filter_map(|action| match action {
            Action::Alarm(alarm) => Some(alarm),
            _ => None,
        });
        alarms.collect()
    }

    pub(crate) fn status(&self, peer: &str) -> TunnelStatus {
        let tunnels = self.mesh.status(self.now).tunnels;
        tunnels
            .into_iter()
            .find(|tunnel| tunnel.peer == id(peer))
            .unwrap()
    }

    pub(crate) fn is_up(&self, peer: &str) -> bool {
        self.status(peer).state == TunnelState::Up
    }

    pub(crate) fn error(&self, peer: &str) -> String {
        self.status(peer)
            .last_error
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    /// The session that carries a prefix.
    pub(crate) fn route(&self, to: &str) -> Option<ConnId> {
        self.fib.routes.get(&prefix(to)).map(|(_, conn)| *conn)
    }
}

/// A peer's `Hello`.
pub(crate) fn hello(boot: u8, replaces: u64) -> Message {
    hello_with(boot, replaces, 0)
}

/// One that offers these features.
pub(crate) fn hello_with(boot: u8, replaces: u64, features: u64) -> Message {
    let lane = Lane {
        index: SessionIndex(77),
        aead: Aead::Aes256Gcm,
    };
    Message::Hello(Hello {
        versions: (1, 1),
        features,
        boot: BootId([boot; 16]),
        replaces,
        lanes: vec![lane],
        records: BTreeMap::new(),
    })
}
