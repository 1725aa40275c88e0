//! [`LineEnds`]: how the lines of a file end, and whether it begins with a byte order mark. Editors
//! of Windows write both, and the TOML parser keeps neither: an edit must not change every line.

use toml_edit::DocumentMut;

/// The byte order mark of UTF-8.
const MARK: char = '\u{feff}';

/// See the head of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct LineEnds {
    /// Most lines end with CR LF.
    is_crlf: bool,
    has_mark: bool,
}

impl LineEnds {
    /// Those of `text`.
    pub(in crate::cli) fn of(text: &str) -> LineEnds {
        let all = text.matches('\n').count();
        let crlf = text.matches("\r\n").count();

        LineEnds {
            is_crlf: 2 * crlf > all,
            has_mark: text.starts_with(MARK),
        }
    }

    /// The text of `document` with these line ends.
    pub(in crate::cli) fn text(self, document: &DocumentMut) -> String {
        let mut text = document.to_string();

        if self.is_crlf {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        if self.has_mark && !text.starts_with(MARK) {
            text.insert(0, MARK);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::edit::{parse, set};

    #[test]
    fn an_edit_keeps_the_line_ends_and_the_byte_order_mark() {
        for text in [
            "a = 1\nb = \"\"\"\nx\ny\"\"\"\n",
            "a = 1\r\n# why\r\nb = \"\"\"\r\nx\r\ny\"\"\"\r\n",
            "\u{feff}a = 1\nb = 2\n",
            "\u{feff}a = 1 # why\r\nb = 2\r\n",
        ] {
            let mut document = parse(text).unwrap();
            assert_eq!(LineEnds::of(text).text(&document), text);

            set(document.as_table_mut(), "a", 7);
            assert_eq!(
                LineEnds::of(text).text(&document),
                text.replace("a = 1", "a = 7")
            );
        }
    }
}
