//! [`Notice`]: an event of the mesh for the log.

use ringway_config::GatewayId;
use ringway_core::{Alarm, ConnId, RoleReason, Standing, TunnelError};
use ringway_intent::Restoration;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The tunnel has a session, and had none.
    TunnelUp {
        /// The peer.
        peer: GatewayId,
        /// The session.
        conn: ConnId,
    },
    /// The tunnel has moved to another session.
    TunnelMoved {
        /// The peer.
        peer: GatewayId,
        /// The session.
        conn: ConnId,
    },
    /// The tunnel has lost its last session.
    TunnelDown {
        /// The peer.
        peer: GatewayId,
        /// Why its last session ended.
        reason: TunnelError,
    },
    /// The role of this gateway within its site has changed.
    Role(Standing),
    /// Another program has changed a kernel object of this daemon; it is restored.
    Restored(Restoration),
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
            // Without siblings the role is not worth a line.
            Notice::Role(standing) if standing.reason == RoleReason::Alone => {}
            Notice::Role(Standing {
                role,
                epoch,
                reason,
                gap,
            }) => {
                tracing::info!(%role, epoch, %reason, ?gap, "Role at this site");
            }
            Notice::Restored(restored) => {
                let Restoration {
                    name, found, by, ..
                } = restored;
                let by = by.as_deref().unwrap_or("an unknown program");
                tracing::warn!(
                    name,
                    found,
                    by,
                    "Another program changed a kernel object; restored"
                );
            }
            Notice::Alarm(alarm) => {
                let peer = alarm.peer();
                tracing::warn!(
                    %peer, reason = %alarm,
                    "The mesh found something wrong and goes on"
                );
            }
        }
    }
}
