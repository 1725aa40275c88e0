//! [`Outcome`]: what became of a message, and [`RateDecision`]: what the rate limit says about it.

use super::forward::ForwardedQuery;

/// The result of handling a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Never answered: it is too short for a header, or it is itself a response.
    Silent,
    /// A response with this response code was written.
    Answered(u16),
    /// Nothing was written: no zone of the consortium holds the name, or a chain of aliases leads
    /// out of the consortium. The configured resolvers are queried instead.
    Forward(Box<ForwardedQuery>),
    /// The client is above its rate: a truncated response without records was written, so that the
    /// client retries over TCP.
    Truncated,
    /// The client is above its rate: nothing was written.
    Dropped,
}

impl Outcome {
    /// True if there is a response to send.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self, Outcome::Answered(_) | Outcome::Truncated)
    }
}

/// What the response rate limit allows for a query, decided before any other work is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateDecision {
    /// The client is within its rate.
    Answer,
    /// A truncated response, no larger than the query: it gives an attacker no amplification.
    Truncate,
    /// The query is ignored.
    Drop,
}
