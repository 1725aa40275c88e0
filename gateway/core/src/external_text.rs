//! [`ExternalText`]: a text that this project did not write.

use std::fmt;

use ringway_config::Escaped;

/// A message from the operating system, a library or a peer's certificate.
///
/// Its author may be hostile, and operators read it in terminals. [`Display`](fmt::Display)
/// therefore escapes control characters, invisible characters and those that change the direction
/// of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalText(String);

impl ExternalText {
    /// Takes the text as it is; it is escaped when it is shown.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for ExternalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_plain_text_as_it_is_and_escapes_what_a_terminal_would_obey() {
        let shown = |text: &str| ExternalText::new(text).to_string();

        assert_eq!(
            shown("no route to \"höst\" (os error 113)"),
            "no route to \"höst\" (os error 113)"
        );
        assert_eq!(shown("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(shown("abc\u{202e}cba"), "abc\\u{202e}cba");
    }
}
