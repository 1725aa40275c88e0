//! [`Screen`]: the properties of stdout: a terminal with a width and colours, or a file.

use std::io::{self, IsTerminal as _};

use ringway_config::Escaped;

/// The default width.
const WIDTH: usize = 80;

/// The minimum width: output in fewer columns is not readable.
const LEAST: usize = 40;

/// See the head of this file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: usize,
    /// Number of lines; `None` unless it is a terminal.
    pub(super) height: Option<usize>,
    pub(super) has_colour: bool,
}

/// Styles of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Screen {
    /// Determines the properties of stdout, and reads the environment: COLUMNS, TERM and NO_COLOR
    /// (no-color.org).
    pub(super) fn of_stdout() -> Screen {
        let is_terminal = io::stdout().is_terminal();
        let size = is_terminal.then(size).flatten();
        let is_dumb = variable("TERM") == "dumb";
        let columns = variable("COLUMNS").parse().ok();

        Screen {
            width: size
                .map(|(_, columns)| columns)
                .or(columns)
                .unwrap_or(WIDTH)
                .max(LEAST),
            height: size.map(|(lines, _)| lines),
            has_colour: is_terminal && !is_dumb && variable("NO_COLOR").is_empty(),
        }
    }

    /// A file, or a terminal without colours.
    #[cfg(test)]
    pub(super) fn plain(width: usize) -> Screen {
        Screen {
            width,
            height: None,
            has_colour: false,
        }
    }

    /// A terminal with colours.
    #[cfg(test)]
    pub(super) fn terminal(width: usize, height: usize) -> Screen {
        Screen {
            width,
            height: Some(height),
            has_colour: true,
        }
    }

    /// `text` escaped, in its style.
    pub(super) fn show(&self, style: Style, text: &str) -> String {
        let text = Escaped(text);
        let code = match style {
            _ if !self.has_colour => return text.to_string(),
            Style::Plain => return text.to_string(),
            Style::Heading => "1",
            Style::Good => "32",
            Style::Doubtful => "33",
            Style::Bad => "1;31",
            Style::Faint => "2",
        };

        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// `text` escaped in one line of any length: commands and paths to be copied.
    pub(super) fn whole(&self, indent: usize, text: &str) -> String {
        format!("{:indent$}{}\n", "", Escaped(text))
    }

    /// `text` escaped and folded to the screen's width, each line after `indent` blanks. Words such
    /// as digests and paths are not split, nor are commands ([`words`]).
    pub(super) fn fold(&self, indent: usize, text: &str) -> String {
        let escaped = Escaped(text).to_string();
        let room = self.width.saturating_sub(indent).max(LEAST / 2);
        let mut lines = String::new();
        let mut line = String::new();

        for word in words(&escaped) {
            let is_full = line.chars().count() + 1 + word.chars().count() > room;
            if !line.is_empty() && is_full {
                lines.push_str(&format!("{:indent$}{line}\n", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let last = format!("{:indent$}{line}", "");
        lines.push_str(last.trim_end());
        lines.push('\n');
        lines
    }

    /// `text` folded in a column that is `indent` wide, with `name` before the first line.
    pub(super) fn fact(&self, name: &str, indent: usize, text: &str) -> String {
        let folded = self.fold(indent, text);
        let rest = folded.get(indent..).unwrap_or("\n");
        let width = indent - 2;

        format!("  {name:<width$}{rest}")
    }

    /// On a terminal, a page of `text` that replaces the previous one.
    pub(super) fn page(&self, text: &str) -> String {
        let Some(height) = self.height else {
            return text.to_owned();
        };

        let height = height.saturating_sub(2);
        // ECMA-48: move to the upper left corner and erase the screen.
        let mut page = String::from("\u{1b}[H\u{1b}[2J");
        let mut rows = 0;
        let mut shown = 0;
        for line in text.lines() {
            rows += self.rows(line);
            if rows > height {
                break;
            }
            page.push_str(line);
            page.push('\n');
            shown += 1;
        }
        let more = text.lines().count() - shown;
        if more > 0 {
            page.push_str(&format!("{more} more lines"));
        }
        page
    }

    /// Number of rows that `line` takes on the terminal: a command may need several.
    pub(super) fn rows(&self, line: &str) -> usize {
        // ECMA-48: a colour sequence ends with an m and takes no column.
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default();
        let coloured = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
        let columns: usize = coloured.map(|part| part.chars().count()).sum();

        (first.chars().count() + columns)
            .div_ceil(self.width)
            .max(1)
    }
}

fn variable(name: &str) -> String {
    // A value that is not UTF-8 says nothing about a terminal.
    std::env::var(name).unwrap_or_default()
}

/// Lines and columns of the terminal; `None` if they are unknown.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;

    (size.ws_col > 0).then_some((size.ws_row.into(), size.ws_col.into()))
}

/// The parts between which a line may be folded: words, quotations in backticks, and a command of
/// this program after a colon.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;

    loop {
        let quoted = rest.strip_prefix('`').and_then(|after| after.find('`'));
        let is_command = rest.starts_with("ringway ")
            && words.last().is_some_and(|word: &&str| word.ends_with(':'));
        // A full stop or a comma may follow the closing backtick.
        let from = match quoted {
            Some(end) => end + 2,
            None if is_command => rest.len(),
            None => 0,
        };
        let Some(end) = rest[from..].find(' ') else {
            words.push(rest);
            return words;
        };

        words.push(&rest[..from + end]);
        rest = &rest[from + end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_digests_and_paths_are_not_folded() {
        let screen = Screen::plain(40);
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let path = format!("/etc/{}/gateway.toml", "directory".repeat(8));
        for whole in [
            digest.as_str(),
            &path,
            "`ringway member add organization2.member.toml`,",
        ] {
            let folded = screen.fold(4, &format!("some words, then {whole} and more of them"));
            assert!(folded.contains(whole), "{folded}");
            assert!(folded.lines().count() > 1, "{folded}");
        }

        let command = "ringway status --drops";
        let folded = screen.fold(
            0,
            &format!("packets dropped so far: 123456; why: {command}"),
        );
        assert!(folded.ends_with(&format!("\n{command}\n")), "{folded}");
        // A single backtick has no meaning.
        assert_eq!(screen.fold(0, "a `b c"), "a `b c\n");
    }

    #[test]
    fn a_long_line_takes_several_rows_of_a_page() {
        let screen = Screen::terminal(40, 6);
        let page = screen.page(&format!("{}\nb\nc\n", "a".repeat(120)));

        assert!(
            page.contains("\nb\n") && page.ends_with("1 more lines"),
            "{page}"
        );
        assert_eq!(screen.rows("\u{1b}[1;31maaaa\u{1b}[0m"), 1);
    }
}
