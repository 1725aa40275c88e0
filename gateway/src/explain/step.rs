//! [`Step`]: one part of the path between two hosts, with its state and a remedy.

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
    /// `remedy` in parts.
    #[serde(skip)]
    pub fix: Remedy,
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
