//! The command line as its users meet it: the real binary, its files, texts and exit codes.
//!
//! [`desk`] is a directory to work in. Ranges are chosen so that no test host is likely to have them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod check;
mod desk;
mod dns;
mod help;
mod hostile;
mod init;
mod lab;
mod member;
