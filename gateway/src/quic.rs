//! QUIC between gateways: the endpoint, dialling, accepting, and the control stream of each
//! connection. Moves handshakes and messages. Which session carries a tunnel is `ringway-shell`'s
//! to decide, which certificates are accepted is `ringway-identity`'s, and packets never pass here.
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
