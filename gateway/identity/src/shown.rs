//! [`shown`]: shortens and escapes text from a certificate, a request or a list for display.

use ringway_config::Escaped;

/// Maximum number of characters. A subject may have any length.
const MOST_CHARACTERS: usize = 200;

/// `text`, shortened and escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(MOST_CHARACTERS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    // Escaped after shortening, so that no escape is cut.
    Escaped(&start).to_string()
}
