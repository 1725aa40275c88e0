//! [`Failure`]: how a verb ends that did not do what it was asked.

use std::fmt;
use std::process::ExitCode;

use ringway_config::{Escaped, Faults};

/// Why a verb failed, and with which exit code.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong in the files: every fault on its line. Exit code 64.
    Faults(Faults),
    /// The command line asks for something that cannot be. Exit code 64.
    Usage(String),
    /// We could not. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// 1, or 64 (EX_USAGE of sysexits.h) where the user has something to mend.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Faults(_) | Failure::Usage(_) => ExitCode::from(64),
            Failure::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Faults(faults) => faults.fmt(f),
            Failure::Usage(message) => write!(f, "error: {}", Escaped(message)),
            Failure::Failed(error) => write!(f, "error: {}", Escaped(&format!("{error:#}"))),
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Failure {
        Failure::Faults(faults)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Failed(error.into())
    }
}
