//! QUIC between gateways: the endpoint, dialling, accepting, and each connection's control stream.
//! Moves handshakes and messages; which session lives is [`ringway_core`]'s to decide, who may have
//! one is [`crate::identity`]'s, and packets never pass here.
//!
//! Reading order: [`endpoint`], [`socket`], [`accept`], [`places`], [`dial`], `resolve`, [`link`], [`refusal`].

pub mod accept;
pub mod dial;
pub mod endpoint;
pub mod link;
pub mod places;
pub mod refusal;
mod resolve;
pub mod socket;
