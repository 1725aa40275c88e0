//! [`Action`]: what the mesh wants the shell to do. The shell carries actions out in their order
//! and decides nothing.

use std::collections::BTreeMap;

use ringway_config::{Endpoint, GatewayId};

use crate::alarm::Alarm;
use crate::close_reason::CloseReason;
use crate::fib::Fib;
use crate::id::{ConnId, DialId, SessionIndex};
use crate::message::{Lane, Message, Offer, PolicyMessage, ZoneMessage};
use crate::record_drift::RecordDrift;
use crate::secret::Secret;
use crate::standing::Standing;
use crate::tunnel_error::TunnelError;

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Resolve the endpoints' names by the host's resolver and race their addresses, each
    /// [`race_step`](crate::race_step) behind the one before (RFC 8305). Answered by
    /// [`Mesh::handle_connected`](crate::Mesh::handle_connected) or
    /// [`Mesh::handle_dial_failed`](crate::Mesh::handle_dial_failed). A peer may be dialled while
    /// an earlier dial of it is under way.
    Dial {
        /// Names the dial in the answer.
        dial: DialId,
        /// The only identity to accept.
        peer: GatewayId,
        /// Where to dial, the preferred one first.
        endpoints: Vec<Endpoint>,
    },
    /// Abandon a dial: no answer is expected. Without effect if it has been answered.
    AbandonDial {
        /// The dial.
        dial: DialId,
    },
    /// Derive and install the keys that open what the peer sends. Always before our `Hello` is
    /// sent.
    InstallOpening {
        /// The session's connection.
        conn: ConnId,
        /// Our lanes: the index that the peer writes into its packets, and the AEAD that we chose.
        lanes: Vec<Lane>,
    },
    /// Derive and install the keys that seal for the peer: its `Hello` has arrived.
    InstallSealing {
        /// The session's connection.
        conn: ConnId,
        /// The peer's lanes, which may be more or fewer than ours.
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
    /// A replaced session has drained, or the peer has ended it: drop its keys and close its
    /// connection without a log entry. No other action names `conn` afterwards.
    Retire {
        /// The connection.
        conn: ConnId,
    },
    /// Send a probe (packet type 2) on the data path. Its authenticated echo comes back by
    /// [`Mesh::handle_echo`](crate::Mesh::handle_echo).
    Probe {
        /// Our index of the session.
        session: SessionIndex,
        /// The session's connection.
        conn: ConnId,
        /// The number that the echo repeats.
        probe: u64,
        /// Bytes of the whole outer IP packet, which is padded and must not be fragmented. `None`:
        /// no padding.
        size: Option<u16>,
    },
    /// The path MTU has changed: the largest outer IP packet that is known to reach the peer whole.
    /// Until the first search has ended or found a larger size, 1280 bytes are assumed and nothing
    /// is reported. It outlives sessions.
    PathMtu {
        /// The peer.
        peer: GatewayId,
        /// Bytes, IP header included.
        size: u16,
    },
    /// Replace the forwarding table. Only when it differs from the last.
    Publish(Fib),
    /// A message for the replicator of zones; only from sessions that are up.
    ZoneMessage {
        /// The sender.
        peer: GatewayId,
        /// The connection to answer on.
        conn: ConnId,
        /// The message.
        message: ZoneMessage,
    },
    /// A question about our policy, or an answer about the peer's; only from sessions that are up.
    Policy(PolicyEnvelope),
    /// A gateway has sent a new offer to us, an attached node.
    Offered {
        /// The gateway.
        peer: GatewayId,
        /// The offer.
        offer: Offer,
    },
    /// The tunnel has a session now, where it had none.
    TunnelUp {
        /// The peer.
        peer: GatewayId,
        /// The session in use.
        conn: ConnId,
    },
    /// The tunnel uses another session from now on (make-before-break).
    TunnelMoved {
        /// The peer.
        peer: GatewayId,
        /// The session in use.
        conn: ConnId,
    },
    /// The tunnel has no session left.
    TunnelDown {
        /// The peer.
        peer: GatewayId,
        /// Why its last session ended.
        reason: TunnelError,
        /// That session has carried packets.
        proved: bool,
    },
    /// The first attempt of all to reach a peer has failed. Further ones follow.
    FirstAttemptFailed {
        /// The peer.
        peer: GatewayId,
    },
    /// The differences between the records of the two ends of a tunnel have changed; empty if there
    /// are none. Limited to a burst and then one a minute for each peer.
    RecordsDiffer {
        /// The peer.
        peer: GatewayId,
        /// The organizations whose records differ.
        drift: Vec<RecordDrift>,
    },
    /// The role of this gateway within its site, or the reason for it, has changed. Also sent once
    /// at the start.
    Role(Standing),
    /// Store these as [`Settings::sibling_secrets`](crate::Settings::sibling_secrets) for the next
    /// start. They replace those stored before.
    StoreSecrets(BTreeMap<GatewayId, Secret>),
    /// Report a fault to the operator.
    Alarm(Alarm),
    /// Every session is closed, after [`Mesh::handle_shutdown`](crate::Mesh::handle_shutdown). The
    /// last action.
    Drained,
}

/// A message about a policy with its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEnvelope {
    /// The sender.
    pub peer: GatewayId,
    /// The connection to answer on.
    pub conn: ConnId,
    /// The message.
    pub message: PolicyMessage,
}
