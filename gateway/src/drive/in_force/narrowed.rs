//! [`Narrowed`]: the configuration after a refused reload. What the files take away comes into
//! force although the rest of them does not.

use std::collections::BTreeSet;

use ringway_config::{Config, Ledger as _, Newest, Survey, meet};
use ringway_identity::Trust;

/// The configuration after a refused reload: what it takes away from the one in force.
#[derive(Debug)]
pub struct Narrowed {
    pub(super) config: Config,
    pub(super) trust: Option<Box<Trust>>,
    /// Revocation lists that come into force with it.
    pub(super) lists: Vec<String>,
    /// The newest records, including those that take something away.
    pub(super) newest: Newest,
}

/// What both `current` and the files allow, with the certificates to accept then.
pub(super) fn narrow(current: &Config, in_force: &Trust, newest: Option<Newest>) -> Narrowed {
    let mut survey = Survey::read(&current.path, Some(current));
    let mut newest = newest.unwrap_or_default();
    newest.follow(current);
    // Records that the command line stored count too: a command may have removed the last member.
    if let Ok(stored) = Newest::load(&current.state_dir) {
        newest.heed_removals(&stored);
    }
    survey.doubt_emptiness(&current.own.org, &newest);

    let config = meet(current, &survey);
    // What these records take away must not come back with an older copy.
    for record in &survey.records {
        if current.record(&record.org).is_some() && newest.judge(record).is_none() {
            newest.accept(record);
        }
    }
    match Trust::narrowed(&config, in_force) {
        Ok(trust) => Narrowed {
            lists: new_lists(in_force, &trust),
            config,
            trust: Some(Box::new(trust)),
            newest,
        },
        // The certificates could not be read. Those in force were verified before, so use them.
        Err(faults) => {
            tracing::error!(reason = %faults, "What the files take away cannot be put in force");
            Narrowed {
                config: current.clone(),
                trust: None,
                lists: Vec::new(),
                newest,
            }
        }
    }
}

/// The lists that are in `trust` but not in `before`, for an operator.
pub(super) fn new_lists(before: &Trust, trust: &Trust) -> Vec<String> {
    let known: BTreeSet<_> = before.lists().map(|(_, list)| list.digest).collect();

    trust
        .lists()
        .filter(|(_, list)| !known.contains(&list.digest))
        .map(|(org, list)| {
            format!(
                "{org}: revocation list {} of {}, which revokes {}",
                list.number,
                list.issuer,
                list.revoked.len()
            )
        })
        .collect()
}
