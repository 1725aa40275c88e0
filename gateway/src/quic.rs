//! QUIC between gateways: the endpoint, dialling, accepting, and the control stream of each
//! connection. Transports handshakes and messages. `ringway-shell` decides which session carries a
//! tunnel, and `ringway-identity` which certificates are accepted. Packets do not pass here.
//!
//! Reading order: [`event`], [`endpoint`], [`socket`], [`accept`], [`places`], [`dial`],
//! [`dialled`], `race`, `resolve`, [`link`], [`refusal`].

pub mod accept;
pub mod dial;
pub mod dialled;
pub mod endpoint;
pub mod event;
pub mod link;
pub mod places;
mod race;
pub mod refusal;
pub mod refusals;
mod resolve;
pub mod socket;
