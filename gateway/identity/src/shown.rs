//! [`shown`]: text of a certificate, a request or a list, as people see it.

use ringway_config::Escaped;

/// Characters of a text that are shown. A subject may have any length.
const MOST_CHARACTERS: usize = 200;

/// `text` escaped, and cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(MOST_CHARACTERS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    // Escaped last: what is cut off must not take a part of an escape with it.
    Escaped(&start).to_string()
}
