//! The operator's interface of a running gateway: a unix socket that takes one request a line and
//! answers with one document, JSON or metrics as text. The drive makes the [`Report`]; the command
//! line renders it.

pub mod announcement;
pub mod answers;
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

pub use answers::AnswersReport;
pub use metrics::Metrics;
pub use report::{ReloadReport, Report, RoleReport};
pub use requests::Requests;
pub use rules::RulesReport;

/// A client's request. The client may disconnect before it is answered.
#[derive(Debug)]
pub enum Request {
    /// A report.
    Status(oneshot::Sender<Report>),
    /// The role alone: cheap enough for load balancers, which ask every second.
    Role(oneshot::Sender<RoleReport>),
    /// Reloads the files and reports the result.
    Reload(oneshot::Sender<ReloadReport>),
    /// What the rules of both ends say about a connection.
    Rules {
        /// The connection.
        opening: Opening,
        /// Takes the answer.
        reply: oneshot::Sender<RulesReport>,
    },
    /// Which hosts of the site answer what members open towards them.
    Answers(oneshot::Sender<AnswersReport>),
    /// Hands the site over to a sibling, or takes it back; answered with a report.
    Drain {
        /// True to hand over.
        on: bool,
        /// Takes the answer.
        reply: oneshot::Sender<Report>,
    },
}
