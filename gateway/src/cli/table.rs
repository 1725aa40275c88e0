//! [`Table`]: text in columns.

use std::fmt;

use ringway_config::Escaped;

/// Rows of cells, printed with two spaces between columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Table {
        Table {
            rows: vec![headings.map(str::to_owned).into()],
        }
    }

    /// A table without headings.
    pub fn plain() -> Table {
        Table::default()
    }

    /// Adds a row. Cells are escaped, because they may come from a certificate, a record or a peer:
    /// none can affect another.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let escaped = cells.map(|cell| Escaped(&cell).to_string());
        self.rows.push(escaped.into());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                // In characters, like the padding in `{:<width$}`.
                let width = self.width(column);
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["org", "site"]);
        table.row(["acme".into(), "east".into()]);
        assert_eq!(table.to_string(), "org   site\nacme  east\n");
    }

    #[test]
    fn cells_stay_in_their_columns() {
        let mut table = Table::plain();
        table.row([
            "CA".into(),
            "CN=\u{1b}[A\u{1b}[22G7ccb\r\nfingerprint".into(),
        ]);
        assert_eq!(
            table.to_string(),
            "CA  CN=\\u{1b}[A\\u{1b}[22G7ccb\\r\\nfingerprint\n"
        );
    }
}
