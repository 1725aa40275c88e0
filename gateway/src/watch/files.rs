//! Watches the files that a reload reads, for `ringway run --watch`: where an orchestrator replaces
//! them, no operator is there to say `ringway reload`.
//!
//! A change counts once every file has been still for one look, so that files that are written one
//! after the other are read together. Whether they are right is the reload's to decide; a refused
//! one is not repeated before the next change. What a zone file includes is not looked at.

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

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The state of a file, whatever links lead to it; `None` if there is none.
type Seen = Vec<(PathBuf, Option<Stamp>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Of the inode: it moves forward whatever modification time a program gives the file.
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

/// Asks for a reload after each change of the files of `config`, which was read after `begin`.
pub async fn watch(config: Arc<Config>, begin: SystemTime, reloads: mpsc::Sender<()>) {
    let (mut config, mut seen) = look(config).await;
    // Whether one that is as young was read before it changed, is not known.
    let mut reported = if is_younger(&seen, begin) {
        Seen::new()
    } else {
        seen.clone()
    };

    loop {
        sleep(LOOK).await;
        let (same, now) = look(config).await;
        config = same;

        if now == seen && now != reported {
            tracing::info!("Files have changed");
            reported = now.clone();
            // While one waits, another says nothing new.
            _ = reloads.try_send(());
            config = read_again(config).await;
        }
        seen = now;
    }
}

async fn look(config: Arc<Config>) -> (Arc<Config>, Seen) {
    let looked = spawn_blocking(move || {
        let seen = seen(&config);
        (config, seen)
    });
    looked.await.expect("it does not panic")
}

/// The file may name others than before. While it is wrong, those of before are watched.
async fn read_again(config: Arc<Config>) -> Arc<Config> {
    let read = spawn_blocking(move || match Config::load(&config.path) {
        Ok(next) => Arc::new(next),
        Err(_) => config,
    });
    read.await.expect("the loader does not panic")
}

fn is_younger(seen: &Seen, begin: SystemTime) -> bool {
    let begin = begin.duration_since(UNIX_EPOCH).unwrap_or_default();
    // File systems keep times by the kernel's tick.
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
    // Without the directory there is none; the reload says so.
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

    /// Names lead to `..data`, which leads to the directory of one version, as in the volumes of
    /// Kubernetes.
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

        let look = || members(&dir).into_iter().map(stamped).collect::<Seen>();
        let before = look();
        assert_eq!(before.len(), 1);
        assert_eq!(before, look());
        symlink("..2", dir.join("..next")).unwrap();
        fs::rename(dir.join("..next"), dir.join("..data")).unwrap();
        let after = look();
        assert_ne!(before, after);

        fs::remove_file(&record).unwrap();
        assert_eq!(look(), []);
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
