//! [`Source`]: the text of one file, and the line and column of each byte in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::report::Report;
use crate::{Place, limits};

/// Bytes counted at once.
const BLOCK: usize = 1024;

/// Syntax errors reported of one file.
const MOST_SYNTAX_ERRORS: usize = 3;

/// One file's text and the report that its faults go to.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    file: Arc<PathBuf>,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes: a file may be one long line.
    blocks: Vec<usize>,
    pub(crate) report: &'a Report,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, file: &Path, report: &'a Report) -> Source<'a> {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let counts = text.as_bytes().chunks(BLOCK).scan(0, |before, block| {
            *before += characters(block);
            Some(*before)
        });
        let blocks = std::iter::once(0).chain(counts).collect();
        Source {
            text,
            file: Arc::new(file.to_owned()),
            lines,
            blocks,
            report,
        }
    }

    /// The place of the byte at `offset`; the column counts characters.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|&start| start <= offset);
        let column =
            self.characters_before(offset) - self.characters_before(self.lines[line - 1]) + 1;
        Place {
            file: Arc::clone(&self.file),
            line: line as u32,
            column: column as u32,
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        self.blocks[block] + characters(&self.text.as_bytes()[block * BLOCK..offset])
    }

    /// The document's top table; `None` if it is no TOML. Of the syntax errors the first of each line is
    /// reported, and only a few: most of the later ones come from misreading an earlier one.
    pub(crate) fn parse(&self) -> Option<DeTable<'a>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let placed = errors.iter().map(|error| {
            let place = error
                .span()
                .map_or_else(|| self.whole(), |span| self.place(span.start));
            (
                place.line,
                (
                    place,
                    error.message().replacen(", expected ", "; expected ", 1),
                ),
            )
        });
        let first_of_lines: BTreeMap<_, _> = placed.rev().collect();
        for (place, message) in first_of_lines.into_values().take(MOST_SYNTAX_ERRORS) {
            self.report.fault(&place, message);
        }
        errors.is_empty().then(|| document.into_inner())
    }

    /// The file as a whole.
    pub(crate) fn whole(&self) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: 0,
            column: 0,
        }
    }

    /// The bytes of `span` as they stand in the file.
    pub(crate) fn raw(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }
}

/// Every byte but those that continue a character (RFC 3629, section 3).
fn characters(utf8: &[u8]) -> usize {
    utf8.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// Reads a file whole. `None` if that fails or it is too large or no UTF-8: the report then says what to
/// do about it.
pub(crate) fn read(path: &Path, report: &Report) -> Option<String> {
    let whole = Place::whole(path);
    let mut bytes = Vec::new();
    let limit = limits::FILE_BYTES as u64 + 1;
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(read) if read <= limits::FILE_BYTES => {}
        Ok(_) => {
            report.fault(
                &whole,
                "the file is larger than 1 MiB; is it the right one?",
            );
            return None;
        }
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::NotFound => "create it, or correct the path",
                ErrorKind::PermissionDenied => "let this user read it",
                _ => "it must be a readable file",
            };
            report.fault(&whole, format!("cannot read the file: {error}; {remedy}"));
            return None;
        }
    }
    String::from_utf8(bytes)
        .map_err(|error| report_bytes(path, &error, report))
        .ok()
}

fn report_bytes(path: &Path, error: &std::string::FromUtf8Error, report: &Report) {
    let good = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(&error.as_bytes()[..good]);
    let place = Source::new(&text, path, report).place(good);
    report.fault(
        &place,
        "the byte here is not UTF-8; save the file as UTF-8 text",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters_and_a_line_starts_after_its_break() {
        let report = Report::default();
        let text = "a = 1\nä = \"ö\"\r\n";
        let source = Source::new(text, Path::new("x.toml"), &report);
        let at = |offset| source.place(offset).to_string();
        assert_eq!(at(0), "x.toml:1:1");
        assert_eq!(at(text.find('ä').unwrap()), "x.toml:2:1");
        assert_eq!(at(text.find('ö').unwrap()), "x.toml:2:6");
        assert_eq!(at(text.len()), "x.toml:3:1");
        assert_eq!(at(text.len() + 100), "x.toml:3:1");
        let long = "ä".repeat(3 * BLOCK);
        let source = Source::new(&long, Path::new("x.toml"), &report);
        assert_eq!(source.place(4 * BLOCK + 2).column as usize, 2 * BLOCK + 2);
    }
}
