//! What an operator may ask a running gateway: one request a line on a unix socket, one document as
//! the answer: JSON, or metrics as text. The drive makes the [`Report`]; the command line renders
//! it.

pub mod announcement;
pub mod attention;
pub mod daemon;
pub mod metrics;
pub mod report;
pub mod requests;
pub mod rules;
pub mod site;
pub mod socket;

use ringway_config::Opening;
use tokio::sync::oneshot;

pub use metrics::Metrics;
pub use report::{ReloadReport, Report, RoleReport};
pub use requests::Requests;
pub use rules::RulesReport;

/// What a client wants. It may give up before it is answered.
#[derive(Debug)]
pub enum Request {
    /// A report.
    Status(oneshot::Sender<Report>),
    /// The gateway's role alone: load balancers ask for it every second.
    Role(oneshot::Sender<RoleReport>),
    /// The files read again, and what became of it.
    Reload(oneshot::Sender<ReloadReport>),
    /// What the rules of both ends say about a connection.
    Rules {
        /// The connection.
        opening: Opening,
        /// For the report.
        reply: oneshot::Sender<RulesReport>,
    },
    /// The site handed over to a sibling, or not any more, and a report.
    Drain {
        /// To be handed over.
        on: bool,
        /// For the report.
        reply: oneshot::Sender<Report>,
    },
}
