//! The known word that a mistyped one was probably meant to be.

/// The end of a fault about the unknown `word`: the known one that was probably meant, or else
/// `otherwise`.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, known).map_or_else(otherwise, |meant| format!("did you mean {meant}?"))
}

/// The candidate nearest to `word`, if it is near enough to be offered.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Keys and names have hyphens; authors of TOML often write underscores.
    let word = word.to_ascii_lowercase().replace('_', "-");
    let (distance, candidate) = candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(&word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;

    // A third of the letters may be wrong, and one more so that short words have a chance; but not
    // all of them.
    (distance <= candidate.len() / 3 + 1 && distance < candidate.len()).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_the_word_that_was_probably_meant_and_no_distant_one() {
        let known = ["name", "site", "endpoints", "state-dir"];
        let offered = |word| nearest(word, known);
        assert_eq!(offered("endpoint"), Some("endpoints"));
        assert_eq!(offered("state_dir"), Some("state-dir"));
        assert_eq!(offered("Name"), Some("name"));
        assert_eq!(offered("stie"), Some("site"));
        assert_eq!(offered("mtu"), None);
        assert_eq!(offered(""), None);
    }
}
