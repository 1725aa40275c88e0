//! The prefixes that gateways have offered to this attached node, kept in `<state-dir>/offers`, so
//! that after a restart nothing leaves by another way before a gateway is reached.
//!
//! A line for each prefix, `<gateway> <prefix>`; the file is replaced atomically.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::disk::{self, Access};
use crate::{GatewayName, Prefix, limits, reading};

/// What each gateway has offered last.
pub type Offers = BTreeMap<GatewayName, BTreeSet<Prefix>>;

/// Why the offers could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum OffersError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line is not `<gateway> <prefix>`.
    #[error("{path}:{line}:1: not a line `<gateway> <prefix>`; remove the file")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file cannot be replaced.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Where they are kept.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("offers")
}

/// The offers kept in `state_dir`; none if the file does not exist yet.
pub fn load(state_dir: &Path) -> Result<Offers, OffersError> {
    let path = path(state_dir);
    let text = match reading::open(&path).and_then(io::read_to_string) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Offers::new()),
        Err(source) => return Err(OffersError::Read { path, source }),
        Ok(text) => text,
    };

    let mut offers = Offers::new();
    for (line, text) in (1..).zip(text.lines()).take(limits::ALL_PREFIXES) {
        let Some((gateway, prefix)) = read_line(text) else {
            return Err(OffersError::Broken { path, line });
        };
        offers.entry(gateway).or_default().insert(prefix);
    }
    Ok(offers)
}

fn read_line(line: &str) -> Option<(GatewayName, Prefix)> {
    let (gateway, prefix) = line.split_once(' ')?;

    Some((gateway.parse().ok()?, prefix.parse().ok()?))
}

/// Replaces the offers kept in `state_dir`. Atomic: a crash leaves the old or the new file.
pub fn save(state_dir: &Path, offers: &Offers) -> Result<(), OffersError> {
    let path = path(state_dir);
    let lines = offers.iter().flat_map(|(gateway, prefixes)| {
        prefixes
            .iter()
            .map(move |prefix| format!("{gateway} {prefix}\n"))
    });
    let text: String = lines.collect();

    disk::replace(&path, text.as_bytes(), Access::Owner)
        .map_err(|source| OffersError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn offers_are_read_back_and_a_broken_line_is_named() {
        let dir = std::env::temp_dir().join(format!("ringway-offers-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(load(&dir).unwrap(), Offers::new());

        let prefixes = ["10.2.0.0/16", "fd00:2::/48"].map(|text| text.parse().unwrap());
        let offers: Offers = [("gw1".parse().unwrap(), BTreeSet::from(prefixes))].into();
        save(&dir, &offers).unwrap();
        assert_eq!(load(&dir).unwrap(), offers);

        fs::write(path(&dir), "gw1 10.2.0.0/16\ngw1\n").unwrap();
        let error = load(&dir).unwrap_err().to_string();
        fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains("offers:2:1: not a line"), "{error}");
    }
}
