//! [`Handshakes`]: how many handshakes are computed. Each costs several multiplications on the
//! curve, and anyone who knows the gateway's public key can ask for one.
//!
//! ```text
//!   a second's handshakes     with the right MAC
//!   up to EASY                are computed
//!   up to MOST                if they bring the cookie that was sent to their address, and at most
//!                             PER_ADDRESS of one address
//!   more                      are dropped
//! ```
//! More than LOOKED_AT are dropped unseen.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gotatun::noise::TunnResult;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519::PublicKey;

const EASY: u32 = 64;
const MOST: u32 = 1024;
const PER_ADDRESS: u32 = 128;
const LOOKED_AT: u32 = 20_000;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Handshakes {
    /// Never asks for cookies.
    easy: RateLimiter,
    /// Always does.
    strict: RateLimiter,
    since: Instant,
    looked_at: u32,
    computed: u32,
    /// At most [`MOST`].
    by_address: HashMap<IpAddr, u32>,
}

/// What becomes of a datagram.
pub(crate) enum Verdict {
    /// It is a packet of WireGuard, and if it begins a handshake, that is computed.
    Passed(WgKind),
    /// This is sent back.
    Cookie(WgKind),
    /// Dropped, for this reason.
    Dropped(&'static str),
}

impl Handshakes {
    /// For the gateway with this key.
    pub(crate) fn new(public: &PublicKey, now: Instant) -> Handshakes {
        Handshakes {
            easy: RateLimiter::new(public, u64::MAX),
            strict: RateLimiter::new(public, 0),
            since: now,
            looked_at: 0,
            computed: 0,
            by_address: HashMap::new(),
        }
    }

    /// Judges a datagram from `from`.
    pub(crate) fn judge(&mut self, from: SocketAddr, packet: Packet, now: Instant) -> Verdict {
        // The type, and three zero bytes (the WireGuard paper, section 5.4).
        if packet.get(1..4) != Some(&[0; 3]) {
            return Verdict::Dropped("malformed");
        }
        if !matches!(packet.first(), Some(1 | 2)) {
            return match packet.try_into_wg() {
                Ok(kind) => Verdict::Passed(kind),
                Err(_) => Verdict::Dropped("malformed"),
            };
        }

        self.begin_second(now);
        self.looked_at += 1;
        if self.looked_at > LOOKED_AT {
            return Verdict::Dropped("handshake_load");
        }
        let limiter = match self.computed < EASY {
            true => &self.easy,
            false => &self.strict,
        };
        match limiter.verify_packet(from, packet) {
            Ok(kind) => self.take(from.ip(), kind),
            Err(TunnResult::WriteToNetwork(cookie)) => Verdict::Cookie(cookie),
            Err(_) => Verdict::Dropped("handshake_mac"),
        }
    }

    fn take(&mut self, from: IpAddr, kind: WgKind) -> Verdict {
        if self.computed >= MOST {
            return Verdict::Dropped("handshake_load");
        }
        let count = self.by_address.entry(from).or_default();
        if *count >= PER_ADDRESS {
            return Verdict::Dropped("handshake_load");
        }

        *count += 1;
        self.computed += 1;
        Verdict::Passed(kind)
    }

    fn begin_second(&mut self, now: Instant) {
        if now < self.since + SECOND {
            return;
        }

        self.since = now;
        self.looked_at = 0;
        self.computed = 0;
        self.by_address.clear();
        self.easy.try_reset_count();
        self.strict.try_reset_count();
    }
}
