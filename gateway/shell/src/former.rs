//! [`FormerPolicies`]: policies that were in force before. What they allowed and the present one
//! does not gets no grace: a connection that was let in under them must not pass for one of ours.

use std::time::Instant;

use ringway_config::Policy;
use ringway_filter::TCP_IDLE;

/// Policies that are kept. An operator who reloads more often loses the grace for the oldest first,
/// which only lets in less.
const MOST: usize = 16;

/// The latest policies before the present one, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct FormerPolicies(Vec<(Policy, Instant)>);

impl FormerPolicies {
    /// The policies of a former run, which may have ended just now.
    pub(crate) fn new(policies: Vec<Policy>, now: Instant) -> FormerPolicies {
        FormerPolicies(policies.into_iter().map(|policy| (policy, now)).collect())
    }

    /// `policy` is no longer in force.
    pub(crate) fn note(&mut self, policy: Policy, now: Instant) {
        self.0
            .retain(|(known, since)| *known != policy && now < *since + TCP_IDLE);
        if self.0.len() == MOST {
            self.0.remove(0);
        }

        self.0.push((policy, now));
    }

    /// All of them.
    pub(crate) fn policies(&self) -> Vec<Policy> {
        self.0.iter().map(|(policy, _)| policy.clone()).collect()
    }
}
