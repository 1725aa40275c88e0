//! Who a gateway is, and whom it believes (DESIGN.md, section 3).
//!
//! Owns certificates and their verification: making them ([`create`]), loading the own ones ([`local`]),
//! deciding on a peer's ([`trust`], [`verify`]) and the TLS settings that carry the decision ([`tls`]).
//! It opens no socket and holds no session: `tunnel` dials and accepts with the settings made here,
//! and verifies again whenever the trust changes.
//!
//! ```text
//!   member records ──► Trust ──► verify(chain) ──► Verified ──► the session
//!                        ▲            │
//!       SIGHUP swaps one in           └─────────► Refusal ──► TLS alert, log, status
//! ```
//!
//! A peer's leaf certificate names its organization; only that organization's CA certificates can vouch
//! for it. There is no other trust: no system store, no shared root, no fallback.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod create;
pub mod local;
pub mod refusal;
pub mod tls;
pub mod trust;
pub mod verify;

pub use local::Identity;
pub use refusal::{Code, Refusal};
pub use tls::{RefusalLog, Refused};
pub use trust::Trust;
pub use verify::{Role, Verified};
