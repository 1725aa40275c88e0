//! [`Notice`]: what operators should see of the mesh.

use ringway_config::GatewayId;
use ringway_core::{Alarm, ConnId, TunnelError};

/// Something that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The tunnel has a session, and had none.
    TunnelUp {
        /// The peer.
        peer: GatewayId,
        /// The session.
        conn: ConnId,
    },
    /// The tunnel uses another session than before.
    TunnelMoved {
        /// The peer.
        peer: GatewayId,
        /// The session.
        conn: ConnId,
    },
    /// The tunnel has no session any more.
    TunnelDown {
        /// The peer.
        peer: GatewayId,
        /// Why its last session ended.
        reason: TunnelError,
    },
    /// Something is wrong that does not stop the mesh.
    Alarm(Alarm),
}

impl Notice {
    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Notice::TunnelUp { peer, conn } => {
                tracing::info!(%peer, session = conn.0, "Tunnel up");
            }
            Notice::TunnelMoved { peer, conn } => {
                // Routine: a session is replaced before it ends.
                tracing::debug!(%peer, session = conn.0, "Tunnel moved to a new session");
            }
            Notice::TunnelDown { peer, reason } => tracing::warn!(%peer, %reason, "Tunnel down"),
            Notice::Alarm(alarm) => {
                tracing::warn!(reason = %alarm, "The mesh found something wrong and goes on");
            }
        }
    }
}
