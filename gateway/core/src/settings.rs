//! [`Settings`]: the times and choices of a mesh. The defaults are those of gateway/PROTOCOL.md;
//! simulations shorten them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use ringway_config::GatewayId;

use crate::message::Aead;
use crate::secret::Secret;

/// Times and choices of one mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Time between two probes of a session.
    pub probe_interval: Duration,
    /// Probes in the time of one while an echo is overdue.
    pub hurry: u32,
    /// Probes without an echo after which a session is dead; see [`Settings::dead_after`].
    pub probes: u32,
    /// How long a new session may remain without its first echo: round trips of 3 s are accepted.
    pub prove_timeout: Duration,
    /// How long the newest dial of a peer is waited for until another one joins it. A gateway that
    /// has just come back answers the new one at once; the old one repeats itself ever more rarely.
    pub dial_patience: Duration,
    /// How long a dial may take until the connection is established: with the proof of our address
    /// two round trips, of 3 s each, and repetitions.
    pub dial_timeout: Duration,
    /// How long a connection may remain without the peer's `Hello`.
    pub hello_timeout: Duration,
    /// Time from the start of the first failed dial to the next; jitter takes off up to half.
    pub backoff_min: Duration,
    /// The longest such time, reached by doubling. It bounds how long a peer that comes back waits
    /// for us: its session is to be up within 2 s.
    pub backoff_max: Duration,
    /// How long a peer that could dial us, too, must have been absent before the time between
    /// dials grows beyond `backoff_max`. Such a peer dials us when it comes back.
    pub absent_after: Duration,
    /// The longest time between dials of an absent peer.
    pub backoff_absent: Duration,
    /// Age at which the dialler of a session replaces it, and with it its keys; ±10 % jitter.
    pub rekey_after: Duration,
    /// Age at which a session that was not replaced ends: its keys come from one handshake.
    pub max_age: Duration,
    /// How long a replaced session stays open for receiving.
    pub drain: Duration,
    /// Time between `Withdraw` and `Bye` at shutdown, for the peers to turn to another gateway.
    pub shutdown_grace: Duration,
    /// The AEAD that peers must seal with: the one that this CPU computes fastest.
    pub aead: Aead,
    /// Lanes for receiving, at most [`LANES`](ringway_config::limits::LANES). A session index n
    /// belongs to lane n mod this number.
    pub lanes: NonZeroU32,
    /// Feature bits offered in `Hello`.
    pub features: u64,
    /// Among the gateways of one site with the same epoch, the one with the higher preference is
    /// active.
    pub preference: u32,
    /// Random: what this gateway proves to its siblings to be alive by. The same after a restart,
    /// so that a proof needs no session since.
    pub secret: Secret,
    /// What siblings prove to be alive by, as they said before this start.
    pub sibling_secrets: BTreeMap<GatewayId, Secret>,
    /// Counts the starts with this secret: what is said after one is later than all before.
    pub starts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_millis(500),
            hurry: 5,
            probes: 3,
            prove_timeout: Duration::from_secs(4),
            dial_patience: Duration::from_millis(1250),
            dial_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_millis(1750),
            absent_after: Duration::from_secs(600),
            backoff_absent: Duration::from_secs(30),
            rekey_after: Duration::from_secs(3600),
            max_age: Duration::from_secs(90 * 60),
            drain: Duration::from_secs(10),
            shutdown_grace: Duration::from_millis(200),
            aead: Aead::Aes128Gcm,
            lanes: NonZeroU32::MIN,
            features: 0,
            preference: 100,
            secret: Secret::default(),
            sibling_secrets: BTreeMap::new(),
            starts: 0,
        }
    }
}

impl Settings {
    /// As these, for the tunnel to a sibling: probed every 50 ms, and every 10 ms while an echo is
    /// overdue. Its session ends no earlier than others.
    pub(crate) fn for_siblings(&self) -> Settings {
        self.at_pace(Duration::from_millis(50))
    }

    /// As these, for the tunnels of a gateway that has siblings: they may have to take over when
    /// its uplink is dead. Probed every 100 ms, and every 20 ms while an echo is overdue.
    pub(crate) fn for_uplinks(&self) -> Settings {
        self.at_pace(Duration::from_millis(100))
    }

    /// As these, for the tunnels to the nodes of a gateway that has siblings and too many nodes for
    /// the pace of uplinks. Probed every 250 ms, and every 21 ms while an echo is overdue: a node
    /// that has fallen silent is detected within half a second.
    pub(crate) fn for_many_nodes(&self) -> Settings {
        Settings {
            hurry: 12,
            ..self.at_pace(Duration::from_millis(250))
        }
    }

    fn at_pace(&self, interval: Duration) -> Settings {
        // More probes in the same time: a session ends no earlier than at the usual pace.
        let dead_after = self.dead_after().as_millis();
        let probes = dead_after / interval.as_millis().max(1);

        Settings {
            probe_interval: interval.min(self.probe_interval),
            probes: u32::try_from(probes).unwrap_or(u32::MAX).max(self.probes),
            ..self.clone()
        }
    }

    /// Time without an echo after which a session is dead. A quarter of an interval is added for
    /// the round trip of the last probe: 1.625 s by default, so that a dead peer's routes are gone
    /// within 2 s.
    pub fn dead_after(&self) -> Duration {
        self.probe_interval * self.probes + self.probe_interval / 4
    }
}
