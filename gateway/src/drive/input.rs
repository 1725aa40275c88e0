//! [`Input`]: what the loop is told.

use quinn::Connection;
use ringway_config::{Faults, GatewayId};
use ringway_core::{ConnId, ConnectionError, DialError, DialId, Incoming};
use tokio::sync::oneshot;

use super::Fresh;
use crate::admin::Report;
use crate::host::firewall::FirewallError;
use crate::host::links::Links;
use crate::zones::{Checked, Renewed};

/// Everything that can happen to a gateway.
#[derive(Debug)]
pub enum Input {
    /// A peer dialled; its certificate was verified in the handshake.
    Accepted(Connection),
    /// A dial of ours came through.
    Dialled {
        /// Which.
        dial: DialId,
        /// Whom we dialled.
        peer: GatewayId,
        /// The connection.
        connection: Connection,
    },
    /// A dial of ours failed.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A control message came.
    Message {
        /// From where.
        conn: ConnId,
        /// What.
        incoming: Incoming,
    },
    /// A connection ended.
    Disconnected {
        /// Which.
        conn: ConnId,
        /// Why.
        error: ConnectionError,
    },
    /// What a peer sent as its zone was looked at.
    ZoneChecked(Box<Checked>),
    /// A new own zone is ready to be offered.
    ZoneRenewed(Box<Renewed>),
    /// SIGHUP: read everything again.
    Reload,
    /// What a reload has read and checked, or why it is refused.
    Reloaded(Result<Box<Fresh>, Faults>),
    /// The certificate's files changed.
    Renew,
    /// The host's addresses, after a change.
    Host(Links),
    /// The packet filter has been told of the host's new networks.
    Filtered(Result<(), FirewallError>),
    /// The admin socket asks.
    Status(oneshot::Sender<Report>),
}
