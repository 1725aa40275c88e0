//! [`Grace`]: when the middle of a connection that no flow knows may pass.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::{Tick, ticks};
use crate::packet::{Tcp, tcp_flags};
use crate::settings::Settings;

/// Packets of one site in a second.
const RATE: u32 = 1000;
/// Sites that are counted apart.
const SITES: usize = 4096;
const SECOND: Tick = ticks(Duration::from_secs(1));

pub(crate) struct Grace {
    /// When it began.
    began: AtomicU32,
    duration: AtomicU32,
    /// The first port of our hosts that grace is about.
    port: AtomicU32,
    is_endless: AtomicBool,
    /// By site: the second, and the packets in it.
    rates: Box<[AtomicU64]>,
    pub(crate) passed: AtomicU64,
}

/// What becomes of a segment that grace covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mercy {
    Granted,
    /// Beyond the rate.
    TooMany,
}

impl Grace {
    pub(crate) fn new(settings: &Settings) -> Grace {
        let grace = Grace {
            began: AtomicU32::new(0),
            duration: AtomicU32::new(0),
            port: AtomicU32::new(0),
            is_endless: AtomicBool::new(false),
            rates: (0..SITES).map(|_| AtomicU64::new(0)).collect(),
            passed: AtomicU64::new(0),
        };

        grace.configure(settings);
        grace
    }

    pub(crate) fn configure(&self, settings: &Settings) {
        self.duration.store(ticks(settings.grace), Relaxed);
        self.port.store(settings.grace_port.into(), Relaxed);
    }

    pub(crate) fn begin(&self, now: Tick) {
        self.began.store(now, Relaxed);
    }

    pub(crate) fn set_endless(&self, endless: bool) {
        self.is_endless.store(endless, Relaxed);
    }

    pub(crate) fn is_endless(&self) -> bool {
        self.is_endless.load(Relaxed)
    }

    /// True for a port of our hosts that grace is about.
    #[inline]
    pub(crate) fn is_about(&self, port: u16) -> bool {
        u32::from(port) >= self.port.load(Relaxed)
    }

    /// True if grace, endless or not, could be about an arriving segment at this time.
    #[inline]
    pub(crate) fn covers(&self, tcp: &Tcp, now: Tick) -> bool {
        if !self.is_about(tcp.destination_port) {
            return false;
        }
        if self.is_endless() {
            return tcp.has(tcp_flags::ACK) && !tcp.has(tcp_flags::RST);
        }

        tcp.is_midstream() && self.is_on(now)
    }

    /// True while grace may let anything in.
    #[inline]
    fn is_on(&self, now: Tick) -> bool {
        let age = now.saturating_sub(self.began.load(Relaxed));
        self.is_endless() || age < self.duration.load(Relaxed)
    }

    /// Counts a segment of a site that grace covers.
    pub(crate) fn grant(&self, site: u32, now: Tick) -> Mercy {
        // All replies of the site's flows may take this way while grace has no end.
        if self.is_endless() || self.is_within_rate(site, now) {
            self.passed.fetch_add(1, Relaxed);
            Mercy::Granted
        } else {
            Mercy::TooMany
        }
    }

    fn is_within_rate(&self, site: u32, now: Tick) -> bool {
        let second = u64::from(now / SECOND);
        self.rates[site as usize % SITES]
            .fetch_update(Relaxed, Relaxed, |word| {
                let before = if word >> 32 == second { word as u32 } else { 0 };
                (before < RATE).then_some(second << 32 | u64::from(before + 1))
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::tcp_flags::{ACK, FIN, RST, SYN};
    use super::*;

    fn grace() -> Grace {
        Grace::new(&Settings {
            flows: 16,
            grace: Duration::from_secs(120),
            grace_port: 32768,
        })
    }

    fn tcp(flags: u8, to: u16) -> Tcp {
        Tcp {
            source_port: 1,
            destination_port: to,
            ack: 0,
            flags,
        }
    }

    #[test]
    fn only_the_middle_of_connections_to_high_ports_and_only_in_time() {
        let grace = grace();
        let end = ticks(Duration::from_secs(120));
        assert!(grace.covers(&tcp(ACK, 32768), 0));
        assert!(grace.covers(&tcp(ACK | FIN, 65535), end - 1));
        for (flags, port, now) in [
            (ACK, 32767, 0),
            (ACK, 32768, end),
            (SYN, 40000, 0),
            (SYN | ACK, 40000, 0),
            (RST | ACK, 40000, 0),
            (FIN, 40000, 0),
            (0, 40000, 0),
        ] {
            assert!(
                !grace.covers(&tcp(flags, port), now),
                "{flags:x} {port} {now}"
            );
        }

        grace.begin(end + 5);
        assert!(grace.covers(&tcp(ACK, 32768), 2 * end));
    }

    #[test]
    fn a_thousand_a_second_of_each_site() {
        let grace = grace();
        for _ in 0..RATE {
            assert_eq!(grace.grant(7, 3), Mercy::Granted);
        }
        assert_eq!(grace.grant(7, SECOND - 1), Mercy::TooMany);
        assert_eq!(grace.grant(8, 3), Mercy::Granted);
        assert_eq!(grace.grant(7, SECOND), Mercy::Granted);
        assert_eq!(grace.passed.load(Relaxed), 1002);
    }

    #[test]
    fn without_end_syn_acks_too_and_never_a_reset_or_a_syn() {
        let grace = grace();
        grace.set_endless(true);
        let late = Tick::MAX;
        assert!(grace.covers(&tcp(ACK, 32768), late));
        assert!(grace.covers(&tcp(SYN | ACK, 32768), late));
        assert!(!grace.covers(&tcp(SYN | ACK, 32767), late));
        assert!(!grace.covers(&tcp(SYN, 40000), late));
        assert!(!grace.covers(&tcp(RST | ACK, 40000), late));
        for _ in 0..2 * RATE {
            assert_eq!(grace.grant(7, late), Mercy::Granted);
        }
    }
}
