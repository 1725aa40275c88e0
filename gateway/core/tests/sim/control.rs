//! Positive controls.
