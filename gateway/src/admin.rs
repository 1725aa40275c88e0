//! What an operator may ask a running gateway: one request a line on a unix socket, one document as
//! the answer: JSON, or metrics as text. The drive makes the [`Report`]; the command line renders
//! it.

pub mod metrics;
pub mod report;
pub mod socket;

use tokio::sync::oneshot;

pub use metrics::Metrics;
pub use report::Report;

/// A client wants a report.
#[derive(Debug)]
pub struct Request {
    /// Takes it. The client may give up before.
    pub reply: oneshot::Sender<Report>,
}
