//! [`Source`]: the text of one file, and the line and column of each byte in it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;

use toml::de::DeTable;

use super::report::Report;
use crate::{Place, Position, Unwritten, limits, reading};

/// Bytes between two places whose characters were counted. A file may be one long line, and
/// counting from its start for each fault would take quadratic time.
const BLOCK: usize = 1024;

/// Characters of a line that are quoted.
const MOST_OF_A_LINE: usize = 120;

/// Syntax errors that are reported of one file.
const MOST_SYNTAX_ERRORS: usize = 3;

/// One file's text and the report that its faults go to.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    file: Arc<PathBuf>,
    /// Offsets at which the lines begin.
    lines: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes.
    blocks: Vec<usize>,
    /// Of a text that is to be written: for each line, that of the file.
    written: Option<Vec<Option<u32>>>,
    pub(crate) report: &'a Report,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, file: &Path, report: &'a Report) -> Source<'a> {
        let mut lines = vec![0];
        for (offset, _) in text.match_indices('\n') {
            lines.push(offset + 1);
        }

        let mut blocks = vec![0];
        let mut count = 0;
        for block in text.as_bytes().chunks(BLOCK) {
            count += characters(block);
            blocks.push(count);
        }

        Source {
            text,
            file: Arc::new(file.to_owned()),
            lines,
            blocks,
            written: report.written_lines(file),
            report,
        }
    }

    /// The place of the byte at `offset`.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());

        // `lines` begins with 0, so that at least one line starts at or before the offset.
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines[line - 1];
        let column = self.characters_before(offset) - self.characters_before(start) + 1;

        // A file has at most `limits::FILE_BYTES`, far less than u32::MAX.
        let position = Position {
            line: line as u32,
            column: column as u32,
        };
        match &self.written {
            None => self.at(position),
            Some(written) => match written.get(line - 1).copied().flatten() {
                Some(line) => self.at(Position { line, ..position }),
                None => self.unwritten(position, start),
            },
        }
    }

    fn at(&self, position: Position) -> Place {
        Place::at(Arc::clone(&self.file), position.line, position.column)
    }

    /// The place in a line that begins at `start` and is in no file.
    fn unwritten(&self, position: Position, start: usize) -> Place {
        let line = self.text[start..].lines().next().unwrap_or_default().trim();
        let mut shown: String = line.chars().take(MOST_OF_A_LINE).collect();
        if shown.len() < line.len() {
            shown.push('…');
        }

        Place {
            unwritten: Some(Unwritten {
                position,
                line: shown.into(),
            }),
            ..self.whole()
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        // Counted from the start of the block, which may lie inside a character.
        let block = offset / BLOCK;
        self.blocks[block] + characters(&self.text.as_bytes()[block * BLOCK..offset])
    }

    /// The document's top table; `None` if the text is not TOML.
    pub(crate) fn parse(&self) -> Option<DeTable<'a>> {
        // The recovering parser goes on after an error, so that one run reports several.
        let (document, errors) = DeTable::parse_recoverable(self.text);
        self.report_syntax(&errors);

        // Keys of a document with syntax errors may be missing for no fault of theirs.
        errors.is_empty().then(|| document.into_inner())
    }

    /// Reports the first error of each line, and only of a few lines: the parser guesses how to go
    /// on after an error, and most of the later ones come from a wrong guess.
    fn report_syntax(&self, errors: &[toml::de::Error]) {
        let mut first_of_lines = BTreeMap::new();
        for error in errors {
            let place = match error.span() {
                Some(span) => self.place(span.start),
                None => self.whole(),
            };
            // The first error of a line often causes the others.
            let unwritten = place.unwritten.as_ref().map(|unwritten| unwritten.position);
            let line = place.position.or(unwritten).map(|position| position.line);
            first_of_lines.entry(line).or_insert((place, error));
        }

        for (place, error) in first_of_lines.into_values().take(MOST_SYNTAX_ERRORS) {
            // What the parser expected is the correct form.
            let message = error.message().replacen(", expected ", "; expected ", 1);
            self.report.fault(&place, message);
        }
    }

    /// The file as a whole.
    pub(crate) fn whole(&self) -> Place {
        Place {
            file: Arc::clone(&self.file),
            position: None,
            unwritten: None,
        }
    }

    /// The bytes of `span` as they stand in the file.
    pub(crate) fn raw(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }
}

/// Characters in a piece of UTF-8 text, which may begin inside a character.
fn characters(utf8: &[u8]) -> usize {
    // RFC 3629, section 3: every byte of a character but the first is 10xxxxxx.
    utf8.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// Reads a whole file. `None`, and a fault, if that fails or the file is too large or not UTF-8.
pub(crate) fn read(path: &Path, report: &Report) -> Option<String> {
    // A text that is to be written is checked in place of the file.
    let bytes = match report.edited(path) {
        Some(text) => Ok(text.clone().into_bytes()),
        None => read_bytes(path),
    };

    match bytes {
        Ok(bytes) if bytes.len() > limits::FILE_BYTES => {
            let message = "the file is larger than 1 MiB; is it the right one?";
            report.fault(&Place::whole(path), message);
            None
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                report_bytes(path, &error, report);
                None
            }
        },
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::NotFound => "create it, or correct the path",
                ErrorKind::PermissionDenied => "let this user read it",
                _ => "it must be a readable file",
            };
            let message = format!("cannot read the file: {error}; {remedy}");
            report.fault(&Place::whole(path), message);
            None
        }
    }
}

/// The bytes of a file, up to one more than are allowed.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that a file is too large, or a device endless.
    reading::open(path)?
        .take(limits::FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;

    Ok(bytes)
}

/// Reports where the first byte is that is not UTF-8.
fn report_bytes(path: &Path, error: &FromUtf8Error, report: &Report) {
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
        for (offset, place) in [
            (0, "x.toml:1:1"),
            (text.find('ä').unwrap(), "x.toml:2:1"),
            (text.find('ö').unwrap(), "x.toml:2:6"),
            (text.len(), "x.toml:3:1"),
            (text.len() + 100, "x.toml:3:1"),
        ] {
            assert_eq!(source.place(offset).to_string(), place);
        }
    }

    #[test]
    fn a_column_is_right_beyond_the_first_block_of_a_long_line() {
        let report = Report::default();
        let long = "ä".repeat(3 * BLOCK);
        let source = Source::new(&long, Path::new("x.toml"), &report);
        let position = source.place(4 * BLOCK + 2).position.unwrap();
        assert_eq!(position.column as usize, 2 * BLOCK + 2);
    }
}
