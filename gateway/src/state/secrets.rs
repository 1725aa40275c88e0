//! [`SiblingSecrets`]: the secrets by which the gateways of this site prove to be alive, in
//! `<state-dir>/siblings`. While the site's network is cut, a gateway that starts gets no other
//! sign of its siblings than a proof through a peer.
//!
//! It has the form of a [`Ledger`]. The first line is `<starts> <our secret>`, followed by
//! `<gateway> <its secret>` for each sibling. If the file is missing, or other users may have read
//! it, the gateways exchange new secrets when they meet.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use ringway_config::disk::open_to_others;
use ringway_config::{GatewayId, Ledger, LedgerError};
use ringway_core::Secret;

/// The secrets, and the number of starts with our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiblingSecrets {
    own: Secret,
    starts: u32,
    siblings: BTreeMap<GatewayId, Secret>,
}

impl Ledger for SiblingSecrets {
    const FILE: &'static str = "siblings";
    const LOSS: &'static str = "this gateway and its siblings know each other again when they meet";

    fn lines(&self) -> String {
        let mut text = format!("{} {}\n", self.starts, HEXLOWER.encode(&self.own.0));

        for (gateway, secret) in &self.siblings {
            text.push_str(&format!("{gateway} {}\n", HEXLOWER.encode(&secret.0)));
        }
        text
    }

    fn parse(lines: &str) -> Option<SiblingSecrets> {
        let (first, rest) = lines.split_once('\n')?;
        let (starts, own) = first.split_once(' ')?;
        let mut secrets = SiblingSecrets {
            own: secret(own)?,
            starts: starts.parse().ok()?,
            siblings: BTreeMap::new(),
        };

        for line in rest.lines() {
            let (gateway, text) = line.split_once(' ')?;
            secrets
                .siblings
                .insert(gateway.parse().ok()?, secret(text)?);
        }
        Some(secrets)
    }
}

fn secret(text: &str) -> Option<Secret> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;

    Some(Secret(bytes.try_into().ok()?))
}

impl SiblingSecrets {
    /// Loads the secrets from the state directory `dir` and counts a start. Makes new ones, with
    /// `random` as ours, if they are missing, damaged or exposed. Blocks.
    pub fn load_or_make(dir: &Path, random: [u8; 32]) -> SiblingSecrets {
        let mut secrets = match SiblingSecrets::load(dir) {
            Ok(secrets) if secrets.starts > 0 && !is_exposed(dir) => secrets,
            loaded => {
                if let Some(reason) = refusal(&loaded) {
                    tracing::warn!(%reason, "The secrets of this site's gateways are replaced");
                }
                SiblingSecrets {
                    own: Secret(random),
                    ..SiblingSecrets::default()
                }
            }
        };

        secrets.starts = secrets.starts.saturating_add(1);
        secrets
    }

    /// Stores them in the state directory `dir`. Blocks.
    pub fn store(&self, dir: &Path) -> Result<(), LedgerError> {
        self.replace(dir)
    }

    /// Replaces the secrets of our siblings.
    pub fn set(&mut self, siblings: BTreeMap<GatewayId, Secret>) {
        self.siblings = siblings;
    }

    /// Our own secret.
    pub fn own(&self) -> Secret {
        self.own
    }

    /// Number of starts with our own secret, including this one.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// The secrets of our siblings.
    pub fn siblings(&self) -> &BTreeMap<GatewayId, Secret> {
        &self.siblings
    }
}

/// Why stored secrets are not used; `None` if there were none.
fn refusal(loaded: &Result<SiblingSecrets, LedgerError>) -> Option<String> {
    match loaded {
        Err(error) => Some(error.to_string()),
        Ok(secrets) if secrets.starts > 0 => Some("others may have read them".to_owned()),
        Ok(_) => None,
    }
}

/// True if other users can read the file: they may have copied it.
fn is_exposed(dir: &Path) -> bool {
    let metadata = dir.join(SiblingSecrets::FILE).metadata();

    metadata.is_ok_and(|metadata| open_to_others(&metadata).is_some())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_outlive_a_restart_unless_they_are_damaged_or_others_could_read_them() {
        let dir = std::env::temp_dir().join(format!("ringway-siblings-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let start = |random| SiblingSecrets::load_or_make(&dir, [random; 32]);
        let mut made = start(1);
        assert_eq!((made.own(), made.starts()), (Secret([1; 32]), 1));
        let sibling: GatewayId = "gw2.acme".parse().unwrap();
        made.set([(sibling, Secret([7; 32]))].into());
        made.store(&dir).unwrap();

        let kept = start(2);
        assert_eq!((kept.own(), kept.starts()), (Secret([1; 32]), 2));
        assert_eq!(kept.siblings(), made.siblings());

        let file = dir.join(SiblingSecrets::FILE);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let again = start(3);
        assert_eq!((again.own(), again.starts()), (Secret([3; 32]), 1));
        assert!(again.siblings().is_empty());

        again.store(&dir).unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for damaged in ["", "1 00\nend\n", "\u{0}"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(start(4).own(), Secret([4; 32]), "{damaged:?}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nothing_else_than_what_was_written_is_read() {
        let secret = "07".repeat(32);
        let good = format!("3 {secret}\ngw2.acme {secret}\n");
        let read = SiblingSecrets::parse(&good).unwrap();
        assert_eq!(read.lines(), good);

        for bad in [
            "".to_owned(),
            format!("3 {secret}"),
            format!("x {secret}\n"),
            format!("3 {}\n", "07".repeat(31)),
            format!("3 {secret}\ngw2.acme\n"),
            format!("3 {secret}\ngw2 {secret}\n"),
        ] {
            assert_eq!(SiblingSecrets::parse(&bad), None, "{bad:?}");
        }
    }
}
