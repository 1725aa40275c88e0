//! The command line as its users meet it: the real binary, its files, texts and exit codes.
//!
//! [`workspace`] is a directory to work in. Address ranges are chosen so that test hosts are
//! unlikely to use them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod attach;
mod cert;
mod cert_keys;
mod changes;
mod check;
mod config_file;
mod dns;
mod gather;
mod handbook;
mod help;
mod hostile;
mod init;
mod json;
mod lab;
mod line_ends;
mod lists;
mod member;
mod node_rules;
mod own_record;
mod plan;
mod policy;
mod recipe;
mod recipe_chaincode;
mod recipe_ipsec;
mod record;
mod takeover;
mod terminal;
mod unwritten;
mod via;
mod workspace;
