//! The keys of a direction: those of the phase in use and of its neighbours.
//!
//! ```text
//!   previous ── current ── next ── secret of the phase after that
//!              advanced(): each moves one place to the left
//! ```
//! Immutable: whoever advances puts a new value in place of the old. The next key is made ahead, so that
//! a packet of a phase that never was costs its receiver no derivation.

use std::sync::Arc;

use crate::keys::{Aead, Key, Secret};

pub(super) struct Phases {
    aead: Aead,
    number: u8,
    previous: Option<Arc<Key>>,
    current: Arc<Key>,
    next: Arc<Key>,
    after_next: Secret,
}

impl Phases {
    /// Phase 0, from the exporter's secret.
    pub(super) fn new(aead: Aead, secret: &Secret) -> Phases {
        let next = secret.next();
        Phases {
            aead,
            number: 0,
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

    /// The key of `phase`, if it is held.
    pub(super) fn key(&self, phase: u8) -> Option<&Key> {
        match i16::from(phase) - i16::from(self.number) {
            -1 => self.previous.as_deref(),
            0 => Some(&self.current),
            1 => Some(&self.next),
            _ => None,
        }
    }

    /// One phase on. Only below phase 255: packet numbers end before.
    pub(super) fn advanced(&self) -> Phases {
        Phases {
            aead: self.aead,
            number: self.number.saturating_add(1),
            previous: Some(self.current.clone()),
            current: self.next.clone(),
            next: Arc::new(self.after_next.key(self.aead)),
            after_next: self.after_next.next(),
        }
    }
}
