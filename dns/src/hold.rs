//! [`Hold`]: when each other gateway was last in contact, kept across restarts.
//!
//! Its fragment is answered from while it is silent, up to the hold time; then the fragment has
//! expired. The silence is the longer of what two clocks say:
//!
//! * the wall clock, which also counts the time in which the daemon did not run;
//! * the monotonic clock, so that setting back the wall clock does not make a fragment look
//!   fresher.
//!
//! Setting the wall clock forward makes fragments expire until it is corrected. The silence of a
//! gateway that was never in contact starts when it is first asked for.
//!
//! The file has one line for each gateway: its name, and the last contact in seconds since 1970.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringway_config::disk::{self, Access};
use ringway_config::{GatewayId, reading};

/// The two clocks, read together.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The wall clock, which can jump.
    pub wall: SystemTime,
    /// The monotonic clock, which starts again with the host.
    pub monotonic: Instant,
}

impl Moment {
    /// Reads both clocks.
    pub fn now() -> Moment {
        Moment {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }
}

/// The last contact with each gateway.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    last_contact: BTreeMap<GatewayId, Moment>,
}

impl Hold {
    /// Reads `path`. Gateways without a readable line there start with a silence of zero. Blocks.
    pub fn open(path: &Path, now: Moment) -> io::Result<Hold> {
        let text = match reading::open(path).and_then(io::read_to_string) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text?,
        };

        Ok(Hold {
            path: path.into(),
            last_contact: text
                .lines()
                .filter_map(|line| parse_line(line, now))
                .collect(),
        })
    }

    /// Knows no contact. For a `path` that cannot be read.
    pub fn unread(path: &Path) -> Hold {
        Hold {
            path: path.into(),
            last_contact: BTreeMap::new(),
        }
    }

    /// `owner` is in contact at `now`.
    pub fn record_contact(&mut self, owner: &GatewayId, now: Moment) {
        self.last_contact.insert(owner.clone(), now);
    }

    /// How long `owner` has been silent.
    pub fn silence(&mut self, owner: &GatewayId, now: Moment) -> Duration {
        let last = self.last_contact.entry(owner.clone()).or_insert(now);
        let by_wall = now.wall.duration_since(last.wall).unwrap_or_default();
        let by_monotonic = now.monotonic.saturating_duration_since(last.monotonic);
        by_wall.max(by_monotonic)
    }

    /// Removes every gateway that is not in `kept`.
    pub fn retain(&mut self, kept: &[GatewayId]) {
        self.last_contact.retain(|owner, _| kept.contains(owner));
    }

    /// The file as it should now be. [`HoldFile::write`] can then run on a blocking thread.
    pub fn file(&self) -> HoldFile {
        let mut text = String::new();
        for (owner, last) in &self.last_contact {
            let since = last.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
            text.push_str(&format!("{owner} {}\n", since.as_secs()));
        }

        HoldFile {
            path: self.path.clone(),
            text,
        }
    }
}

/// `None` if the line is damaged.
fn parse_line(line: &str, now: Moment) -> Option<(GatewayId, Moment)> {
    let (owner, seconds) = line.split_once(' ')?;
    let since = Duration::from_secs(seconds.parse().ok()?);
    let wall = UNIX_EPOCH.checked_add(since)?;

    let last = Moment {
        // A time in the future was written while the clock was wrong.
        wall: wall.min(now.wall),
        // The time since then on this clock is unknown; silence is counted by the wall clock.
        monotonic: now.monotonic,
    };

    Some((owner.parse().ok()?, last))
}

/// The content of a [`Hold`]'s file.
#[derive(Debug)]
pub struct HoldFile {
    path: PathBuf,
    text: String,
}

impl HoldFile {
    /// Replaces the file atomically. Blocks.
    pub fn write(&self) -> io::Result<()> {
        disk::replace(&self.path, self.text.as_bytes(), Access::Owner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::OnceLock;

    use super::*;
    use crate::scratch::Scratch;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn gateway(n: u8) -> GatewayId {
        format!("gw.org{n}").parse().unwrap()
    }

    /// Returns the same moment in every call.
    fn start() -> Moment {
        static START: OnceLock<Instant> = OnceLock::new();
        Moment {
            wall: UNIX_EPOCH + 20_000 * DAY,
            monotonic: *START.get_or_init(Instant::now),
        }
    }

    impl Moment {
        fn after(self, time: Duration) -> Moment {
            Moment {
                wall: self.wall + time,
                monotonic: self.monotonic + time,
            }
        }

        /// As [`Moment::after`], but the host was restarted: its monotonic clock starts again.
        fn restarted_after(self, time: Duration) -> Moment {
            Moment {
                wall: self.wall + time,
                monotonic: self.monotonic,
            }
        }
    }

    #[test]
    fn silence_goes_on_across_a_restart() {
        let scratch = Scratch::new();
        let path = scratch.path().join("heard");

        let mut hold = Hold::open(&path, start()).unwrap();
        let first = hold.silence(&gateway(1), start().after(DAY));
        assert_eq!(first, Duration::ZERO, "silence starts when first asked for");
        hold.record_contact(&gateway(1), start());
        hold.record_contact(&gateway(2), start().after(DAY));
        assert_eq!(hold.silence(&gateway(1), start().after(3 * DAY)), 3 * DAY);
        hold.file().write().unwrap();

        let mut hold = Hold::open(&path, start().restarted_after(4 * DAY)).unwrap();
        let later = start().restarted_after(4 * DAY).after(DAY);
        assert_eq!(hold.silence(&gateway(1), later), 5 * DAY);
        assert_eq!(hold.silence(&gateway(2), later), 4 * DAY);

        hold.record_contact(&gateway(1), later);
        assert_eq!(hold.silence(&gateway(1), later.after(DAY)), DAY);
        hold.retain(&[gateway(2)]);
        let removed = hold.silence(&gateway(1), later.after(DAY));
        assert_eq!(removed, Duration::ZERO);
    }

    #[test]
    fn a_clock_step_back_does_not_shorten_the_silence_and_a_step_forward_is_correctable() {
        let scratch = Scratch::new();
        let mut hold = Hold::open(&scratch.path().join("heard"), start()).unwrap();
        hold.record_contact(&gateway(1), start());
        let later = start().after(3 * DAY);

        let set_back = Moment {
            wall: start().wall - 100 * DAY,
            ..later
        };
        assert_eq!(hold.silence(&gateway(1), set_back), 3 * DAY);

        let set_forward = Moment {
            wall: later.wall + 100 * DAY,
            ..later
        };
        assert_eq!(hold.silence(&gateway(1), set_forward), 103 * DAY);
        assert_eq!(hold.silence(&gateway(1), later), 3 * DAY);
    }

    #[test]
    fn damaged_lines_and_times_in_the_future_start_from_now() {
        let scratch = Scratch::new();
        let path = scratch.path().join("heard");
        let future = u64::MAX / 4;
        let text = format!("gw.org1 {future}\nx\ngw.org2 y\ngw.org3 0\n");
        fs::write(&path, text).unwrap();

        let mut hold = Hold::open(&path, start()).unwrap();
        assert_eq!(hold.silence(&gateway(1), start().after(DAY)), DAY);
        let damaged = hold.silence(&gateway(2), start().after(DAY));
        assert_eq!(damaged, Duration::ZERO);
        assert_eq!(hold.silence(&gateway(3), start()), 20_000 * DAY);
    }
}
