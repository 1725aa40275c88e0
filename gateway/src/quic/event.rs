//! [`Event`]: what connections report. The drive turns events into inputs of the shell.

use quinn::Connection;
use ringway_config::{Digest, GatewayId};
use ringway_core::{ConnId, ConnectionError, DialError, DialId, Incoming};

/// One thing that happened to a connection or a dial.
#[derive(Debug)]
pub enum Event {
    /// A peer dialled, and the handshake is done.
    Accepted(Handshake),
    /// A dial of ours is through.
    Dialled {
        /// The dial.
        dial: DialId,
        /// The peer that was dialled.
        peer: GatewayId,
        /// The connection.
        handshake: Handshake,
    },
    /// A dial of ours came to nothing.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// The last attempt's failure, or the refusal of the peer's certificate.
        error: DialError,
    },
    /// A control message came.
    Message {
        /// The connection.
        conn: ConnId,
        /// The message, or why it could not be read.
        incoming: Incoming,
    },
    /// A connection ended.
    Disconnected {
        /// The connection.
        conn: ConnId,
        /// What either end, or the network, ended it with.
        error: ConnectionError,
    },
}

/// A completed handshake. Certificates were verified in it, by the trust in force when it began.
#[derive(Debug)]
pub struct Handshake {
    /// The connection.
    pub connection: Connection,
    /// The fingerprint of the certificate that we presented.
    pub certificate: Digest,
}
