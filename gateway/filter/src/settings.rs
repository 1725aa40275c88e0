//! [`Settings`]: the sizes and times of a filter, which a reload may change.

use std::time::Duration;

use ringway_config::Policy;

/// What of `[policy]` is not a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most flows of each kind (ours, theirs) that are remembered.
    pub flows: u32,
    /// How long flows of before are let through after a start or a takeover.
    pub grace: Duration,
    /// The first port of our hosts that grace is about.
    pub grace_port: u16,
}

impl Settings {
    /// The settings in `policy`.
    pub fn of(policy: &Policy) -> Settings {
        Settings {
            flows: policy.flows,
            grace: policy.grace,
            grace_port: policy.grace_port,
        }
    }
}
