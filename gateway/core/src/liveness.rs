//! [`Liveness`]: is the data path of one session alive? Probes go out at a steady pace; silence for three
//! of them ends the session. Sending and authenticating probes is the data plane's.
//!
//! An echo that is overdue may have been lost: five probes go out instead of one then. At 15 % loss each way and a round
//! trip of 30 ms, all of the ten that can still be echoed are lost once in 370,000 times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Settings;

/// Probes whose echo still counts: all of a session's patience.
const REMEMBERED: usize = 16;

/// Probes in the place of one while an echo is overdue.
const HURRY: u32 = 5;

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
        Self {
            heard: now,
            proved: false,
            next: now,
            unanswered: 0,
            sent: VecDeque::new(),
            rtt: None,
        }
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

    pub(crate) fn is_due(&self, settings: &Settings, now: Instant) -> bool {
        self.due_at(settings) <= now
    }

    /// Probe number `probe` goes out.
    pub(crate) fn probe(&mut self, probe: u64, settings: &Settings, now: Instant) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent.truncate(REMEMBERED - 1);
        self.sent.push_front((probe, now));
        let steady = self.next + settings.probe_interval;
        self.next = if self.next <= now && now < steady {
            steady
        } else {
            now + settings.probe_interval
        };
    }

    /// An echo came; false if it answers none of our recent probes.
    pub(crate) fn echoed(&mut self, probe: u64, now: Instant) -> bool {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == probe) else {
            return false;
        };
        let Some((_, sent)) = self.sent.remove(at) else {
            return false;
        };
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
            true => self.due_at(settings).min(self.dead_at(settings)),
            false => self.due_at(settings),
        }
    }

    /// At the steady pace echoes come in it too, however long their way is.
    fn due_at(&self, settings: &Settings) -> Instant {
        let Some((_, last)) = self.sent.front() else {
            return self.next;
        };
        let overdue = self.heard + settings.probe_interval * 5 / 4;
        self.next
            .min(overdue.max(*last + settings.probe_interval / HURRY))
    }

    fn dead_at(&self, settings: &Settings) -> Instant {
        self.heard + settings.dead_after()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// A session's probes on virtual time.
    struct Bench {
        liveness: Liveness,
        rtt: Duration,
        /// When the echo of which probe arrives.
        echoes: VecDeque<(Instant, u64)>,
        start: Instant,
        now: Instant,
        probes: u64,
    }

    impl Bench {
        fn new(rtt: Duration) -> Bench {
            let start = Instant::now();
            let (liveness, echoes) = (Liveness::new(start), VecDeque::new());
            Bench {
                liveness,
                rtt,
                echoes,
                start,
                now: start,
                probes: 0,
            }
        }

        /// Runs for `time` with echoes for the probes that `answered` accepts; gives when it died, if it did.
        fn dies(
            &mut self,
            time: Duration,
            mut answered: impl FnMut(u64) -> bool,
        ) -> Option<Duration> {
            let settings = Settings::default();
            while self.now < self.start + time {
                if self.liveness.is_dead(&settings, self.now) {
                    return Some(self.now - self.start);
                }
                if self.liveness.is_due(&settings, self.now) {
                    self.probes += 1;
                    self.liveness.probe(self.probes, &settings, self.now);
                    if answered(self.probes) {
                        self.echoes.push_back((self.now + self.rtt, self.probes));
                    }
                }
                let next = self.liveness.deadline(&settings).max(self.now);
                match self.echoes.front() {
                    Some((at, probe)) if *at <= next => {
                        self.now = *at;
                        assert!(self.liveness.echoed(*probe, *at));
                        self.echoes.pop_front();
                    }
                    _ => self.now = next,
                }
            }
            None
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const LAN: Duration = Duration::ZERO;
    const WAN: Duration = Duration::from_millis(30);

    #[test]
    fn silence_for_three_probes_and_a_quarter_interval_is_death() {
        let dies = |last| Bench::new(LAN).dies(HOUR, |probe| probe <= last);
        assert_eq!(dies(0), Some(Duration::from_millis(1625)));
        assert_eq!(dies(4), Some(Duration::from_millis(1500 + 1625)));
    }

    #[test]
    fn nine_of_ten_lost_probes_are_not() {
        assert_eq!(Bench::new(WAN).dies(HOUR, |probe| probe % 10 == 0), None);
    }

    #[test]
    fn fifteen_percent_loss_for_an_hour_and_five_for_ten_days_end_no_session() {
        for (loss, hours) in [(150, 1), (50, 240)] {
            let mut rng = Rng::new(7);
            let mut lost = || rng.next_u64() % 1000 < loss;
            let mut bench = Bench::new(WAN);
            let died = bench.dies(hours * HOUR, |_| !lost() && !lost());
            assert_eq!(died, None, "{loss} of 1000 lost each way");
        }
    }

    #[test]
    fn only_a_lost_echo_makes_it_hurry() {
        for rtt in [LAN, WAN, Duration::from_millis(600)] {
            let mut bench = Bench::new(rtt);
            bench.dies(HOUR, |_| true);
            assert_eq!(bench.probes, 7200, "at {rtt:?}");
        }
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
        (1..=40).for_each(|probe| liveness.probe(probe, &settings, now));
        assert!(!liveness.echoed(99, now) && !liveness.echoed(1, now) && !liveness.proved());
        assert!(liveness.echoed(40, now + Duration::from_millis(30)) && liveness.proved());
        assert!(!liveness.echoed(40, now), "an echo counts once");
        assert_eq!(liveness.rtt(), Some(Duration::from_millis(30)));
    }
}
