//! [`Screen`]: what stdout is: a terminal of some width that shows colours, or a file.

use std::io::{self, IsTerminal as _};

use ringway_config::Escaped;

/// Columns where nothing says how many there are.
const WIDTH: usize = 80;

/// Fewer columns are taken for so many: nothing is readable there.
const LEAST: usize = 40;

/// See the head of this file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: usize,
    /// Lines; `None` unless it is a terminal.
    pub(super) height: Option<usize>,
    pub(super) has_colour: bool,
}

/// How a word stands out.
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
    /// By what stdout is, and what the environment says: COLUMNS, TERM, and NO_COLOR
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

    /// `text` escaped and broken into lines of this screen's width, each after `indent` blanks.
    pub(super) fn fold(&self, indent: usize, text: &str) -> String {
        let escaped = Escaped(text).to_string();
        let room = self.width.saturating_sub(indent).max(LEAST / 2);
        let mut lines = String::new();
        let mut line = String::new();

        for word in escaped.split(' ').flat_map(|word| pieces(word, room)) {
            let is_full = line.chars().count() + 1 + word.chars().count() > room;
            if !line.is_empty() && is_full {
                lines.push_str(&format!("{:indent$}{line}\n", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        let last = format!("{:indent$}{line}", "");
        lines.push_str(last.trim_end());
        lines.push('\n');
        lines
    }

    /// `text` folded in a column of its own, `indent` wide, with `name` before its first line.
    pub(super) fn fact(&self, name: &str, indent: usize, text: &str) -> String {
        let folded = self.fold(indent, text);
        let rest = folded.get(indent..).unwrap_or("\n");
        let width = indent - 2;

        format!("  {name:<width$}{rest}")
    }

    /// On a terminal, a screenful of `text` that takes the place of what was there.
    pub(super) fn page(&self, text: &str) -> String {
        let Some(height) = self.height else {
            return text.to_owned();
        };

        let room = height.saturating_sub(2);
        // ECMA-48: go to the upper left corner, and erase everything.
        let mut page = String::from("\u{1b}[H\u{1b}[2J");
        for line in text.lines().take(room) {
            page.push_str(line);
            page.push('\n');
        }
        let more = text.lines().count().saturating_sub(room);
        if more > 0 {
            page.push_str(&format!("{more} more lines"));
        }
        page
    }
}

fn variable(name: &str) -> String {
    // What is not UTF-8 says nothing about a terminal.
    std::env::var(name).unwrap_or_default()
}

/// Lines and columns of the terminal; `None` if it does not say.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;

    (size.ws_col > 0).then_some((size.ws_row.into(), size.ws_col.into()))
}

/// A word that is longer than a line, in parts.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }

    characters.chunks(room).map(String::from_iter).collect()
}
