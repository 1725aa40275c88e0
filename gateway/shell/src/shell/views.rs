//! Read access to the state machine: the configuration in force, the sessions, and the last state
//! sent to the kernel and the data plane.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_config::Prefix;
use ringway_core::{ConnId, Fib, FiledRecords, Membership, PeerSession, Status};

use super::Shell;
use crate::changes::ChangeId;
use crate::current::CurrentConfig;
use crate::phase::Phase;

impl Shell {
    /// What is in force.
    pub fn current(&self) -> &CurrentConfig {
        &self.current
    }

    /// What the mesh works from.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Tunnels and routes, for operators.
    pub fn status(&self, now: Instant) -> Status {
        self.mesh.status(now)
    }

    /// What the zones must know about a session; `None` if it has no `Hello` yet, or has ended.
    pub fn peer_session(&self, conn: ConnId) -> Option<PeerSession> {
        self.mesh.peer_session(conn)
    }

    /// The connection of each tunnel that is up.
    pub fn sessions_in_use(&self, now: Instant) -> Vec<ConnId> {
        self.status(now)
            .tunnels
            .into_iter()
            .filter_map(|tunnel| tunnel.conn)
            .collect()
    }

    /// Where the data path of a session finds its peer.
    pub fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.sessions.get(conn).map(|session| session.remote())
    }

    /// When the peer's chain expires: time since 1970, by the wall clock.
    pub fn expires(&self, conn: ConnId) -> Option<Duration> {
        self.sessions.get(conn).map(|session| session.expires)
    }

    /// The number of the change that was asked for last. A reload with a greater one reads the
    /// files after this moment.
    pub fn last_change(&self) -> ChangeId {
        self.last_change
    }

    /// The records that our files had when they were last read because a peer's differ.
    pub fn filed_records(&self) -> Option<&FiledRecords> {
        self.drifts.files()
    }

    /// Prefixes whose packets go through a tunnel, as far as the kernel is known to follow.
    pub fn installed(&self) -> &BTreeSet<Prefix> {
        self.routes.installed()
    }

    /// How often each kind of kernel object was restored after another program had changed it.
    pub fn restored(&self) -> &BTreeMap<&'static str, u64> {
        self.watch.counts()
    }

    /// The forwarding table that was published last.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// True from [`Input::Shutdown`](crate::Input::Shutdown) on: nothing is read or put in force
    /// any more.
    pub fn is_leaving(&self) -> bool {
        self.phase != Phase::Running
    }

    /// True once [`Effect::Stop`](crate::Effect::Stop) was given out or is about to be.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }
}
