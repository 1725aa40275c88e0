//! [`Input`]: everything that can happen to a gateway, as plain values.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::{Config, Digest, Faults, GatewayId, Prefix};
use ringway_core::{
    ConnId, ConnectionError, DialError, DialId, ExternalText, FiledRecords, Incoming, Role,
    SessionIndex,
};
use ringway_intent::{Checked, Finding, Links, Restoration};

use crate::changes::ChangeId;
use crate::next::NextConfig;

/// One thing that happened. The executor makes these from the events of its ports.
#[derive(Debug)]
pub enum Input {
    /// The time of [`Shell::poll_timeout`](crate::Shell::poll_timeout) has come.
    Tick {
        /// Time since boot, suspension included (CLOCK_BOOTTIME).
        boot: Duration,
        /// Time since 1970, by the wall clock.
        wall: Duration,
    },
    /// SIGTERM or SIGINT: withdraw, close every session, then
    /// [`Effect::Stop`](crate::Effect::Stop).
    Shutdown,
    /// Hand the site over to a sibling, or take part again.
    Drain {
        /// To be handed over.
        on: bool,
    },

    /// A handshake is done, dialled or accepted. Answered by
    /// [`Effect::StartLink`](crate::Effect::StartLink) or
    /// [`Effect::RefuseLink`](crate::Effect::RefuseLink).
    Connected {
        /// The connection, numbered by the executor and never used before.
        conn: ConnId,
        /// What the handshake said.
        handshake: Handshake,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A control message came.
    Message {
        /// The connection it came on.
        conn: ConnId,
        /// The message, or why it could not be read.
        incoming: Incoming,
    },
    /// A connection ended.
    Disconnected {
        /// The connection.
        conn: ConnId,
        /// Why.
        error: ConnectionError,
    },
    /// What came in on each connection so far: the answer to
    /// [`Effect::ReadActivity`](crate::Effect::ReadActivity).
    Activity(Vec<Activity>),

    /// The echo of a probe came, authenticated.
    Echo {
        /// Our index of the session.
        index: SessionIndex,
        /// What was echoed: the token of a probe, or of a challenge.
        probe: u64,
        /// The address it came from: proof that the peer receives what is sent there.
        from: SocketAddr,
        /// The local address it was sent to, if the kernel told.
        to: Option<IpAddr>,
    },
    /// A packet of a session came from another address than the peer's.
    OffPath {
        /// Our index of the session.
        index: SessionIndex,
        /// The other address.
        from: SocketAddr,
        /// 64 bits that no stranger can guess.
        random: u64,
    },

    /// When packets of these WireGuard clients, by prefix, came in last.
    WireGuard(BTreeMap<Prefix, Instant>),

    /// A data-plane thread ended by itself.
    DeviceFailed,
    /// The TUN device was down or gone and is up again; the kernel has dropped the routes through
    /// it.
    DeviceRecreated,
    /// Interfaces, addresses or routes to our site changed, or may have.
    HostChanged(Links),
    /// The kernel's routes were compared with the plan: the answer to
    /// [`Effect::SyncRoutes`](crate::Effect::SyncRoutes).
    RoutesSynced {
        /// How far the kernel followed.
        outcome: RoutesOutcome,
        /// What another program had changed since the last comparison.
        restored: Vec<Restoration>,
    },
    /// The kernel reported a change that may concern what the daemon has set.
    KernelChanged,
    /// What the daemon has set in the kernel was compared: the answer to
    /// [`Effect::CheckKernel`](crate::Effect::CheckKernel).
    KernelChecked(Checked),
    /// The findings about other programs on the host: the answer to
    /// [`Effect::Inspect`](crate::Effect::Inspect). `None`: the inspection failed.
    Inspected(Option<Vec<Finding>>),
    /// The answer to [`Effect::ReadRecords`](crate::Effect::ReadRecords): the records that a reload
    /// would read. `None`: their directory cannot be read.
    RecordsRead(Option<FiledRecords>),
    /// The guard was replaced, or could not be: the answer to
    /// [`Effect::ApplyGuard`](crate::Effect::ApplyGuard).
    Guarded {
        /// The change that asked for it.
        change: ChangeId,
        /// The error is for operators; the guard is as before then.
        result: Result<(), String>,
    },

    /// SIGHUP: read the configuration again.
    Reload,
    /// The files of our certificate changed.
    CertificateChanged,
    /// The answer to [`Effect::ReadConfig`](crate::Effect::ReadConfig).
    ConfigRead {
        /// The change that asked for it.
        change: ChangeId,
        /// What the files say.
        result: Result<Box<NextConfig>, Faults>,
    },
    /// The answer to [`Effect::Narrow`](crate::Effect::Narrow).
    Narrowed {
        /// The change that asked for it.
        change: ChangeId,
        /// What both sides allow.
        config: Arc<Config>,
        /// Revocation lists that come into force with it, for an operator.
        lists: Vec<String>,
    },
    /// By the trust in force, these connections may not go on: a revocation list is overdue.
    Untrusted(Vec<Untrusted>),
    /// The answer to [`Effect::BuildZone`](crate::Effect::BuildZone).
    ZoneBuilt {
        /// The change that asked for it.
        change: ChangeId,
        /// Whether there is a zone.
        result: Result<(), Faults>,
    },
    /// The answer to [`Effect::Adopt`](crate::Effect::Adopt).
    Adopted {
        /// The change that was put in force.
        change: ChangeId,
        /// Connections whose certificates the new trust refuses, and why.
        untrusted: Vec<Untrusted>,
    },
    /// The answer to [`Effect::ReadIdentity`](crate::Effect::ReadIdentity).
    IdentityRead {
        /// The change that asked for it.
        change: ChangeId,
        /// What the files hold.
        result: Result<IdentityFacts, Faults>,
    },
}

/// What a completed handshake said about its connection.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Which end we are.
    pub role: Role,
    /// The dial that this answers, if we are the dialler.
    pub dial: Option<DialId>,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The local address that is used, if the kernel told.
    pub local: Option<IpAddr>,
    /// The round trip time, as QUIC measured it.
    pub rtt: Duration,
    /// The fingerprint of the certificate that we presented.
    pub certificate: Digest,
    /// What the trust in force now says about the peer's certificate. It may say otherwise than the
    /// trust at the start of the handshake. The error is the verifier's reason.
    pub verdict: Result<Verified, ExternalText>,
}

/// A peer whose certificate is in order.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The identity in the certificate.
    pub peer: GatewayId,
    /// When the first certificate of its chain expires: time since 1970, by the wall clock.
    pub expires: Duration,
}

/// What came in on one connection so far.
#[derive(Debug, Clone, Copy)]
pub struct Activity {
    /// The connection.
    pub conn: ConnId,
    /// QUIC frames that show the peer to be alive: acknowledgements, pings and stream data.
    pub frames: u64,
    /// The local address that QUIC uses now, if the kernel told.
    pub local: Option<IpAddr>,
}

/// A connection that the trust in force would not have let begin.
#[derive(Debug, Clone)]
pub struct Untrusted {
    /// The connection.
    pub conn: ConnId,
    /// The verifier's reason.
    pub reason: ExternalText,
}

/// What the shell needs to know of a certificate that was read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityFacts {
    /// The fingerprint of the chain.
    pub certificate: Digest,
    /// For how long the chain is still valid.
    pub remaining: Duration,
}

/// How far the kernel followed a [`RoutePlan`](ringway_intent::RoutePlan).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutesOutcome {
    /// It has the routes of the plan.
    Done,
    /// It refused these prefixes' routes and has the others.
    Refused(Vec<Prefix>),
    /// It could not be asked: what it has is not known.
    Failed,
}
