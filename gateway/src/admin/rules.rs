//! [`RulesReport`]: what the rules of both ends say about a connection, and the request for it:
//! `rules <source> <destination> <service>`.

use std::net::IpAddr;

use ringway_config::{Asked, Opening};
use ringway_filter::Explanation;
use serde::{Deserialize, Serialize};

/// The verdicts of both ends about one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesReport {
    /// True if the rules in force here allow it.
    pub is_allowed: bool,
    /// Place of the rule that allows it.
    pub rule: Option<String>,
    /// Reason, as a sentence for an operator.
    pub reason: String,
    /// The gateway at the far end that was asked, `<gateway>.<org>`.
    pub peer: Option<String>,
    /// The far end's verdict.
    pub theirs: PeerVerdict,
    /// What the far end says about its host, if it is an attached node that is not reached.
    #[serde(default)]
    pub their_node: Option<PeerNode>,
    /// Such connections that came here lately, and that our host has not answered.
    #[serde(default)]
    pub unanswered: u64,
}

/// The far end's verdict about the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerVerdict {
    /// Its rules allow the connection.
    Allowed,
    /// Its rules do not allow it.
    Denied,
    /// It does not say: the connection is not between its site and ours.
    NotTold,
    /// No tunnel leads there.
    #[default]
    NoTunnel,
    /// Its version answers no questions about rules.
    Older,
    /// It did not answer in time.
    NoAnswer,
}

/// An attached node at the far end without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerNode {
    /// It is down.
    Down,
    /// It is a WireGuard client that has been silent. It may answer all the same.
    Silent,
}

impl RulesReport {
    /// The verdict of our rules; the far end was not asked yet.
    pub fn of(explanation: Explanation) -> RulesReport {
        let (rule, reason) = match &explanation {
            Explanation::Rule(place) => (Some(place), "a rule allows it"),
            Explanation::EgressRule(place) => (Some(place), "a rule lets it leave"),
            Explanation::Dns => (None, "this gateway answers DNS there"),
            Explanation::Echo => (None, "without [policy], echo is allowed"),
            Explanation::Egress => (None, "[policy] egress lets it leave"),
            Explanation::NotOurs => (None, "this gateway does not judge it"),
            Explanation::Denied => (None, "no rule allows it"),
        };

        RulesReport {
            is_allowed: explanation.is_allowed(),
            rule: rule.map(ToString::to_string),
            reason: reason.to_owned(),
            ..RulesReport::default()
        }
    }
}

/// The request line about `opening`.
pub(super) fn request(opening: &Opening) -> String {
    let service = match opening.service {
        Asked::Tcp(port) => format!("tcp {port}"),
        Asked::Udp(port) => format!("udp {port}"),
        Asked::Echo => "echo 0".to_owned(),
        Asked::Protocol(number) => format!("protocol {number}"),
    };

    format!("rules {} {} {service}", opening.source, opening.destination)
}

/// Parses a request line; `None` if it is not one about rules.
pub(super) fn read(request: &str) -> Option<Opening> {
    let mut words = request.strip_prefix("rules ")?.split(' ');
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let service = match (words.next()?, words.next()?) {
        ("tcp", port) => Asked::Tcp(port.parse().ok()?),
        ("udp", port) => Asked::Udp(port.parse().ok()?),
        ("echo", _) => Asked::Echo,
        ("protocol", number) => Asked::Protocol(number.parse().ok()?),
        _ => return None,
    };

    words.next().is_none().then_some(Opening {
        source,
        destination,
        service,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_meant() {
        for service in [
            Asked::Tcp(7051),
            Asked::Udp(53),
            Asked::Echo,
            Asked::Protocol(47),
        ] {
            let opening = Opening {
                source: "fd00:1234:5678:9abc:def0:1234:5678:9abc".parse().unwrap(),
                destination: "fd01:1234:5678:9abc:def0:1234:5678:9abc".parse().unwrap(),
                service,
            };
            assert_eq!(read(&request(&opening)), Some(opening));
        }
    }

    #[test]
    fn malformed_requests_about_rules_are_refused() {
        for text in [
            "rules",
            "rules 10.1.0.1 10.2.0.1",
            "rules 10.1.0.1 beta tcp 1",
            "rules 10.1.0.1 10.2.0.1 tcp 70000",
            "rules 10.1.0.1 10.2.0.1 sctp 1",
            "rules 10.1.0.1 10.2.0.1 tcp 1 2",
            "status",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
