//! [`Hold`]: when each zone's owner was last heard, remembered across restarts, and whether that is too long ago.
//!
//! A copy is answered from while its owner is silent, but not for ever: after the hold its names fail. How
//! long an owner has been silent is told by the wall clock, which goes on while the daemon does not run;
//! and at least by the monotonic clock, so that a wall clock set back makes no copy young again. One set
//! forward makes copies old until it is right again. Whoever was never heard begins to be silent now.
//!
//! The file has a line for each zone: its name, and seconds since 1970.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringway_config::ZoneName;

use crate::disk;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The wall clock.
    pub wall: SystemTime,
    /// The monotonic clock.
    pub monotonic: Instant,
}

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }
}

/// When owners were last heard.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    heard: BTreeMap<ZoneName, Moment>,
}

impl Hold {
    /// Reads `path`; without it, or if it is damaged, every owner begins to be silent at `now`.
    pub fn open(path: &Path, now: Moment) -> io::Result<Hold> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let heard = text.lines().filter_map(|line| {
            let (apex, seconds) = line.split_once(' ')?;
            let wall = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?;
            // Written when the clock was wrong: nobody has been heard in the future.
            Some((
                apex.parse().ok()?,
                Moment {
                    wall: wall.min(now.wall),
                    ..now
                },
            ))
        });
        Ok(Hold {
            path: path.into(),
            heard: heard.collect(),
        })
    }

    /// The owner of `apex` is heard at `now`.
    pub fn hear(&mut self, apex: &ZoneName, now: Moment) {
        self.heard.insert(apex.clone(), now);
    }

    /// How long the owner of `apex` has been silent at `now`.
    pub fn silence(&mut self, apex: &ZoneName, now: Moment) -> Duration {
        let heard = self.heard.entry(apex.clone()).or_insert(now);
        let wall = now.wall.duration_since(heard.wall).unwrap_or_default();
        wall.max(now.monotonic.saturating_duration_since(heard.monotonic))
    }

    /// Forgets every owner whose zone is not in `kept`.
    pub fn retain(&mut self, kept: &[ZoneName]) {
        self.heard.retain(|apex, _| kept.contains(apex));
    }

    /// What is to be written where ([`HoldFile::write`]), perhaps elsewhere: it waits for the disk.
    pub fn file(&self) -> HoldFile {
        let seconds = |at: &Moment| {
            at.wall
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        let line = |(apex, at): (&ZoneName, &Moment)| format!("{apex} {}\n", seconds(at));
        HoldFile {
            path: self.path.clone(),
            text: self.heard.iter().map(line).collect(),
        }
    }
}

/// What a [`Hold`] remembers.
#[derive(Debug)]
pub struct HoldFile {
    path: PathBuf,
    text: String,
}

impl HoldFile {
    /// Replaces the file.
    pub fn write(&self) -> io::Result<()> {
        disk::replace(&self.path, self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::disk::tests::Scratch;

    fn apex(n: u8) -> ZoneName {
        format!("org{n}.example").parse().unwrap()
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// The same in every call.
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

        /// After a restart: the monotonic clock begins anew.
        fn restarted_after(self, time: Duration) -> Moment {
            Moment {
                wall: self.wall + time,
                ..self
            }
        }
    }

    #[test]
    fn a_restart_does_not_restart_the_hold() {
        let scratch = Scratch::new();
        let path = scratch.path().join("heard");
        let mut hold = Hold::open(&path, start()).unwrap();
        assert_eq!(
            hold.silence(&apex(1), start().after(DAY)),
            Duration::ZERO,
            "never heard: from now on"
        );
        hold.hear(&apex(1), start());
        hold.hear(&apex(2), start().after(DAY));
        assert_eq!(hold.silence(&apex(1), start().after(3 * DAY)), 3 * DAY);
        hold.file().write().unwrap();
        let mut hold = Hold::open(&path, start().restarted_after(4 * DAY)).unwrap();
        let later = start().restarted_after(4 * DAY).after(DAY);
        assert_eq!(hold.silence(&apex(1), later), 5 * DAY);
        assert_eq!(hold.silence(&apex(2), later), 4 * DAY);
        hold.hear(&apex(1), later);
        assert_eq!(hold.silence(&apex(1), later.after(DAY)), DAY);
        hold.retain(&[apex(2)]);
        assert_eq!(hold.silence(&apex(1), later.after(DAY)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_young_and_one_set_forward_heals() {
        let scratch = Scratch::new();
        let mut hold = Hold::open(&scratch.path().join("heard"), start()).unwrap();
        hold.hear(&apex(1), start());
        let later = start().after(3 * DAY);
        let back = Moment {
            wall: start().wall - 100 * DAY,
            ..later
        };
        assert_eq!(hold.silence(&apex(1), back), 3 * DAY);
        let forward = Moment {
            wall: later.wall + 100 * DAY,
            ..later
        };
        assert_eq!(hold.silence(&apex(1), forward), 103 * DAY);
        assert_eq!(hold.silence(&apex(1), later), 3 * DAY);
    }

    #[test]
    fn a_file_from_the_future_or_of_nonsense_starts_from_now() {
        let scratch = Scratch::new();
        let path = scratch.path().join("heard");
        fs::write(
            &path,
            format!(
                "org1.example {}\nx\norg2.example y\norg3.example 0\n",
                u64::MAX / 4
            ),
        )
        .unwrap();
        let mut hold = Hold::open(&path, start()).unwrap();
        assert_eq!(hold.silence(&apex(1), start().after(DAY)), DAY);
        assert_eq!(hold.silence(&apex(2), start().after(DAY)), Duration::ZERO);
        assert_eq!(hold.silence(&apex(3), start()), 20_000 * DAY);
    }
}
