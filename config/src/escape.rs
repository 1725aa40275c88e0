//! [`Escaped`]: untrusted text, made safe to print.
//!
//! A subject in a certificate, a key in a record, a reason that a peer sends: each can hold
//! characters that move a terminal's cursor, start a line, or reorder and hide the text around
//! them. Printed raw, a tampered record can show the fingerprint of the genuine one, and a line of
//! a log can be forged.

use std::fmt::{self, Write as _};

/// Displays a text with every character that is not visible by itself as an escape: `\n`, `\u{1b}`.
///
/// Escaped are control characters (ESC, CR and the C1 set among them), format characters
/// (bidirectional controls, zero width), line and paragraph separators, every space but U+0020,
/// combining marks, and what Unicode has not assigned. Backslashes stay as they are, so that
/// escaping twice changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_printable(character) {
                f.write_char(character)?;
            } else {
                write!(f, "{}", character.escape_debug())?;
            }
        }
        Ok(())
    }
}

/// True if `character` is visible by itself and leaves the text around it alone.
pub fn is_printable(character: char) -> bool {
    // `escape_debug` knows the Unicode categories; quotes and backslashes it escapes for Rust's
    // sake.
    matches!(character, '\\' | '\'' | '"') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        Escaped(text).to_string()
    }

    #[test]
    fn shows_what_a_terminal_would_obey() {
        assert_eq!(escaped("\u{1b}[A\u{1b}[22G7ccb"), r"\u{1b}[A\u{1b}[22G7ccb");
        assert_eq!(escaped("a\rb\nc\td\0"), r"a\rb\nc\td\0");
        assert_eq!(escaped("\u{7f}\u{9b}2J\u{85}"), r"\u{7f}\u{9b}2J\u{85}");
    }

    #[test]
    fn shows_what_reorders_hides_or_breaks_text() {
        for character in [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            '\u{a0}',
            '\u{3000}',
            '\u{301}',
            '\u{fe0f}',
        ] {
            let hexadecimal = format!("a\\u{{{:x}}}b", u32::from(character));
            assert_eq!(escaped(&format!("a{character}b")), hexadecimal);
        }
    }

    #[test]
    fn leaves_visible_text_as_it_is() {
        for text in [
            "O=Müller & Söhne, CN=\"gw\"",
            r"C:\new",
            "日本",
            "it's 5 € …",
        ] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn escaping_twice_changes_nothing() {
        let once = escaped("\u{1b}[2J\r\n\\");
        assert_eq!(escaped(&once), once);
    }
}
