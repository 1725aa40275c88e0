//! What an earlier run allowed, as far as the next start must know it: that is, whether anything
//! was taken away since.
//!
//! Grace lets segments of unknown connections pass after a start. A connection that a rule had let
//! in must not get it once the rule is gone. The state directory keeps a digest of the rules that
//! were in force, and when they last changed. If they have changed, within the time that a
//! connection may idle, it is not known what was allowed before: then everything counts as allowed,
//! so that grace lets in nothing.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ringway_config::disk::{self, Access};
use ringway_config::{Config, Digest, Policy, Prefix};
use ringway_filter::TCP_IDLE;
use ringway_shell::everything;
use serde::{Deserialize, Serialize};

use crate::drive::wall_time;
use crate::state::StateFiles;

/// The rules that were in force last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    /// The digest of the rules.
    rules: String,
    /// When other rules were in force, seconds since 1970; `None`: never.
    changed: Option<u64>,
}

/// Remembers the rules of `policy` as those in force at `now`, in seconds since 1970. `own` are the
/// site's prefixes. Returns the policies before, for [`Start`](ringway_shell::Start). Error: the
/// file can be neither read nor written; what it says is heeded all the same. Blocks.
fn succeed(
    state_dir: &Path,
    policy: &Policy,
    own: &[Prefix],
    now: u64,
) -> (Vec<Policy>, io::Result<()>) {
    let rules = digest(policy).to_string();
    let remembered = match load(state_dir) {
        // A first start: there were no rules before, and no connections.
        Ok(None) => Remembered {
            rules,
            changed: None,
        },
        Ok(Some(before)) if before.rules == rules => before,
        Ok(Some(_)) | Err(_) => Remembered {
            rules,
            changed: Some(now),
        },
    };

    // A clock that was set back makes the change seem younger, which lets in less.
    let is_recent = remembered
        .changed
        .is_some_and(|changed| now < changed.saturating_add(TCP_IDLE.as_secs()));
    let former = if is_recent {
        vec![everything(policy, own)]
    } else {
        Vec::new()
    };
    (former, save(state_dir, &remembered))
}

/// Remembers the rules of `config` as those in force now, or keeps trying to. Returns the policies
/// before, for [`Start`](ringway_shell::Start). Blocks.
pub fn remember(config: Config, files: &StateFiles) -> Vec<Policy> {
    let (former, _) = of(&config);

    // The second time writes only what the first one could not.
    let loss = "the rules in force are not remembered for a restart";
    files.store("state policy", loss, move || Ok(of(&config).1?));
    former
}

fn of(config: &Config) -> (Vec<Policy>, io::Result<()>) {
    let own = config.own_prefixes().iter().map(|own| own.prefix);
    let own: Vec<_> = own.collect();

    succeed(
        &config.state_dir,
        &config.policy,
        &own,
        wall_time().as_secs(),
    )
}

fn load(state_dir: &Path) -> io::Result<Option<Remembered>> {
    match fs::read(path(state_dir)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn save(state_dir: &Path, remembered: &Remembered) -> io::Result<()> {
    // A full disk must not cost what is there already.
    if load(state_dir).is_ok_and(|stored| stored.as_ref() == Some(remembered)) {
        return Ok(());
    }

    let bytes = serde_json::to_vec(remembered)?;
    disk::replace(&path(state_dir), &bytes, Access::Everybody)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("policy.json")
}

/// Of what the rules allow, without where they are written.
fn digest(policy: &Policy) -> Digest {
    let mut text = format!("{:?}", policy.allow.is_some());

    for allow in policy.allow.iter().flatten() {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{:?} {:?} {:?};",
            allow.from, allow.to, allow.services
        );
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use ringway_config::{Allow, Origin, Place, PortRange, Service, Target};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    /// A directory that is removed with this value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Scratch {
            let name = format!("ringway-former-{test}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            fs::create_dir_all(&dir).unwrap();
            Scratch(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn policy(port: u16) -> Policy {
        let ports = vec![PortRange {
            first: port,
            last: port,
        }];
        let allow = Allow {
            from: vec![Origin::All],
            to: vec![Target::Prefix(site())],
            services: vec![Service::Tcp(ports)],
            place: Place::whole(Path::new("gateway.toml")),
        };

        Policy {
            allow: Some(vec![allow]),
            ..Policy::default()
        }
    }

    fn site() -> Prefix {
        "10.1.0.0/16".parse().unwrap()
    }

    /// True if a start with a rule for `port` at `now` has no policy before it that it knows
    /// nothing of.
    fn is_as_before(dir: &Path, port: u16, now: u64) -> bool {
        let (former, stored) = succeed(dir, &policy(port), &[site()], now);
        stored.unwrap();
        former.is_empty()
    }

    #[test]
    fn a_start_after_the_rules_changed_takes_everything_for_allowed_before() {
        let dir = Scratch::new("changed");
        let idle = TCP_IDLE.as_secs();
        assert!(is_as_before(&dir.0, 1, NOW), "a first start");
        assert!(is_as_before(&dir.0, 1, NOW + 10));

        // Changed by a restart or by a reload: the next restart has no grace either.
        assert!(!is_as_before(&dir.0, 2, NOW + 20));
        assert!(!is_as_before(&dir.0, 2, NOW + 30));
        assert!(!is_as_before(&dir.0, 2, NOW + 20 + idle - 1));
        assert!(is_as_before(&dir.0, 2, NOW + 20 + idle));
        assert!(!is_as_before(&dir.0, 2, NOW), "the clock was set back");
    }

    #[test]
    fn a_file_that_cannot_be_read_counts_as_other_rules() {
        let dir = Scratch::new("broken");
        fs::write(path(&dir.0), b"{").unwrap();
        assert!(!is_as_before(&dir.0, 1, NOW));
    }

    #[test]
    fn the_former_policy_allows_every_port_of_the_site() {
        let dir = Scratch::new("everything");
        is_as_before(&dir.0, 1, NOW);
        let (former, _) = succeed(&dir.0, &policy(2), &[site()], NOW);
        let [Policy { allow, .. }] = &former[..] else {
            panic!("{former:?}");
        };
        let allow = &allow.as_ref().unwrap()[0];
        assert_eq!(allow.to, [Target::Prefix(site())]);
        assert_eq!(allow.services, [Service::Tcp(Vec::new())]);
    }
}
