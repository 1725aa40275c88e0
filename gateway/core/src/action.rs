//! [`Action`]: what the mesh wants done. The shell does it in order and decides nothing.

use ringway_config::{Endpoint, GatewayId};

use crate::alarm::Alarm;
use crate::close_reason::CloseReason;
use crate::fib::Fib;
use crate::id::{ConnId, DialId, SessionIndex};
use crate::message::{Lane, Message, ZoneMessage};
use crate::tunnel_error::TunnelError;

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Resolve the endpoint's name by the host's resolver and connect to its addresses. Answered by
    /// [`Mesh::handle_connected`](crate::Mesh::handle_connected) or
    /// [`Mesh::handle_dial_failed`](crate::Mesh::handle_dial_failed).
    Dial {
        /// Names the attempt in the answer.
        dial: DialId,
        /// The only identity to accept.
        peer: GatewayId,
        /// Where.
        endpoint: Endpoint,
    },
    /// Give a dial up: no answer is expected any more. Without effect if it has been answered.
    AbandonDial {
        /// The attempt.
        dial: DialId,
    },
    /// Derive and install the keys that open what the peer sends. Always before our `Hello` is sent.
    InstallOpening {
        /// The session's connection.
        conn: ConnId,
        /// Our lanes: the index that the peer writes into its packets, and our choice of AEAD.
        lanes: Vec<Lane>,
    },
    /// Derive and install the keys that seal for the peer: its `Hello` came.
    InstallSealing {
        /// The session's connection.
        conn: ConnId,
        /// The peer's lanes, of which there may be more or fewer than ours.
        lanes: Vec<Lane>,
    },
    /// Write a message to the control stream.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// Send `Bye` with the reason's [code](CloseReason::code), drop the session's keys, close the
    /// connection. No other action names `conn` afterwards.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A replaced session has drained: drop its keys, close its connection quietly. Nothing more is
    /// said about `conn`.
    Retire {
        /// The connection.
        conn: ConnId,
    },
    /// Send a type-2 probe on the data path. Its authenticated echo comes back by
    /// [`Mesh::handle_echo`](crate::Mesh::handle_echo).
    Probe {
        /// Our index of the session.
        session: SessionIndex,
        /// The session's connection.
        conn: ConnId,
        /// What the echo must repeat.
        probe: u64,
        /// Bytes of the whole outer IP packet, which must not be fragmented; `None`: as short as it is.
        size: Option<u16>,
    },
    /// The largest outer IP packet that is known to reach the peer whole has changed. Before the first time it
    /// is 1280 bytes; it outlives sessions.
    PathMtu {
        /// The peer.
        peer: GatewayId,
        /// Bytes, IP header included.
        size: u16,
    },
    /// Swap in a new forwarding table. Only when it differs from the last.
    Publish(Fib),
    /// A zone message for the replicator; only from sessions that are up.
    ZoneMessage {
        /// Who sent it.
        peer: GatewayId,
        /// Where to answer.
        conn: ConnId,
        /// What it says.
        message: ZoneMessage,
    },
    /// The tunnel has a session now, where it had none.
    TunnelUp {
        /// The peer.
        peer: GatewayId,
        /// The session in use.
        conn: ConnId,
    },
    /// The tunnel moved to another session, make-before-break.
    TunnelMoved {
        /// The peer.
        peer: GatewayId,
        /// The session in use from now on.
        conn: ConnId,
    },
    /// The tunnel has no session any more.
    TunnelDown {
        /// The peer.
        peer: GatewayId,
        /// Why its last session ended.
        reason: TunnelError,
    },
    /// Something that an operator should look at.
    Alarm(Alarm),
    /// After [`Mesh::handle_shutdown`](crate::Mesh::handle_shutdown): every session is closed.
    Drained,
}
