//! [`Failure`]: why a verb failed, and the exit code for it.

use std::fmt;
use std::process::ExitCode;

use ringway_config::{Escaped, Faults};

/// Why a verb failed.
#[derive(Debug)]
pub enum Failure {
    /// The files have faults; each is printed on a line. Exit code 64.
    Faults(Faults),
    /// The command line asks for something impossible. Exit code 64.
    Usage(String),
    /// The work itself failed. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// 64 (EX_USAGE of sysexits.h) if the user must correct something, else 1.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_error_reaches_the_terminal() {
        let hostile = "X\u{1b}[A\u{7}\0\n\u{202e}\u{200b}";
        let shown = r"error: X\u{1b}[A\u{7}\0\n\u{202e}\u{200b}";

        assert_eq!(Failure::Usage(hostile.into()).to_string(), shown);
        assert_eq!(Failure::Failed(anyhow::anyhow!(hostile)).to_string(), shown);
    }
}
