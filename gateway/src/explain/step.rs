//! [`Step`]: one part of the path between two hosts, with its state and a remedy.

use std::fmt;
use std::net::IpAddr;

use ringway_intent::Remedy;
use serde::Serialize;

use super::Verdict;

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Name of the step.
    pub name: &'static str,
    /// Result.
    pub state: State,
    /// The result exactly, for programs.
    pub verdict: Verdict,
    /// The result as a sentence, for an operator.
    pub text: String,
    /// How to fix it, usually a command; empty if nothing is wrong.
    pub remedy: String,
    /// The address family that the step is about; none if it is about every family.
    pub family: Option<Family>,
    /// `remedy` in parts.
    #[serde(skip)]
    pub fix: Remedy,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Family {
    /// IPv6.
    IPv6,
    /// IPv4.
    IPv4,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() {
            Family::IPv4
        } else {
            Family::IPv6
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::IPv6 => "IPv6",
            Family::IPv4 => "IPv4",
        })
    }
}

/// Result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The step does not prevent the connection.
    Good,
    /// The step prevents the connection.
    Bad,
    /// Not enough is known to judge the step.
    Unknown,
}

impl Step {
    /// A step with nothing to do about it.
    pub fn new(verdict: Verdict, text: impl Into<String>) -> Step {
        Step {
            name: verdict.step(),
            state: verdict.state(),
            verdict,
            text: text.into(),
            remedy: String::new(),
            family: None,
            fix: Remedy::None,
        }
    }

    /// The step, with what to do about it.
    pub fn with(self, fix: impl Into<Remedy>) -> Step {
        let fix = fix.into();
        Step {
            remedy: fix.to_string(),
            fix,
            ..self
        }
    }
}
