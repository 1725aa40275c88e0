//! [`TrustError`]: why a session that was trusted is not trusted any more.

use thiserror::Error;

use crate::external_text::ExternalText;

/// Why the shell does not trust the peer of an established session any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    /// The peer's certificate chain fails verification against the changed member records.
    #[error("{0}")]
    Certificate(ExternalText),
    /// The member record assigns the gateway to another site.
    #[error("the gateway serves another site now")]
    SiteChanged,
}
