//! [`Settings`]: the mesh's times and choices. Defaults are DESIGN.md's; simulations shorten them.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Aead;

/// Times and choices of one mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Time between two probes of a session.
    pub probe_interval: Duration,
    /// Unanswered probes after which a session is dead (a quarter interval is added for the echo's way).
    pub probes: u32,
    /// How long a dial may take until the connection stands.
    pub dial_timeout: Duration,
    /// How long a connection may stand without the peer's `Hello`.
    pub hello_timeout: Duration,
    /// Time from the start of a failed dial to the next, at first; jitter takes up to half of it.
    pub backoff_min: Duration,
    /// The same at last, after doublings. It bounds how long a returned peer waits for us: its session must
    /// be back within 2 s.
    pub backoff_max: Duration,
    /// Age at which the dialler of a session replaces it, and with it its keys; ±10 % jitter.
    pub rekey_after: Duration,
    /// Age at which a session that was not replaced ends: its keys come from one handshake.
    pub max_age: Duration,
    /// How long a replaced session stays open for receiving.
    pub drain: Duration,
    /// Time between `Withdraw` and `Bye` at shutdown, for the peers to turn to another gateway.
    pub shutdown_grace: Duration,
    /// The AEAD that peers shall seal with: what this CPU does fastest.
    pub aead: Aead,
    /// Lanes that packets are received in, at most [`LANES`](ringway_config::limits::LANES): session index n belongs to lane
    /// n mod this.
    pub lanes: NonZeroU32,
    /// Feature bits offered in `Hello`.
    pub features: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_millis(500),
            probes: 3,
            dial_timeout: Duration::from_millis(1250),
            hello_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_millis(1750),
            rekey_after: Duration::from_secs(3600),
            max_age: Duration::from_secs(90 * 60),
            drain: Duration::from_secs(10),
            shutdown_grace: Duration::from_millis(200),
            aead: Aead::Aes128Gcm,
            lanes: NonZeroU32::MIN,
            features: 0,
        }
    }
}

impl Settings {
    /// Silence after which a session is dead: 1.625 s by default, so that with the swap of the
    /// forwarding table a dead peer's routes are gone within 2 s.
    pub fn dead_after(&self) -> Duration {
        self.probe_interval * self.probes + self.probe_interval / 4
    }
}
