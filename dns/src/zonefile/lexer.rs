//! Entries and their tokens: comments, quotation marks, parentheses. Escapes stay as they are
//! written; what they mean depends on where they stand.

use super::{Place, ZoneFileError};

/// One entry: a line, or several joined by parentheses.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    /// Starts with blanks: its owner is the one before.
    pub(super) indented: bool,
    pub(super) tokens: Vec<Token<'t>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) at: Place,
    /// Without the quotation marks.
    pub(super) text: &'t str,
    pub(super) quoted: bool,
}

impl Token<'_> {
    /// True if no blank stands between `earlier` and this token.
    pub(super) fn follows(&self, earlier: &Token<'_>) -> bool {
        let marks = if earlier.quoted { 2 } else { 0 };
        let end = earlier.at.column as usize + earlier.text.chars().count() + marks;

        self.at.line == earlier.at.line && self.at.column as usize == end
    }
}

/// The entries of a file. After a fault the next line is tried.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Result<Entry<'_>, ZoneFileError>> {
    let mut lexer = Lexer {
        text,
        rest: text,
        at: Place { line: 1, column: 1 },
    };

    std::iter::from_fn(move || (!lexer.rest.is_empty()).then(|| lexer.entry()))
}

struct Lexer<'t> {
    text: &'t str,
    rest: &'t str,
    at: Place,
}

impl<'t> Lexer<'t> {
    fn entry(&mut self) -> Result<Entry<'t>, ZoneFileError> {
        let mut entry = Entry {
            indented: self.rest.starts_with([' ', '\t']),
            tokens: Vec::new(),
        };
        let mut open: Option<Place> = None;

        while let Some(next) = self.peek() {
            match next {
                '\n' => {
                    self.bump();
                    // RFC 1035, section 5.1: within parentheses, the end of a line is only a
                    // blank.
                    if open.is_none() {
                        break;
                    }
                }
                // All blanks that end a word, a form feed too: a word that starts at one would be
                // empty, and so would the next, for ever.
                blank if blank.is_ascii_whitespace() => drop(self.bump()),
                ';' => drop(self.take_while(|c| c != '\n')),
                '(' if open.is_none() => {
                    open = Some(self.at);
                    self.bump();
                }
                ')' if open.is_some() => {
                    open = None;
                    self.bump();
                }
                '(' | ')' => return Err(self.skip_line("this parenthesis has no partner", self.at)),
                '"' => entry.tokens.push(self.quoted()?),
                _ => entry.tokens.push(self.word()),
            }
        }

        match open {
            Some(at) => Err(at.fault("this parenthesis has no partner")),
            None => Ok(entry),
        }
    }

    fn quoted(&mut self) -> Result<Token<'t>, ZoneFileError> {
        let at = self.at;
        self.bump();
        let text = self.take_escaped(|c| c == '"' || c == '\n');

        match self.peek() {
            Some('"') => {
                self.bump();
                Ok(Token {
                    at,
                    text,
                    quoted: true,
                })
            }
            _ => Err(self.skip_line("the quotation mark is never closed", at)),
        }
    }

    fn word(&mut self) -> Token<'t> {
        let at = self.at;
        let text =
            self.take_escaped(|c| c.is_ascii_whitespace() || matches!(c, ';' | '(' | ')' | '"'));

        Token {
            at,
            text,
            quoted: false,
        }
    }

    /// Up to the first character that `ends` and is not escaped.
    fn take_escaped(&mut self, ends: impl Fn(char) -> bool) -> &'t str {
        let mut escaped = false;
        self.take_while(|c| {
            // An escape does not join two lines, so that a fault ends with its line.
            let goes_on = (escaped && c != '\n') || !ends(c);
            escaped = !escaped && c == '\\';
            goes_on
        })
    }

    fn take_while(&mut self, mut goes_on: impl FnMut(char) -> bool) -> &'t str {
        let start = self.text.len() - self.rest.len();

        while self.peek().is_some_and(&mut goes_on) {
            self.bump();
        }

        &self.text[start..self.text.len() - self.rest.len()]
    }

    fn skip_line(&mut self, message: &str, at: Place) -> ZoneFileError {
        self.take_while(|c| c != '\n');
        self.bump();
        at.fault(message)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];

        match next {
            '\n' => {
                self.at = Place {
                    line: self.at.line + 1,
                    column: 1,
                }
            }
            _ => self.at.column += 1,
        }
        Some(next)
    }
}
