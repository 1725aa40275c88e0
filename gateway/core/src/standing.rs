//! [`Standing`]: whether this gateway is the active one of its site, and why.
//!
//! Every gateway of a site forwards the packets that it receives. Peers and the site's hosts send
//! theirs to the active one.

use std::fmt;
use std::time::Duration;

use ringway_config::GatewayId;

/// The role of a gateway within its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteRole {
    /// The site's hosts and the peers should use this gateway.
    Active,
    /// They should use another gateway.
    Standby,
}

/// The role of this gateway, from a certain moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The role.
    pub role: SiteRole,
    /// The epoch of this gateway's claims: of two active gateways, the one with the higher epoch
    /// has taken over.
    pub epoch: u64,
    /// Why it has this role.
    pub reason: RoleReason,
    /// After a takeover: the time since the last sign of life of the former active gateway. The
    /// site's hosts and peers may have been without a gateway for that long.
    pub gap: Option<Duration>,
}

/// Why a gateway has its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleReason {
    /// Active: our record lists no other gateway at this site.
    Alone,
    /// Standby: the daemon has started and does not know yet whether a sibling is active.
    Starting,
    /// Active: no sibling was active when this gateway had started.
    Vacant,
    /// Active: this sibling was, and no longer answers.
    Silent(GatewayId),
    /// Active: this sibling was, and has stopped, was restarted or was removed.
    Left(GatewayId),
    /// Active: this sibling was, and handed over, because it is drained, its uplink is dead, or its
    /// interface to the site's network has no carrier.
    HandedOver(GatewayId),
    /// Active: this sibling was, and this gateway is preferred.
    Preferred(GatewayId),
    /// Standby: this sibling is active.
    Outranked(GatewayId),
    /// Standby: this sibling has a session with another daemon that uses this gateway's identity.
    Replaced(GatewayId),
    /// Standby: this gateway has no tunnel, and it or this sibling does not accept the certificate
    /// of the other.
    Refused(GatewayId),
    /// Standby: this gateway's interface to the site's network has no carrier.
    NoCarrier {
        /// The interface, or several.
        interfaces: String,
        /// The sibling that is active.
        active: GatewayId,
    },
}

impl SiteRole {
    /// One word for scripts, metrics and the log.
    pub fn word(self) -> &'static str {
        match self {
            SiteRole::Active => "active",
            SiteRole::Standby => "standby",
        }
    }
}

impl fmt::Display for SiteRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl RoleReason {
    /// One word for scripts and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            RoleReason::Alone => "alone",
            RoleReason::Starting => "starting",
            RoleReason::Vacant => "vacant",
            RoleReason::Silent(_) => "silent",
            RoleReason::Left(_) => "left",
            RoleReason::HandedOver(_) => "handed-over",
            RoleReason::Preferred(_) => "preferred",
            RoleReason::Outranked(_) => "outranked",
            RoleReason::Replaced(_) => "replaced",
            RoleReason::Refused(_) => "refused",
            RoleReason::NoCarrier { .. } => "no-carrier",
        }
    }

    /// The sibling that the reason is about.
    pub fn sibling(&self) -> Option<&GatewayId> {
        match self {
            RoleReason::Alone | RoleReason::Starting | RoleReason::Vacant => None,
            RoleReason::Silent(sibling)
            | RoleReason::Left(sibling)
            | RoleReason::HandedOver(sibling)
            | RoleReason::Preferred(sibling)
            | RoleReason::Outranked(sibling)
            | RoleReason::Replaced(sibling)
            | RoleReason::Refused(sibling)
            | RoleReason::NoCarrier {
                active: sibling, ..
            } => Some(sibling),
        }
    }
}

impl fmt::Display for RoleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleReason::Alone => f.write_str("no other gateway serves this site"),
            RoleReason::Starting => f.write_str("it has started and looks for its siblings"),
            RoleReason::Vacant => f.write_str("no sibling was active"),
            RoleReason::Silent(sibling) => write!(f, "{sibling} does not answer"),
            RoleReason::Left(sibling) => write!(f, "{sibling} has stopped"),
            RoleReason::HandedOver(sibling) => write!(f, "{sibling} has handed over"),
            RoleReason::Preferred(sibling) => write!(f, "it is preferred to {sibling}"),
            RoleReason::Outranked(sibling) => write!(f, "{sibling} is active"),
            RoleReason::Replaced(sibling) => {
                write!(f, "{sibling} has a session with another daemon of our name")
            }
            RoleReason::Refused(sibling) => {
                write!(
                    f,
                    "no tunnel is up, and no certificate is accepted between it and {sibling}"
                )
            }
            RoleReason::NoCarrier { interfaces, active } => {
                write!(
                    f,
                    "{interfaces} does not lead to the site's hosts, and {active} is active"
                )
            }
        }
    }
}
