//! Stores what was allowed in the last hours, for the next start: a connection that a rule had
//! admitted must not pass as one of ours after the rule is gone.
//!
//! The state directory has the rules in force, in addresses, and those that ended within the time
//! that a connection may idle. After a start, a rule that ended gets no grace, and no answer to its
//! connections opens a flow of ours; all other rules have both. If the file cannot be read, or
//! would be too large, everything counts as allowed before.

mod stored;

use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ringway_config::disk::{self, Access};
use ringway_config::{Allow, Config, Policy, PortRange, Prefix, Service, reading};
use ringway_filter::{Rules, RulesSpec, TCP_IDLE};
use ringway_shell::everything;

use self::stored::{Remembered, StoredRule};
use crate::drive::wall_time;
use crate::state::StateFiles;

/// Maximum size of the file, bytes.
const LONGEST: usize = 1 << 20;

/// The last port that no host of ours uses as a client, with Linux' default settings.
const LAST_SERVICE_PORT: u16 = 32767;

/// The consequence, in the finding, when the rules cannot be stored.
const LOSS: &str = "the rules in force are not remembered for a restart";

/// The file with the rules of the running gateway.
pub struct RulesFile {
    state_dir: PathBuf,
    files: Arc<StateFiles>,
    /// Jobs may overtake each other: each stores the latest rules.
    latest: Arc<ArcSwapOption<Rules>>,
}

impl RulesFile {
    /// The file in the state directory `state_dir`.
    pub fn new(state_dir: PathBuf, files: Arc<StateFiles>) -> RulesFile {
        RulesFile {
            state_dir,
            files,
            latest: Arc::default(),
        }
    }

    /// Sets the rules in force. Returns a job that stores them and blocks.
    pub fn set_rules(&self, rules: Arc<Rules>) -> impl FnOnce() + Send + use<> {
        self.latest.store(Some(rules));

        let latest = self.latest.clone();
        let state_dir = self.state_dir.clone();
        let files = self.files.clone();
        move || {
            files.store("state policy", LOSS, move || {
                let latest = latest.load();
                let spec = latest.as_ref().map(|rules| rules.spec());
                spec.map_or(Ok(()), |spec| {
                    Ok(replace_stored(&state_dir, spec, seconds()).1?)
                })
            });
        }
    }
}

/// Stores the rules of `spec` as in force now, or retries later. Returns what was allowed before
/// and is no longer, for [`Start`](ringway_shell::Start). Blocks.
pub fn remember(config: &Config, spec: RulesSpec, files: &StateFiles) -> Vec<Policy> {
    let state_dir = config.state_dir.clone();
    let (former, _) = replace_stored(&state_dir, &spec, seconds());

    // The second run writes only what the first could not.
    files.store("state policy", LOSS, move || {
        Ok(replace_stored(&state_dir, &spec, seconds()).1?)
    });
    former
}

fn seconds() -> u64 {
    wall_time().as_secs()
}

/// Stores the rules of `spec` as in force at `now`, in seconds since 1970. Returns what was allowed
/// before, even if the file cannot be written. Blocks.
fn replace_stored(state_dir: &Path, spec: &RulesSpec, now: u64) -> (Vec<Policy>, io::Result<()>) {
    let before = load(state_dir);
    let remembered = match &before {
        // A first start: there were no rules and no connections before.
        Ok(None) => Remembered::default(),
        Ok(Some(before)) => before.clone(),
        Err(_) => Remembered::ended(&unknown(spec), now),
    };

    let remembered = next_content(remembered, spec, now);
    let former = Policy {
        allow: Some(remembered.former()),
        ..Policy::default()
    };
    let has_former = former.allow.as_ref().is_some_and(|allow| !allow.is_empty());

    // If nothing has changed, do not write: a full disk must not destroy the file.
    let is_stored = before.is_ok_and(|before| before.as_ref() == Some(&remembered));
    let stored = if is_stored {
        Ok(())
    } else {
        save(state_dir, &remembered)
    };
    (has_former.then_some(former).into_iter().collect(), stored)
}

/// The new content of the file, once the rules of `spec` have come into force at `now`.
fn next_content(before: Remembered, spec: &RulesSpec, now: u64) -> Remembered {
    let mut current: Vec<StoredRule> = spec.meaning().iter().map(StoredRule::of).collect();
    // Half of the file is reserved for rules that have ended.
    if Remembered::new(current.clone()).len() > LONGEST / 2 {
        current = unknown(spec).iter().map(StoredRule::of).collect();
    }

    let mut remembered = before;
    remembered.set_current(current, now, TCP_IDLE.as_secs());
    // If it is still too large, everything counts as allowed before, so grace admits nothing.
    if remembered.len() > LONGEST {
        remembered.replace_former(&unknown(spec), now);
    }
    remembered
}

/// Stands for unknown former rules. UDP has no opening packet that identifies our own host's flows,
/// but answers come from a service's port.
fn unknown(spec: &RulesSpec) -> Vec<Allow> {
    let own: &[Prefix] = &spec.own;
    if own.is_empty() {
        return Vec::new();
    }

    let services = Service::Udp(vec![PortRange {
        first: 1,
        last: LAST_SERVICE_PORT,
    }]);
    let mut allow = everything(&spec.policy, own).allow.unwrap_or_default();
    for rule in &mut allow {
        rule.services.push(services.clone());
    }
    allow
}

fn load(state_dir: &Path) -> io::Result<Option<Remembered>> {
    let file = match reading::open(&path(state_dir)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };

    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

fn save(state_dir: &Path, remembered: &Remembered) -> io::Result<()> {
    let bytes = serde_json::to_vec(remembered)?;
    disk::replace(&path(state_dir), &bytes, Access::Owner)
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("policy.json")
}

#[cfg(test)]
mod tests;
