//! [`Report`]: the faults found so far, in all files. Reading goes on after a fault, so that every one is
//! told at once.

use std::cell::RefCell;

use crate::{Fault, Faults, Place};

/// A file from another organization must not flood the log: so many faults, ...
const MOST_FAULTS: usize = 1000;
/// ... and so many bytes of each, whatever it quotes.
const MOST_BYTES: usize = 1000;

/// Collects faults. Whoever reports one returns `None` for what cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Report(RefCell<Vec<Fault>>);

impl Report {
    /// Adds a fault: what is wrong, and after a semicolon the correct form.
    pub(crate) fn fault(&self, place: &Place, message: impl Into<String>) {
        let mut faults = self.0.borrow_mut();
        match faults.len() {
            0..MOST_FAULTS => faults.push(Fault {
                place: place.clone(),
                message: clip(message.into()),
            }),
            MOST_FAULTS => {
                let message = format!("more than {MOST_FAULTS} faults; mend these first");
                faults.push(Fault {
                    place: Place::whole(&place.file),
                    message,
                });
            }
            _ => {}
        }
    }

    /// Hands every fault over to `other`.
    pub(crate) fn move_to(self, other: &Report) {
        other.0.borrow_mut().extend(self.0.into_inner());
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

fn clip(mut message: String) -> String {
    if message.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES)
            .rev()
            .find(|&end| message.is_char_boundary(end));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}
