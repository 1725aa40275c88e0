//! [`Liveness`]: is the data path of one session alive? Probes go out at a steady pace; silence for three
//! of them ends the session. Sending and authenticating probes is the data plane's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Settings;

/// Probes whose echo still counts; older ones have long been given up.
const REMEMBERED: usize = 8;

#[derive(Debug)]
pub(crate) struct Liveness {
    /// The last echo; before the first, the start.
    heard: Instant,
    proved: bool,
    next: Instant,
    /// Probes since the last echo.
    unanswered: u32,
    sent: VecDeque<(u64, Instant)>,
    rtt: Option<Duration>,
}

impl Liveness {
    /// The first probe is due at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: now, proved: false, next: now, unanswered: 0, sent: VecDeque::new(), rtt: None }
    }

    /// The session is used again after a pause without probes: its patience starts anew.
    pub(crate) fn resume(&mut self, now: Instant) {
        (self.heard, self.next, self.unanswered) = (now, now, 0);
    }

    /// True once an authenticated packet came back.
    pub(crate) fn proved(&self) -> bool {
        self.proved
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// Probe number `probe` goes out.
    pub(crate) fn probe(&mut self, probe: u64, settings: &Settings, now: Instant) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent.truncate(REMEMBERED - 1);
        self.sent.push_front((probe, now));
        self.next += settings.probe_interval;
        if self.next <= now {
            self.next = now + settings.probe_interval;
        }
    }

    /// An echo came; false if it answers none of our recent probes.
    pub(crate) fn echoed(&mut self, probe: u64, now: Instant) -> bool {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == probe) else { return false };
        let Some((_, sent)) = self.sent.remove(at) else { return false };
        let sample = now.saturating_duration_since(sent);
        // RFC 6298, section 2: SRTT with alpha = 1/8.
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        (self.heard, self.unanswered, self.proved) = (now, 0, true);
        true
    }

    /// True after silence. If we ourselves slept and sent no probes, that is no silence of the peer.
    pub(crate) fn is_dead(&self, settings: &Settings, now: Instant) -> bool {
        self.dead_at(settings) <= now && self.unanswered >= settings.probes
    }

    /// When to look again.
    pub(crate) fn deadline(&self, settings: &Settings) -> Instant {
        match self.unanswered >= settings.probes {
            true => self.next.min(self.dead_at(settings)),
            false => self.next,
        }
    }

    fn dead_at(&self, settings: &Settings) -> Instant {
        self.heard + settings.dead_after()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs until the liveness is dead, with echoes for the probes that `answered` accepts.
    fn dies_after(answered: impl Fn(u64) -> bool) -> Duration {
        let settings = Settings::default();
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        let (mut now, mut probe) = (start, 0);
        loop {
            if liveness.is_dead(&settings, now) {
                return now - start;
            }
            if liveness.is_due(now) {
                probe += 1;
                liveness.probe(probe, &settings, now);
                if answered(probe) {
                    assert!(liveness.echoed(probe, now));
                }
            }
            now = liveness.deadline(&settings).max(now);
        }
    }

    #[test]
    fn three_lost_probes_and_a_quarter_interval_are_death() {
        assert_eq!(dies_after(|_| false), Duration::from_millis(1625));
        assert_eq!(dies_after(|probe| probe <= 4), Duration::from_millis(1500 + 1625));
    }

    #[test]
    fn two_lost_probes_are_not() {
        assert!(dies_after(|probe| probe < 1000 && probe % 3 == 0) > Duration::from_secs(490));
    }

    #[test]
    fn a_gateway_that_slept_does_not_take_its_own_silence_for_the_peers() {
        let (settings, start) = (Settings::default(), Instant::now());
        let mut liveness = Liveness::new(start);
        liveness.probe(1, &settings, start);
        assert!(!liveness.is_dead(&settings, start + Duration::from_secs(60)));
    }

    #[test]
    fn only_a_recent_probe_of_ours_counts_as_echoed() {
        let (settings, now) = (Settings::default(), Instant::now());
        let mut liveness = Liveness::new(now);
        (1..=20).for_each(|probe| liveness.probe(probe, &settings, now));
        assert!(!liveness.echoed(99, now) && !liveness.echoed(1, now) && !liveness.proved());
        assert!(liveness.echoed(20, now + Duration::from_millis(30)) && liveness.proved());
        assert!(!liveness.echoed(20, now), "an echo counts once");
        assert_eq!(liveness.rtt(), Some(Duration::from_millis(30)));
    }
}
