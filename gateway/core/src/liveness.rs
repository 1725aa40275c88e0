//! [`Liveness`]: whether the data path of one session works. Probes are sent at a steady pace; the
//! session is dead when three in a row are not echoed. The data plane sends the probes and
//! authenticates the echoes.
//!
//! A new session is probed at a quick pace until the first echo: its first probes may overtake the
//! keys that open them. It has longer to prove itself, since nothing is known of its round trip.
//!
//! An overdue echo may only have been lost. From then on five probes are sent in the time of one.
//! At 15 % loss each way and a round trip of 30 ms, all of the ten that can still be echoed are
//! lost once in 370,000 times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::status::Loss;

/// Probes whose echo still counts, at most: more than are sent in the longest round trip.
const REMEMBERED: usize = 96;

/// Probes that the loss is counted of: those of a minute and more.
const COUNTED: usize = 128;

/// Time between probes before the first echo: at first, and after [`EAGER_PROBES`].
const EAGER: Duration = Duration::from_millis(25);
const PATIENT: Duration = Duration::from_millis(50);

/// Probes at the first of these two paces.
const EAGER_PROBES: u32 = 20;

/// The longest round trip for which a session that no echo has proved yet is waited for.
const LONGEST_RTT: Duration = Duration::from_secs(5);

/// A sibling is silent after so long without an echo, and [`ENOUGH_PROBES`]. At 5 % loss each way,
/// all ten probes that are sent in this time are lost once in 500 years.
const SIBLING_SILENT: Duration = Duration::from_millis(150);

/// The same for the tunnel of a gateway with siblings to another site.
const UPLINK_SILENT: Duration = Duration::from_millis(250);

/// So many probes are hardly all lost: at 5 % loss each way, once in 100 million times.
const ENOUGH_PROBES: u32 = 8;

/// Probes without an echo after which peers are asked about a sibling.
const OVERDUE_PROBES: u32 = 3;

#[derive(Debug)]
pub(crate) struct Liveness {
    /// The round trip of the handshake: the first echo takes as long.
    first_rtt: Duration,
    /// Time of the last echo; before the first, the start.
    last_echo: Instant,
    proved: bool,
    /// When the next probe is due at the steady pace.
    next: Instant,
    /// Probes since the last echo.
    unanswered: u32,
    /// Number and time of each probe, the latest first.
    sent: VecDeque<(u64, Instant)>,
    /// Number of each probe and whether it was echoed, the latest first.
    fates: VecDeque<(u64, bool)>,
    rtt: Option<Duration>,
}

impl Liveness {
    /// The first probe is due at once. The round trip of the handshake took `rtt`.
    pub(crate) fn new(rtt: Duration, now: Instant) -> Self {
        Self {
            first_rtt: rtt.min(LONGEST_RTT),
            last_echo: now,
            proved: false,
            next: now,
            unanswered: 0,
            sent: VecDeque::new(),
            fates: VecDeque::new(),
            rtt: None,
        }
    }

    /// Starts the wait for an echo again: no probes were sent for a while, or they went to another
    /// address.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.last_echo = now;
        self.next = now;
        self.unanswered = 0;
    }

    /// True once a probe was echoed.
    pub(crate) fn proved(&self) -> bool {
        self.proved
    }

    /// Smoothed round trip time.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// When the last echo came; before the first, when the wait for it began.
    pub(crate) fn last_echo(&self) -> Instant {
        self.last_echo
    }

    /// True if a sibling is silent: it has had time to echo so many probes that all were hardly
    /// lost.
    pub(crate) fn is_sibling_silent(&self, now: Instant) -> bool {
        self.is_silent_for(SIBLING_SILENT, now)
    }

    /// True if no packets pass between this gateway, which has siblings, and another site.
    pub(crate) fn is_uplink_silent(&self, now: Instant) -> bool {
        self.is_silent_for(UPLINK_SILENT, now)
    }

    fn is_silent_for(&self, time: Duration, now: Instant) -> bool {
        let rtt = self.rtt.unwrap_or_default().min(LONGEST_RTT);

        self.last_echo + time + rtt <= now && self.unanswered >= ENOUGH_PROBES
    }

    /// True if more than one probe was lost, or the first signs of death are there.
    pub(crate) fn is_overdue(&self) -> bool {
        self.unanswered >= OVERDUE_PROBES
    }

    /// True if the next echo should have come: it was lost, or no packets pass any more.
    pub(crate) fn is_late(&self, settings: &Settings, now: Instant) -> bool {
        self.late_at(settings) <= now
    }

    pub(crate) fn is_due(&self, settings: &Settings, now: Instant) -> bool {
        self.due_at(settings) <= now
    }

    /// Records that probe number `probe` is sent now.
    pub(crate) fn probe(&mut self, probe: u64, settings: &Settings, now: Instant) {
        self.unanswered = self.unanswered.saturating_add(1);

        self.sent.truncate(REMEMBERED - 1);
        self.sent
            .retain(|(_, at)| now.saturating_duration_since(*at) <= settings.prove_timeout);
        self.sent.push_front((probe, now));
        self.fates.truncate(COUNTED - 1);
        self.fates.push_front((probe, false));

        // A probe on time keeps the pace. An early one, or one after a pause, starts it again.
        let steady = self.next + settings.probe_interval;
        self.next = if self.next <= now && now < steady {
            steady
        } else {
            now + settings.probe_interval
        };
    }

    /// Takes an echo; returns its round trip time, or nothing if it answers none of our recent
    /// probes.
    pub(crate) fn echoed(&mut self, probe: u64, now: Instant) -> Option<Duration> {
        let at = self.sent.iter().position(|(sent, _)| *sent == probe)?;
        let (_, sent_at) = self.sent.remove(at)?;

        // RFC 6298, section 2: SRTT with alpha = 1/8.
        let sample = now.saturating_duration_since(sent_at);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));

        // The first probes may overtake the keys that open them: no loss of the path.
        if !self.proved {
            self.fates.retain(|(sent, _)| *sent >= probe);
        }
        if let Some((_, echoed)) = self.fates.iter_mut().find(|(sent, _)| *sent == probe) {
            *echoed = true;
        }

        self.last_echo = now;
        self.unanswered = 0;
        self.proved = true;
        Some(sample)
    }

    /// Of the last probes, how many were lost. Those after the last echo may still be on their way.
    pub(crate) fn loss(&self) -> Loss {
        let settled = self.fates.iter().skip_while(|(_, echoed)| !echoed);
        let lost = settled.clone().filter(|(_, echoed)| !echoed).count();

        Loss {
            lost,
            sent: settled.count(),
        }
    }

    /// True after silence. If this gateway itself was suspended and sent no probes, it cannot tell.
    pub(crate) fn is_dead(&self, settings: &Settings, now: Instant) -> bool {
        self.dead_at(settings) <= now && self.unanswered >= settings.probes
    }

    /// True if a session that drains is not worth coming back to: its probes were sent as before
    /// and not echoed for as long as ends a session in use, whether it was proved or not.
    pub(crate) fn is_silent(&self, settings: &Settings, now: Instant) -> bool {
        let first = if self.proved {
            Duration::ZERO
        } else {
            self.first_rtt
        };
        let silent_at = self.last_echo + settings.dead_after() + first;
        silent_at <= now && self.unanswered >= settings.probes
    }

    /// When [`Liveness::is_due`] or [`Liveness::is_dead`] may become true.
    pub(crate) fn deadline(&self, settings: &Settings) -> Instant {
        // Before that it cannot be dead, whatever the time.
        if self.unanswered >= settings.probes {
            self.due_at(settings).min(self.dead_at(settings))
        } else {
            self.due_at(settings)
        }
    }

    /// When the next probe is due.
    pub(crate) fn due_at(&self, settings: &Settings) -> Instant {
        let Some((_, last)) = self.sent.front() else {
            return self.next;
        };

        if !self.proved {
            let pace = if self.unanswered < EAGER_PROBES {
                EAGER
            } else {
                PATIENT
            };
            return *last + pace.min(settings.probe_interval);
        }

        let hurried = *last + settings.probe_interval / settings.hurry;
        self.next.min(self.late_at(settings).max(hurried))
    }

    /// While nothing is lost, echoes come at the pace of the probes, whatever the round trip.
    fn late_at(&self, settings: &Settings) -> Instant {
        self.last_echo + settings.probe_interval * 5 / 4
    }

    fn dead_at(&self, settings: &Settings) -> Instant {
        // The first echo takes a whole round trip; later ones come at the pace of the probes.
        let silence = if self.proved {
            settings.dead_after()
        } else {
            let first = settings.dead_after() + self.first_rtt;
            settings.prove_timeout.max(first)
        };
        self.last_echo + silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_loss_is_that_of_the_probes_before_the_last_echo() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::ZERO, start);

        for probe in 0..200 {
            let now = start + settings.probe_interval * u32::try_from(probe).unwrap();
            liveness.probe(probe, &settings, now);
            let is_lost = probe < 3 || probe % 10 == 4 || probe >= 195;
            if !is_lost {
                liveness.echoed(probe, now);
            }
            if probe == 9 {
                assert_eq!(
                    liveness.loss(),
                    Loss { lost: 1, sent: 7 },
                    "not the first three"
                );
            }
        }
        let loss = liveness.loss();
        assert_eq!(loss.sent, COUNTED - 6, "not those that may come yet");
        assert_eq!(loss.lost, 12);
    }

    /// A session's probes on virtual time.
    struct Bench {
        liveness: Liveness,
        rtt: Duration,
        /// When each echo arrives, and the number of its probe.
        echoes: VecDeque<(Instant, u64)>,
        start: Instant,
        now: Instant,
        probes: u64,
    }

    impl Bench {
        fn new(rtt: Duration) -> Bench {
            let start = Instant::now();
            Bench {
                liveness: Liveness::new(Duration::ZERO, start),
                rtt,
                echoes: VecDeque::new(),
                start,
                now: start,
                probes: 0,
            }
        }

        /// Runs for `time` with echoes for the probes that `answered` accepts. Returns when the
        /// session died, if it did.
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
                        assert!(self.liveness.echoed(*probe, *at).is_some());
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
        let four = Bench::new(LAN).dies(HOUR, |probe| probe <= 4);
        assert_eq!(four, Some(Duration::from_millis(1500 + 1625)));
    }

    #[test]
    fn a_session_that_was_never_echoed_has_longer_and_a_long_round_trip_proves_it() {
        let never = Bench::new(LAN).dies(HOUR, |_| false);
        assert_eq!(never, Some(Duration::from_secs(4)));

        let mut far = Bench::new(Duration::from_secs(3));
        assert_eq!(far.dies(HOUR, |_| true), None);
    }

    #[test]
    fn a_new_session_is_probed_quickly_until_the_first_echo() {
        // The peer has no keys yet for the first three probes.
        let mut bench = Bench::new(LAN);
        bench.dies(Duration::from_millis(100), |probe| probe > 3);
        assert!(bench.liveness.proved());
        assert_eq!(bench.probes, 4);

        let mut silent = Bench::new(LAN);
        silent.dies(Duration::from_secs(1), |_| false);
        assert_eq!(silent.probes, 30, "20 in half a second, then 10");
    }

    #[test]
    fn the_loss_of_nine_probes_in_ten_is_survived() {
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
    fn probes_hurry_only_after_a_lost_echo() {
        for (rtt, early) in [(LAN, 0), (WAN, 1), (Duration::from_millis(600), 20)] {
            let mut bench = Bench::new(rtt);
            bench.dies(HOUR, |_| true);
            assert_eq!(bench.probes, 7200 + early, "at {rtt:?}");
        }
    }

    #[test]
    fn the_first_echo_may_take_as_long_as_the_handshakes_round_trip() {
        let rtt = Duration::from_secs(3);
        let mut bench = Bench::new(rtt);
        bench.liveness = Liveness::new(rtt, bench.start);
        assert_eq!(bench.dies(HOUR, |_| true), None);

        let mut silent = Bench::new(rtt);
        silent.liveness = Liveness::new(rtt, silent.start);
        let died = silent.dies(HOUR, |_| false);
        assert_eq!(died, Some(rtt + Duration::from_millis(1625)));

        // A peer that takes its time for the handshake gains little.
        silent = Bench::new(rtt);
        silent.liveness = Liveness::new(HOUR, silent.start);
        let died = silent.dies(HOUR, |_| false);
        assert_eq!(died, Some(LONGEST_RTT + Duration::from_millis(1625)));
    }

    #[test]
    fn a_session_that_comes_back_into_use_has_its_time_again() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::ZERO, start);
        for probe in 1..=4 {
            liveness.probe(probe, &settings, start);
            if probe == 1 {
                assert!(liveness.echoed(probe, start).is_some());
            }
        }
        let later = start + Duration::from_secs(60);
        assert!(liveness.is_dead(&settings, later));

        liveness.resume(later);
        assert!(!liveness.is_dead(&settings, later));
        assert!(liveness.is_due(&settings, later), "it is probed at once");
    }

    #[test]
    fn a_gateway_that_slept_does_not_take_its_own_silence_for_the_peers() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::ZERO, start);
        liveness.probe(1, &settings, start);
        assert!(!liveness.is_dead(&settings, start + Duration::from_secs(60)));
    }

    #[test]
    fn only_a_recent_probe_of_ours_counts_as_echoed() {
        let settings = Settings::default();
        let now = Instant::now();
        let mut liveness = Liveness::new(Duration::ZERO, now);
        for probe in 1..=100 {
            liveness.probe(probe, &settings, now);
        }

        assert_eq!([199, 4].map(|probe| liveness.echoed(probe, now)), [None; 2]);
        assert!(!liveness.proved());
        let round_trip = Duration::from_millis(30);
        assert_eq!(liveness.echoed(5, now + round_trip), Some(round_trip));
        assert!(liveness.proved());
        assert_eq!(liveness.echoed(5, now), None, "an echo counts once");
        assert_eq!(liveness.rtt(), Some(Duration::from_millis(30)));
    }
}
