//! [`Event`]: what connections report. The drive turns events into inputs of the shell.

use quinn::Connection;
use ringway_config::{Digest, GatewayId};
use ringway_core::{ConnId, ConnectionError, DialError, DialId, Incoming};

/// An event of a connection or a dial.
#[derive(Debug)]
pub enum Event {
    /// A peer dialled us, and the handshake is complete.
    Accepted(Handshake),
    /// A dial of ours has succeeded.
    Dialled {
        /// The dial.
        dial: DialId,
        /// The peer that was dialled.
        peer: GatewayId,
        /// The connection.
        handshake: Handshake,
    },
    /// A dial of ours has failed.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// The last attempt's failure, or the refusal of the peer's certificate.
        error: DialError,
    },
    /// A control message has arrived.
    Message {
        /// The connection.
        conn: ConnId,
        /// The message, or the error that prevented decoding it.
        incoming: Incoming,
    },
    /// A connection ended.
    Disconnected {
        /// The connection.
        conn: ConnId,
        /// Why it ended.
        error: ConnectionError,
    },
}

/// A completed handshake, whose certificates were verified by the trust in force at its start.
#[derive(Debug)]
pub struct Handshake {
    /// The connection.
    pub connection: Connection,
    /// Fingerprint of our certificate.
    pub certificate: Digest,
}
