//! The server on loopback, queried by `dig` (BIND), `kdig` (Knot) and raw sockets, as resolvers do
//! and as hostile clients might.
//!
//! ```text
//!   127.0.0.1, 127.0.1.0/24, 127.0.9.1, ::1   in the ACL     ┐
//!   127.0.0.2                                 not in the ACL ┴──► 127.0.0.1 and ::1, a free port
//! ```

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod answers;
mod flood;
mod limits;
mod tcp;
mod test_server;
