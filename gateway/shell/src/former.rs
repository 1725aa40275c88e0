//! [`FormerPolicies`]: policies that were in force before. What they allowed and the present one
//! does not gets no grace: a connection that was let in under them must not pass for one of ours.

use std::path::Path;
use std::time::Instant;

use ringway_config::{Allow, Origin, Place, Policy, Prefix, Service, Target};
use ringway_filter::TCP_IDLE;

/// Policies that are kept. An operator who reloads more often within the time that a connection may
/// idle loses grace altogether.
const MOST: usize = 16;

/// The latest policies before the present one, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct FormerPolicies(Vec<(Policy, Instant)>);

impl FormerPolicies {
    /// The policies of a former run, which may have ended just now.
    pub(crate) fn new(policies: Vec<Policy>, now: Instant) -> FormerPolicies {
        FormerPolicies(policies.into_iter().map(|policy| (policy, now)).collect())
    }

    /// `policy` is no longer in force. `own` are the site's prefixes.
    pub(crate) fn note(&mut self, policy: Policy, own: &[Prefix], now: Instant) {
        self.0
            .retain(|(known, since)| *known != policy && now < *since + TCP_IDLE);

        if self.0.len() == MOST {
            // What is forgotten counts as everything, so that grace lets in nothing.
            self.0.clear();
            self.0.push((everything(&policy, own), now));
        }
        self.0.push((policy, now));
    }

    /// All of them.
    pub(crate) fn policies(&self) -> Vec<Policy> {
        self.0.iter().map(|(policy, _)| policy.clone()).collect()
    }
}

/// `policy`, but that it allows every TCP port of the site with the prefixes `own`: in the place of
/// a policy before of which nothing is known.
pub fn everything(policy: &Policy, own: &[Prefix]) -> Policy {
    let allow = Allow {
        from: vec![Origin::All],
        to: own.iter().copied().map(Target::Prefix).collect(),
        services: vec![Service::Tcp(Vec::new())],
        place: Place::whole(Path::new("policy.json")),
    };

    Policy {
        allow: Some(vec![allow]),
        ..policy.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringway_config::Egress;

    use super::*;

    /// Policies that differ.
    fn policy(number: u32) -> Policy {
        Policy {
            allow: Some(Vec::new()),
            flows: number,
            ..Policy::default()
        }
    }

    fn own() -> [Prefix; 1] {
        ["10.1.0.0/16".parse().unwrap()]
    }

    #[test]
    fn a_policy_is_kept_once_and_as_long_as_a_connection_may_idle() {
        let start = Instant::now();
        let mut former = FormerPolicies::new(vec![policy(1)], start);
        former.note(policy(2), &own(), start);
        former.note(policy(1), &own(), start + Duration::from_secs(1));
        assert_eq!(former.policies(), [policy(2), policy(1)]);
        former.note(policy(3), &own(), start + TCP_IDLE);
        assert_eq!(former.policies(), [policy(1), policy(3)]);
    }

    #[test]
    fn what_too_many_reloads_push_out_counts_as_everything() {
        let start = Instant::now();
        let mut former = FormerPolicies::default();
        for number in 0..100 {
            former.note(policy(number), &own(), start);
            assert!(former.policies().len() <= MOST);
        }
        let last = policy(99);
        let allowed = |policy: &Policy| policy.allow.iter().flatten().count();
        assert_eq!(former.policies().last(), Some(&last));
        assert_eq!(former.policies().iter().map(allowed).sum::<usize>(), 1);
        assert_eq!(last.egress, Egress::All);
    }
}
