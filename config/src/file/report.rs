//! [`Report`]: the faults found so far, in all files. Reading goes on after a fault, so that every one is
//! told at once.

use std::cell::RefCell;

use crate::{Fault, Faults, Place};

/// Collects faults. Whoever reports one returns `None` for what cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Report(RefCell<Vec<Fault>>);

impl Report {
    /// Adds a fault: what is wrong, and after a semicolon the correct form.
    pub(crate) fn fault(&self, place: &Place, message: impl Into<String>) {
        self.0.borrow_mut().push(Fault { place: place.clone(), message: message.into() });
    }

    /// How many faults were found.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// `value` if nothing was reported, else every fault in the order of the places.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<T, Faults> {
        match (value, self.0.into_inner()) {
            (Some(value), faults) if faults.is_empty() => Ok(value),
            (_, faults) => Err(Faults::from(faults)),
        }
    }
}
