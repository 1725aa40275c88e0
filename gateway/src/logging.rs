//! Logs go to stderr, as text for people or JSON for machines. What is logged is each module's affair.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written: `info`, or `info,ringway::quic=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(String);

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Level, String> {
        match text.parse::<EnvFilter>() {
            Ok(_) => Ok(Level(text.to_owned())),
            Err(error) => Err(format!("{error}; write error, warn, info, debug or trace")),
        }
    }
}

/// What these libraries warn of is what others send: a flood of forged answers would be a flood of lines. Who
/// looks for it names them: `info,hickory_net=warn`.
const QUIET: &str = "hickory_net=error,hickory_proto=error,hickory_resolver=error";

/// Starts logging. A second call changes nothing.
pub fn start(form: Form, level: &Level) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{}", level.0)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    _ = match form {
        Form::Text => logs.with_target(false).try_init(),
        Form::Json => logs.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_warn_of_what_others_send_are_silent_unless_they_are_named() {
        let level = |text: &str| EnvFilter::new(format!("{QUIET},{text}")).to_string();
        for general in ["info", "debug"] {
            assert!(
                level(general).contains("hickory_net=error"),
                "{}",
                level(general)
            );
        }
        let named = level("info,hickory_net=debug");
        assert!(
            named.contains("hickory_net=debug") && !named.contains("hickory_net=error"),
            "{named}"
        );
    }
}
