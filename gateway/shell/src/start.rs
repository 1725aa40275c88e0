//! [`Start`]: what a gateway starts with.

use std::sync::Arc;
use std::time::Duration;

use ringway_config::{Config, Policy, Ruling};
use ringway_core::{BootId, Membership, Settings};

use crate::current::CurrentConfig;

/// The configuration, and all that the machine may not find out by itself: clocks and random
/// numbers.
pub struct Start {
    /// The configuration and the verdicts on it.
    pub current: CurrentConfig,
    /// What follows from them.
    pub membership: Arc<Membership>,
    /// How it follows: by [`membership`](crate::membership()). Tests replace it, to show that the
    /// mesh's checks are needed.
    pub derive: fn(&Config, &[Ruling]) -> Membership,
    /// The mesh's times and choices.
    pub settings: Settings,
    /// Random, and new at each start.
    pub boot: BootId,
    /// Any random number.
    pub seed: u64,
    /// Policies that were in force in former runs, the oldest first.
    pub former_policies: Vec<Policy>,
    /// Time since boot, suspension included.
    pub boot_time: Duration,
    /// Time since 1970, by the wall clock.
    pub wall_time: Duration,
}
