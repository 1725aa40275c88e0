//! The classes of situations. Each is a short course with random ends; the flows that earlier ones
//! left behind are still there.

mod errors;
mod fragments;
mod grace;
mod headers;
mod rules;
mod streams;
mod times;
mod whatever;

use crate::course::Course;

/// A class: its name, and one round of it.
pub(crate) type Class = (&'static str, fn(&mut Course));

/// Every class.
pub(crate) fn all() -> Vec<Class> {
    [
        streams::CLASSES,
        rules::CLASSES,
        grace::CLASSES,
        errors::CLASSES,
        fragments::CLASSES,
        headers::CLASSES,
        times::CLASSES,
        whatever::CLASSES,
    ]
    .concat()
}
