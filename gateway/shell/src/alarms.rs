//! [`Alarms`]: alarms of the mesh that stay on the list of what needs attention for as long as they
//! come again. The mesh repeats them, but never says that one is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_core::Alarm;
use ringway_intent::{Finding, Remedy};

/// Without a repetition for so long, it is over. The mesh repeats an alarm after a minute, once the
/// daemons in question have dialled again.
const QUIET: Duration = Duration::from_secs(600);

/// When each was last repeated, by the name of its finding. Names contain identities of members, so
/// that the records bound their number.
#[derive(Debug, Default)]
pub(crate) struct Alarms(BTreeMap<String, Instant>);

impl Alarms {
    /// What to list for `alarm`; `None` for those that the status shows in another place.
    pub(crate) fn note(&mut self, alarm: &Alarm, now: Instant) -> Option<Finding> {
        let finding = finding(alarm)?;

        // Each repetition puts the end off.
        self.0.insert(finding.name.clone(), now);
        Some(finding)
    }

    /// The names of those that are over. They are forgotten.
    pub(crate) fn over(&mut self, now: Instant) -> Vec<String> {
        let over = self.0.iter().filter(|(_, last)| **last + QUIET <= now);
        let over: Vec<String> = over.map(|(name, _)| name.clone()).collect();

        for name in &over {
            self.0.remove(name);
        }
        over
    }
}

/// What to do about one identity at two places.
fn apart(alarm: &Alarm) -> Remedy {
    let node = match alarm {
        Alarm::DuplicateIdentity { peer } => peer.name.node(),
        _ => None,
    };

    Remedy::ringway(match node {
        Some(node) => format!(
            "node remove {node}   # and ringway revoke key …, if its key is in wrong hands; else \
             stop one of the two: a machine that was copied is a node of its own"
        ),
        None => {
            "gateway add …   # a name and a key for a machine that was copied (attach init for \
                 a node); else stop one of the two"
                .to_owned()
        }
    })
}

fn finding(alarm: &Alarm) -> Option<Finding> {
    let (name, what) = match alarm {
        Alarm::DuplicateIdentity { peer } => (
            format!("identity {peer}"),
            format!("two daemons use the identity {peer}: its tunnel breaks again and again"),
        ),
        Alarm::OurIdentityElsewhere { peer } => (
            "identity ours".to_owned(),
            format!(
                "another daemon uses the identity of this gateway: {peer} has a session with it"
            ),
        ),
        Alarm::ClaimsRefused { .. } | Alarm::RefusedByPeer { .. } | Alarm::Malformed { .. } => {
            return None;
        }
    };

    Some(Finding {
        name,
        what,
        remedy: apart(alarm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_over_when_it_has_not_come_again() {
        let start = Instant::now();
        let peer: ringway_config::GatewayId = "gw.beta".parse().unwrap();
        let alarm = Alarm::DuplicateIdentity { peer };
        let mut alarms = Alarms::default();

        let name = alarms.note(&alarm, start).unwrap().name;
        assert_eq!(name, "identity gw.beta");
        alarms.note(&alarm, start + QUIET / 2);
        assert!(alarms.over(start + QUIET).is_empty());
        assert_eq!(alarms.over(start + QUIET * 3 / 2), [name]);
        assert!(alarms.over(start + QUIET * 2).is_empty());
    }
}
