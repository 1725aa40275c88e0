//! The keys of a direction: those of the phase in use and of its neighbours.
//!
//! ```text
//!   previous ── current ── next ── secret of the phase after that
//!              advanced(): each moves one place to the left
//! ```
//! Immutable: to advance is to swap in a new value. The next key is derived ahead, so that a packet
//! of a phase that was never reached costs its receiver no derivation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::keys::{Aead, Key, Secret};

/// How long the key of the previous phase is held. No packet stays in the network for longer.
pub(super) const KEPT: Duration = Duration::from_secs(10);

/// The keys, and which phase they are of.
pub(super) struct Phases {
    aead: Aead,
    /// Packet numbers of one phase.
    len: u64,
    number: u8,
    /// When the phase in use began.
    since: Instant,
    previous: Option<Arc<Key>>,
    current: Arc<Key>,
    next: Arc<Key>,
    after_next: Secret,
}

impl Phases {
    /// Phase 0, from the exporter's secret. Each phase has `len` packet numbers.
    pub(super) fn new(aead: Aead, secret: &Secret, len: u64) -> Phases {
        // Each secret follows from the one before by a one-way function: a key that leaks opens no
        // earlier phase.
        let next = secret.next();

        Phases {
            aead,
            len,
            number: 0,
            since: Instant::now(),
            previous: None,
            current: Arc::new(secret.key(aead)),
            next: Arc::new(next.key(aead)),
            after_next: next.next(),
        }
    }

    /// The phase in use.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// The phase a packet number belongs to; `None` beyond the last.
    pub(super) fn of(&self, number: u64) -> Option<u8> {
        u8::try_from(number / self.len).ok()
    }

    /// The key of `phase`, if it is held.
    pub(super) fn key(&self, phase: u8) -> Option<&Key> {
        // A neighbour's packets may overtake, or be overtaken by, those of the phase in use.
        match i16::from(phase) - i16::from(self.number) {
            -1 => self.previous.as_deref(),
            0 => Some(&self.current),
            1 => Some(&self.next),
            _ => None,
        }
    }

    /// The keys of the phase that follows. After phase 255 there are no packet numbers that would
    /// ask for it.
    pub(super) fn advanced(&self) -> Phases {
        Phases {
            aead: self.aead,
            len: self.len,
            number: self.number.saturating_add(1),
            since: Instant::now(),
            previous: Some(self.current.clone()),
            current: self.next.clone(),
            next: Arc::new(self.after_next.key(self.aead)),
            after_next: self.after_next.next(),
        }
    }

    /// The keys without the previous one, if that has been held for long enough; `None` if nothing
    /// changes.
    fn without_previous(&self, now: Instant) -> Option<Phases> {
        let previous_is_over =
            self.previous.is_some() && now.saturating_duration_since(self.since) >= KEPT;

        previous_is_over.then(|| Phases {
            aead: self.aead,
            len: self.len,
            number: self.number,
            since: self.since,
            previous: None,
            current: self.current.clone(),
            next: self.next.clone(),
            after_next: self.after_next.copy(),
        })
    }
}

/// Advances to `phase`, the next. Several threads may: all derive the same keys, and the first swap
/// stays.
pub(super) fn advance_to(phases: &ArcSwap<Phases>, phase: u8) {
    phases.rcu(|phases| {
        if phases.number() < phase {
            Arc::new(phases.advanced())
        } else {
            phases.clone()
        }
    });
}

/// Drops the previous phase's key once it has been held for [`KEPT`]. Any thread may.
pub(super) fn expire_previous(phases: &ArcSwap<Phases>, now: Instant) {
    let held = phases.load();
    if let Some(without) = held.without_previous(now) {
        // If another thread advances at the same time, its keys stay.
        phases.compare_and_swap(&held, Arc::new(without));
    }
}
