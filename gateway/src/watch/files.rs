//! Watches the files that a reload reads, for `ringway run --watch`: an orchestrator that replaces
//! them does not run `ringway reload`.
//!
//! A change is reported once all files are unchanged for one interval, so that files written one
//! after the other are read together. The reload decides whether they are valid; a refused one is
//! not repeated until the next change. Files that a zone file includes are not watched.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_config::Config;
use ringway_identity::crl;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// State of each file, with symbolic links followed; `None` if it does not exist.
type Seen = Vec<(PathBuf, Option<Stamp>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Change time of the inode: unlike the modification time, a program cannot set it back.
    changed: Duration,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanoseconds = u64::try_from(metadata.ctime_nsec()).unwrap_or(0);

        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds),
        }
    }
}

/// Requests a reload after each change of the files of `config`, which was read after `begin`.
pub async fn watch(config: Arc<Config>, begin: SystemTime, reloads: mpsc::Sender<()>) {
    let (mut config, mut seen) = poll(config).await;
    // A file changed since `begin` may have been read before that change: report it.
    let mut reported = if is_younger(&seen, begin) {
        Seen::new()
    } else {
        seen.clone()
    };

    loop {
        sleep(POLL_INTERVAL).await;
        let (same, now) = poll(config).await;
        config = same;

        if now == seen && now != reported {
            tracing::info!("Files have changed");
            reported = now.clone();
            // The queue holds one request. If it is full, that reload will read this change too.
            _ = reloads.try_send(());
            config = reread(config).await;
        }
        seen = now;
    }
}

async fn poll(config: Arc<Config>) -> (Arc<Config>, Seen) {
    let polled = spawn_blocking(move || {
        let seen = seen(&config);
        (config, seen)
    });
    polled.await.expect("it does not panic")
}

/// Reads which files there are now. While gateway.toml is invalid, the previous set is watched.
async fn reread(config: Arc<Config>) -> Arc<Config> {
    let read = spawn_blocking(move || match Config::load(&config.path) {
        Ok(next) => Arc::new(next),
        Err(_) => config,
    });
    read.await.expect("the loader does not panic")
}

fn is_younger(seen: &Seen, begin: SystemTime) -> bool {
    let begin = begin.duration_since(UNIX_EPOCH).unwrap_or_default();
    // File systems store times with the resolution of the kernel's tick.
    let begin = begin.saturating_sub(Duration::from_millis(20));

    let mut stamps = seen.iter().filter_map(|(_, stamp)| *stamp);
    stamps.any(|stamp| stamp.changed >= begin)
}

fn seen(config: &Config) -> Seen {
    paths(config).into_iter().map(stamped).collect()
}

fn stamped(path: PathBuf) -> (PathBuf, Option<Stamp>) {
    let stamp = fs::metadata(&path).ok().as_ref().map(Stamp::of);

    (path, stamp)
}

/// Every file that a reload reads, and the members directory itself.
fn paths(config: &Config) -> Vec<PathBuf> {
    let record = &config.own.place.file;
    let mut paths = vec![
        config.path.clone(),
        record.to_path_buf(),
        crl::path_beside(record),
        config.members_dir.clone(),
    ];

    paths.extend(config.dns.zone_files.iter().map(|file| file.path.clone()));
    paths.extend(members(&config.members_dir));
    paths
}

/// The records and revocation lists in the members directory.
fn members(dir: &Path) -> Vec<PathBuf> {
    // If the directory is missing, the reload reports it.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut members: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("toml" | "crl"))
        })
        .collect();

    members.sort();
    members
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Names lead to `..data`, which leads to the directory of one version, as in Kubernetes
    /// volumes.
    #[test]
    fn a_version_of_a_directory_that_takes_the_place_of_another_is_seen() {
        let dir = std::env::temp_dir().join(format!("ringway-watch-{}", std::process::id()));
        for version in ["..1", "..2"] {
            fs::create_dir_all(dir.join(version)).unwrap();
            fs::write(dir.join(version).join("beta.member.toml"), "the same").unwrap();
        }
        symlink("..1", dir.join("..data")).unwrap();
        let record = dir.join("beta.member.toml");
        symlink("..data/beta.member.toml", &record).unwrap();

        let poll = || members(&dir).into_iter().map(stamped).collect::<Seen>();
        let before = poll();
        assert_eq!(before.len(), 1);
        assert_eq!(before, poll());
        symlink("..2", dir.join("..next")).unwrap();
        fs::rename(dir.join("..next"), dir.join("..data")).unwrap();
        let after = poll();
        assert_ne!(before, after);

        fs::remove_file(&record).unwrap();
        assert_eq!(poll(), []);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_changed_after_the_beginning_is_younger() {
        let begin = UNIX_EPOCH + Duration::from_secs(1000);

        for (seconds, younger) in [(999, false), (1000, true)] {
            let stamp = Stamp {
                device: 1,
                inode: 2,
                size: 3,
                changed: Duration::from_secs(seconds),
            };
            let seen = vec![("a".into(), Some(stamp)), ("b".into(), None)];
            assert_eq!(is_younger(&seen, begin), younger);
        }
    }
}
