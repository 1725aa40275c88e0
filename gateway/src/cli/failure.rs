//! [`Failure`]: why a verb failed, and the exit code for it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use nix::errno::Errno;
use ringway_config::{Escaped, Faults};

/// Why a verb failed.
#[derive(Debug)]
pub enum Failure {
    /// The files have faults; each is printed on a line. Exit code 64.
    Faults(Faults),
    /// The command line asks for something impossible. Exit code 64.
    Usage(String),
    /// This user may not read the files that the work needs. Exit code 1.
    Rights(Box<Failure>),
    /// The work itself failed. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// 64 (EX_USAGE of sysexits.h) if the user must correct something, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Faults(_) | Failure::Usage(_) => ExitCode::from(64),
            Failure::Rights(_) | Failure::Failed(_) => ExitCode::FAILURE,
        }
    }

    /// The failure of a command that an unprivileged user has run: if it may not read a file, the
    /// file is not wrong.
    pub(super) fn of_unprivileged(self) -> Failure {
        let denied = io::Error::from(Errno::EACCES).to_string();

        let is_denied = match &self {
            Failure::Faults(faults) => faults.0.iter().all(|it| it.message.contains(&denied)),
            // The admin socket's error names its own remedy.
            Failure::Failed(error) => {
                let text = format!("{error:#}");
                text.contains(&denied) && !text.contains("be root")
            }
            Failure::Usage(_) | Failure::Rights(_) => false,
        };
        if is_denied {
            Failure::Rights(Box::new(self))
        } else {
            self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Faults(faults) => faults.fmt(f),
            Failure::Rights(failure) => {
                let sudo = "be root (sudo ringway …): this user may not read the gateway's files";
                write!(f, "{failure}\nerror: {sudo}")
            }
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
    use std::path::Path;

    use ringway_config::{Fault, Place};

    use super::*;

    fn fault(message: &str) -> Fault {
        Fault {
            place: Place::whole(Path::new("gateway.toml")),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_file_that_this_user_may_not_read_is_not_wrong() {
        let denied = "cannot read state/accepted: Permission denied (os error 13)";

        let failure = Failure::from(Faults::from(vec![fault(denied)])).of_unprivileged();
        assert!(matches!(failure, Failure::Rights(_)), "{failure}");
        assert!(failure.to_string().contains(denied), "{failure}");
        assert!(failure.to_string().contains("be root (sudo ringway"));
        assert!(matches!(
            Failure::Failed(anyhow::anyhow!(denied)).of_unprivileged(),
            Failure::Rights(_)
        ));

        // A real fault keeps its exit code.
        let both = Faults::from(vec![fault(denied), fault("unknown key")]);
        let failure = Failure::from(both).of_unprivileged();
        assert!(matches!(failure, Failure::Faults(_)), "{failure}");
        let socket = anyhow::anyhow!("be root, or in its socket-group: {denied}");
        let failure = Failure::Failed(socket).of_unprivileged();
        assert!(matches!(failure, Failure::Failed(_)), "{failure}");
    }

    #[test]
    fn nothing_in_an_error_reaches_the_terminal() {
        let hostile = "X\u{1b}[A\u{7}\0\n\u{202e}\u{200b}";
        let shown = r"error: X\u{1b}[A\u{7}\0\n\u{202e}\u{200b}";

        assert_eq!(Failure::Usage(hostile.into()).to_string(), shown);
        assert_eq!(Failure::Failed(anyhow::anyhow!(hostile)).to_string(), shown);
    }
}
