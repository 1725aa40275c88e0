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

/// Which log lines are written: `info`, or `info,ringway::tunnel=debug`.
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

/// Starts logging. A second call changes nothing.
pub fn start(form: Form, level: &Level) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&level.0))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    _ = match form {
        Form::Text => logs.with_target(false).try_init(),
        Form::Json => logs.json().flatten_event(true).try_init(),
    };
}
