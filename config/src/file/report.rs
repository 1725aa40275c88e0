//! [`Report`]: the faults found so far, in all files.

use std::cell::RefCell;
use std::path::Path;

use crate::{Edits, Fault, Faults, Place};

/// Faults that are kept. Another organization's record must not flood the log.
const MOST_FAULTS: usize = 1000;
/// Bytes of a message that are kept. It may quote the file.
const MOST_BYTES: usize = 1000;

/// Collects faults, so that reading can go on after each.
///
/// By convention a reader reports a fault and returns `None` for the value that cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Report {
    faults: RefCell<Vec<Fault>>,
    /// What needs attention, and does not keep the files from being used.
    notes: RefCell<Vec<Fault>>,
    /// Texts that are read in the place of files.
    edits: Edits,
}

impl Report {
    /// Nothing yet, of files of which some are to be replaced by `edits`.
    pub(crate) fn of_edits(edits: &Edits) -> Report {
        Report {
            edits: edits.clone(),
            ..Report::default()
        }
    }

    /// The text that is to replace the file `path`.
    pub(crate) fn edited(&self, path: &Path) -> Option<&String> {
        self.edits.text(path)
    }

    /// For each line of that text, the line of the file that it is.
    pub(crate) fn written_lines(&self, path: &Path) -> Option<Vec<Option<u32>>> {
        self.edits.lines(path)
    }

    /// Adds a fault: what is wrong, and after a semicolon the correct form.
    pub(crate) fn fault(&self, place: &Place, message: impl Into<String>) {
        add(&mut self.faults.borrow_mut(), place, message.into());
    }

    /// Adds what needs attention, in the form of a fault.
    pub(crate) fn note(&self, place: &Place, message: impl Into<String>) {
        add(&mut self.notes.borrow_mut(), place, message.into());
    }

    /// The notes so far, in the order of the places.
    pub(crate) fn notes(&self) -> Faults {
        Faults::from(self.notes.borrow().clone())
    }

    /// Adds every fault to `other`.
    pub(crate) fn move_to(self, other: &Report) {
        other.faults.borrow_mut().extend(self.faults.into_inner());
    }

    /// How many faults were found.
    pub(crate) fn len(&self) -> usize {
        self.faults.borrow().len()
    }

    /// True if more faults would not be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.len() > MOST_FAULTS
    }

    /// `value` if no fault was reported, else every fault and note in the order of the places.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<T, Faults> {
        // A value may come with faults: the reader of a list leaves out what it refuses.
        let mut faults = self.faults.into_inner();
        if let Some(value) = value
            && faults.is_empty()
        {
            return Ok(value);
        }

        faults.extend(self.notes.into_inner());
        Err(Faults::from(faults))
    }
}

fn add(faults: &mut Vec<Fault>, place: &Place, message: String) {
    match faults.len() {
        0..MOST_FAULTS => faults.push(Fault {
            place: place.clone(),
            message: clip(message),
        }),
        // The rest is only announced: a hostile record must not fill memory or terminal.
        MOST_FAULTS => faults.push(Fault {
            place: Place::whole(&place.file),
            message: format!("more than {MOST_FAULTS} faults; correct these first"),
        }),
        _ => {}
    }
}

fn clip(mut message: String) -> String {
    if message.len() > MOST_BYTES {
        // Not in the middle of a character.
        let mut end = MOST_BYTES;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }

    message
}
