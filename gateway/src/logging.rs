//! The log on stderr, as text for people or JSON for machines.
//!
//! Logged values also come from peers, certificates and records. None of them can forge a line or
//! control the terminal: text is escaped field by field, JSON as a whole.

mod peer_lines;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ringway_config::Escaped;
use tracing::field::{Field, Visit};
use tracing::{Event, Level as Severity, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::json;
use peer_lines::PeerLines;

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

/// These libraries log warnings about input from others, so that a flood of forged answers would
/// flood the log; quinn_udp in Rust's notation about a missing route, which needs attention under
/// its own name. To see them, set a level for the library: `info,hickory_net=warn`.
const QUIET: &str = "hickory_net=error,hickory_proto=error,hickory_resolver=error,quinn_udp=error";

/// Starts logging. Further calls have no effect.
pub fn start(form: Form, level: &Level) {
    let filter = EnvFilter::new(format!("{QUIET},{}", level.0));
    let colours = std::io::stderr().is_terminal();

    // Fails if there already is a subscriber, which then stays.
    _ = match form {
        Form::Text => text(io::stderr, filter, colours).try_init(),
        Form::Json => json(io::stderr, filter, colours).try_init(),
    };
}

/// Writes events as lines of text.
fn text<W>(writer: W, filter: EnvFilter, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_target(false)
        .fmt_fields(escaped_fields())
        .with_writer(writer)
        .finish()
        .with(Limit)
}

/// Writes events as JSON objects, one a line.
fn json<W>(writer: W, filter: EnvFilter, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .json()
        .flatten_event(true)
        .with_writer(PrintableJson(writer))
        .finish()
        .with(Limit)
}

/// The line budgets of the peers.
static PEER_LINES: Mutex<PeerLines> = Mutex::new(PeerLines::new());

/// The target of events that report omitted lines.
const LEFT_OUT: &str = "ringway::left_out";

/// Logs how many lines about each peer were omitted. Call it regularly.
pub fn log_left_out() {
    let mut lines = PEER_LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let left_out = lines.left_out(Instant::now());
    drop(lines);

    for (peer, count) in left_out {
        tracing::warn!(target: LEFT_OUT, %peer, count, "Lines about a peer left out");
    }
}

/// Omits lines with a field `peer` that exceed the peer's budget. Errors are always written.
struct Limit;

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Errors are the daemon's own, and the reports of omitted lines must not be omitted.
        if *metadata.level() == Severity::ERROR || metadata.target() == LEFT_OUT {
            return true;
        }
        let mut peer = PeerField(None);
        event.record(&mut peer);
        let Some(peer) = peer.0 else {
            return true;
        };

        let mut lines = PEER_LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.admit(&peer, Instant::now())
    }
}

/// The field `peer` of an event.
struct PeerField(Option<String>);

impl Visit for PeerField {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "peer" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

/// Writes `message name=value name=value`, with every value on the same line and escaped for a
/// terminal.
fn escaped_fields() -> impl for<'w> FormatFields<'w> + 'static {
    use tracing_subscriber::field::MakeExt as _;
    debug_fn(write_field).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    // The Debug form of a value recorded as `%value` is its Display form.
    let value = format!("{value:?}");
    let value = Escaped(&value);

    if field.name() == "message" {
        write!(writer, "{value}")
    } else if writer.has_ansi_escapes() {
        // Italic name and dim equals sign, as tracing-subscriber writes fields by default.
        write!(
            writer,
            "\u{1b}[3m{field}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"
        )
    } else {
        write!(writer, "{field}={value}")
    }
}

/// Escapes lines of JSON for a terminal: serde_json escapes only what RFC 8259 requires.
struct PrintableJson<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for PrintableJson<W> {
    type Writer = PrintableJson<W::Writer>;

    fn make_writer(&'a self) -> PrintableJson<W::Writer> {
        PrintableJson(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for PrintableJson<W> {
    /// Receives whole lines: the subscriber writes each event with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(json::printable(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Forges a line and sends several terminal sequences.
    const HOSTILE: &str = "X\n2026-11-28T01:00:00Z  INFO Configuration reloaded\r\u{1b}[31m\
        \u{9b}2J\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{7}\0";

    /// Collects what the log writes.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log_hostile_values() {
        let error = io::Error::other(HOSTILE);
        tracing::info_span!("session", peer = HOSTILE).in_scope(|| {
            tracing::warn!(
                reason = %HOSTILE,
                error = &error as &dyn std::error::Error,
                org = HOSTILE,
                session = ?[HOSTILE],
                "Refused {HOSTILE}",
            );
        });
    }

    fn assert_is_one_printable_line(written: &str) {
        let line = written.strip_suffix('\n').unwrap();
        assert!(line.contains("Configuration reloaded"), "{line}");
        assert_eq!(
            Escaped(line).to_string(),
            line,
            "something is not printable"
        );
    }

    #[test]
    fn no_value_forges_a_line_of_text() {
        let written = Written::default();
        let target = written.clone();
        let logs = text(move || target.clone(), EnvFilter::new("info"), false);
        tracing::subscriber::with_default(logs, log_hostile_values);
        assert_is_one_printable_line(&written.text());
    }

    #[test]
    fn no_value_of_a_json_line_reaches_the_terminal() {
        let written = Written::default();
        let target = written.clone();
        let logs = json(move || target.clone(), EnvFilter::new("info"), false);
        tracing::subscriber::with_default(logs, log_hostile_values);
        assert_is_one_printable_line(&written.text());

        let line: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
        assert_eq!(
            line["reason"], HOSTILE,
            "JSON must keep the value as it was"
        );
    }

    #[test]
    fn a_peer_that_comes_and_goes_does_not_push_everything_else_out() {
        let written = Written::default();
        let target = written.clone();
        let logs = text(move || target.clone(), EnvFilter::new("info"), false);
        tracing::subscriber::with_default(logs, || {
            for session in 0..112 {
                tracing::info!(peer = %"gw.flapping", session, "Tunnel up");
                tracing::info!(peer = %"gw.flapping", session, "Session closed");
                tracing::warn!(peer = %"gw.flapping", session, "Tunnel down");
            }
            tracing::warn!(peer = %"gw.other", "Tunnel down");
            tracing::error!(peer = %"gw.flapping", "Always written");
            log_left_out();
        });

        let lines = written.text();
        assert_eq!(lines.matches("session=").count(), 24, "{lines}");
        assert!(lines.contains("peer=gw.other"), "{lines}");
        assert!(lines.contains("Always written"), "{lines}");
        assert!(
            lines.contains("left out peer=gw.flapping count=312"),
            "{lines}"
        );
    }

    #[test]
    fn libraries_that_warn_about_foreign_input_are_quiet_unless_named() {
        for general in ["info", "debug"] {
            let filter = EnvFilter::new(format!("{QUIET},{general}")).to_string();
            assert!(filter.contains("hickory_net=error"), "{filter}");
            assert!(filter.contains("quinn_udp=error"), "{filter}");
        }

        let named = EnvFilter::new(format!("{QUIET},info,hickory_net=debug")).to_string();
        assert!(
            named.contains("hickory_net=debug") && !named.contains("hickory_net=error"),
            "{named}"
        );
    }
}
