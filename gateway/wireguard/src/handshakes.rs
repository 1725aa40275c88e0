//! [`Handshakes`]: limits the rate of handshakes. Each costs several multiplications on the curve,
//! and anyone who knows the gateway's public key can start one.
//!
//! ```text
//!   handshakes in this second   with a valid MAC
//!   up to UNCONDITIONAL         pass
//!   up to MAX_PASSED            pass with the cookie that was sent to their address, and at most
//!                               MAX_PER_ADDRESS of one address
//!   beyond                      are dropped
//! ```
//! Beyond MAX_VERIFIED, they are dropped before their MAC is verified.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gotatun::noise::TunnResult;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519::PublicKey;

const UNCONDITIONAL: u32 = 64;
const MAX_PASSED: u32 = 1024;
const MAX_PER_ADDRESS: u32 = 128;
const MAX_VERIFIED: u32 = 20_000;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Handshakes {
    /// Never demands a cookie.
    easy: RateLimiter,
    /// Always demands a cookie.
    strict: RateLimiter,
    since: Instant,
    verified: u32,
    passed: u32,
    /// Handshakes passed in this second, by source. At most [`MAX_PASSED`] entries.
    by_address: HashMap<IpAddr, u32>,
}

/// Decision about a datagram.
pub(crate) enum Verdict {
    /// A WireGuard message to hand to gotatun. A handshake is within the limits.
    Passed(WgKind),
    /// The cookie reply to send back.
    Cookie(WgKind),
    /// Dropped, with the reason.
    Dropped(&'static str),
}

impl Handshakes {
    /// Limits for the gateway with this public key.
    pub(crate) fn new(public: &PublicKey, now: Instant) -> Handshakes {
        Handshakes {
            easy: RateLimiter::new(public, u64::MAX),
            strict: RateLimiter::new(public, 0),
            since: now,
            verified: 0,
            passed: 0,
            by_address: HashMap::new(),
        }
    }

    /// Decides about a datagram from `from`.
    pub(crate) fn judge(&mut self, from: SocketAddr, packet: Packet, now: Instant) -> Verdict {
        // The type, then three zero bytes (the WireGuard paper, section 5.4).
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
        self.verified += 1;
        if self.verified > MAX_VERIFIED {
            return Verdict::Dropped("handshake_load");
        }
        let limiter = match self.passed < UNCONDITIONAL {
            true => &self.easy,
            false => &self.strict,
        };
        match limiter.verify_packet(from, packet) {
            Ok(kind) => self.pass(from.ip(), kind),
            Err(TunnResult::WriteToNetwork(cookie)) => Verdict::Cookie(cookie),
            Err(_) => Verdict::Dropped("handshake_mac"),
        }
    }

    fn pass(&mut self, from: IpAddr, kind: WgKind) -> Verdict {
        if self.passed >= MAX_PASSED {
            return Verdict::Dropped("handshake_load");
        }
        let count = self.by_address.entry(from).or_default();
        if *count >= MAX_PER_ADDRESS {
            return Verdict::Dropped("handshake_load");
        }

        *count += 1;
        self.passed += 1;
        Verdict::Passed(kind)
    }

    fn begin_second(&mut self, now: Instant) {
        if now < self.since + SECOND {
            return;
        }

        self.since = now;
        self.verified = 0;
        self.passed = 0;
        self.by_address.clear();
        self.easy.try_reset_count();
        self.strict.try_reset_count();
    }
}
