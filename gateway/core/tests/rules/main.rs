//! The rules of the protocol, one by one: a single mesh whose peers are played by hand (`bench`).

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up has failed"
)]

mod attach;
mod bad_peers;
mod bench;
mod claims;
mod dialling;
mod membership;
mod sessions;
mod siblings;
mod sites;
