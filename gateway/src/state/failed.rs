//! [`FailedAddresses`]: checked addresses that have failed, in `<state-dir>/failed-addresses`.
//! After a start the gateway leaves them out of our names until a check succeeds, as before.
//!
//! It has the form of a [`Ledger`], but is not security-relevant: if it is missing or damaged,
//! every address counts as good until its checks fail. A line for each address: `<seconds since
//! 1970> <address> <name>`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_config::{Ledger, LedgerError, limits};

/// When each address has failed, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAddresses(BTreeMap<(String, IpAddr), u64>);

impl Ledger for FailedAddresses {
    const FILE: &'static str = "failed-addresses";
    const LOSS: &'static str = "it is not known which addresses had failed their checks: each is \
                                answered until it has failed again";

    fn lines(&self) -> String {
        let mut text = String::new();

        for ((name, address), seconds) in &self.0 {
            text.push_str(&format!("{seconds} {address} {name}\n"));
        }
        text
    }

    fn parse(lines: &str) -> Option<FailedAddresses> {
        let mut failed = FailedAddresses::default();

        for line in lines.lines() {
            // The name is the rest of the line, whatever it contains.
            let mut words = line.splitn(3, ' ');
            let seconds = words.next()?.parse().ok()?;
            let address = words.next()?.parse().ok()?;
            let name = words.next()?.to_owned();
            failed.0.insert((name, address), seconds);
        }
        (failed.0.len() <= limits::CHECKED_ADDRESSES).then_some(failed)
    }
}

impl FailedAddresses {
    /// Reads the file in `state_dir`; empty if it cannot be read. Blocks.
    pub fn read(state_dir: &Path) -> FailedAddresses {
        FailedAddresses::load(state_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "Failed addresses are not known");
            FailedAddresses::default()
        })
    }

    /// Replaces the file in `state_dir`. Blocks.
    pub fn store(&self, state_dir: &Path) -> Result<(), LedgerError> {
        // Do not write without a change: a full disk does not matter then.
        if FailedAddresses::load(state_dir).is_ok_and(|stored| stored == *self) {
            return Ok(());
        }

        self.replace(state_dir)
    }

    /// Adds `address` of `name`, which failed at `since`.
    pub fn insert(&mut self, name: &str, address: IpAddr, since: SystemTime) {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();

        self.0.insert((name.to_owned(), address), since.as_secs());
    }

    /// When `address` of `name` failed; `None` if it is good.
    pub fn since(&self, name: &str, address: IpAddr) -> Option<SystemTime> {
        let seconds = *self.0.get(&(name.to_owned(), address))?;
        let now = SystemTime::now();
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));

        // The clock may have been wrong at that time.
        Some(since.unwrap_or(now).min(now))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    const NAME: &str = "peer0.acme.example";

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ringway-failed-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 1, 0, last])
    }

    fn failed(count: u64) -> FailedAddresses {
        let addresses = (0..count).map(|number| {
            let name = format!("peer{number}.acme.example");
            ((name, address(11)), number)
        });
        FailedAddresses(addresses.collect())
    }

    #[test]
    fn what_was_stored_is_read_by_the_owner_alone() {
        let dir = scratch("stored");
        let begin = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut stored = FailedAddresses::default();
        stored.insert(NAME, address(11), begin);
        stored.insert(NAME, "fd00::11".parse().unwrap(), SystemTime::now());
        stored.store(&dir).unwrap();

        let read = FailedAddresses::read(&dir);
        let mode = dir.join(FailedAddresses::FILE).metadata().unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(read, stored);
        assert_eq!(read.since(NAME, address(11)), Some(begin));
        assert_eq!(read.since(NAME, address(12)), None);
        assert_eq!(read.since("peer1.acme.example", address(11)), None);

        FailedAddresses::default().store(&dir).unwrap();
        assert_eq!(FailedAddresses::read(&dir), FailedAddresses::default());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_is_damaged_or_too_long_says_that_nothing_has_failed() {
        let dir = scratch("damaged");
        let most = limits::CHECKED_ADDRESSES as u64;
        failed(most).store(&dir).unwrap();
        assert_eq!(FailedAddresses::read(&dir), failed(most));
        failed(most + 1).replace(&dir).unwrap();
        assert_eq!(FailedAddresses::read(&dir), FailedAddresses::default());

        let file = dir.join(FailedAddresses::FILE);
        for damaged in ["", "1 10.1.0.11 peer0.acme.example\n", "\u{0}\n"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(FailedAddresses::read(&dir), FailedAddresses::default());
        }
        for lines in ["1 10.1.0.11\n", "x 10.1.0.11 a\n", "1 10.1.0 a\n", "\n"] {
            assert_eq!(FailedAddresses::parse(lines), None, "{lines:?}");
        }

        // The next results replace it.
        failed(1).store(&dir).unwrap();
        assert_eq!(FailedAddresses::read(&dir), failed(1));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nothing_has_failed_since_a_time_to_come() {
        let mut failed = FailedAddresses::default();
        failed.insert(
            NAME,
            address(11),
            SystemTime::now() + Duration::from_secs(3600),
        );
        assert!(failed.since(NAME, address(11)).unwrap() <= SystemTime::now());
    }
}
