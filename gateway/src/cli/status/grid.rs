//! [`Grid`]: rows in columns that fit the screen, with notes below a row.

use ringway_config::Escaped;

use super::screen::{Screen, Style};

/// Blanks before a note.
const INDENT: usize = 4;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Grid {
    headings: Vec<Heading>,
    rows: Vec<Row>,
}

/// A column. On a narrow screen, columns with a higher `rank` are left out first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heading {
    pub(super) text: &'static str,
    pub(super) rank: u8,
}

/// One row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<(Style, String)>,
    pub(super) notes: Vec<String>,
}

impl Grid {
    pub(super) fn new(headings: &[(&'static str, u8)]) -> Grid {
        let headings = headings
            .iter()
            .map(|(text, rank)| Heading { text, rank: *rank });

        Grid {
            headings: headings.collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn show(&self, screen: &Screen) -> String {
        let columns = self.columns(screen);
        let mut text = self.line(&columns, screen, &|column| {
            (Style::Faint, self.headings[column].text.to_owned())
        });

        for row in &self.rows {
            text.push_str(&self.line(&columns, screen, &|column| row.cells[column].clone()));
            for note in &row.notes {
                text.push_str(&screen.fold(INDENT, note));
            }
        }
        text
    }

    /// Indices of the columns that fit.
    fn columns(&self, screen: &Screen) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..self.headings.len()).collect();

        loop {
            // Two blanks follow each column except the last.
            let widths = columns.iter().map(|column| self.width(*column) + 2);
            let last = columns
                .iter()
                .copied()
                .max_by_key(|column| self.headings[*column].rank);
            let Some(last) = last.filter(|column| self.headings[*column].rank > 0) else {
                return columns;
            };
            if widths.sum::<usize>() <= screen.width + 2 {
                return columns;
            }
            columns.retain(|column| *column != last);
        }
    }

    fn width(&self, column: usize) -> usize {
        // Notes are below their row and do not affect column widths.
        let cells = self.rows.iter().map(|row| width(&row.cells[column].1));

        cells
            .max()
            .unwrap_or(0)
            .max(width(self.headings[column].text))
    }

    fn line(
        &self,
        columns: &[usize],
        screen: &Screen,
        cell: &dyn Fn(usize) -> (Style, String),
    ) -> String {
        let mut line = String::new();
        for (place, column) in columns.iter().enumerate() {
            let (style, text) = cell(*column);
            // Escape sequences for colours have no width.
            let blanks = match place + 1 == columns.len() {
                true => 0,
                false => self.width(*column) - width(&text) + 2,
            };
            line.push_str(&screen.show(style, &text));
            line.push_str(&" ".repeat(blanks));
        }

        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// The width on the screen.
fn width(text: &str) -> usize {
    Escaped(text).to_string().chars().count()
}
