//! [`State`]: how the daemon is, for its service manager.

use std::time::Instant;

/// What the daemon does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It comes up, or waits for what it needs.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// It ends.
    Stopping,
}

/// See the head of this file.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// One line.
    pub(super) status: String,
    /// Reloads that have begun. A count, since one may begin and end between two looks.
    pub(super) reloads: u64,
    pub(super) is_reloading: bool,
    /// How often the start has asked for more time.
    pub(super) extensions: u64,
    /// When the loop last turned.
    pub(super) beat: Instant,
}

impl State {
    pub(super) fn new(now: Instant) -> State {
        State {
            phase: Phase::Starting,
            status: String::new(),
            reloads: 0,
            is_reloading: false,
            extensions: 0,
            beat: now,
        }
    }
}
