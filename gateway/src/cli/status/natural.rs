//! Natural order: `gw2` before `gw10`.

use std::cmp::Ordering;

/// Compares runs of digits as numbers, and everything else by characters.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let mut left = one;
    let mut right = other;

    loop {
        let (Some(a), Some(b)) = (left.chars().next(), right.chars().next()) else {
            // The shorter text first; equal numbers such as 1 and 01 in any order.
            return left.len().cmp(&right.len()).then_with(|| one.cmp(other));
        };

        if a.is_ascii_digit() && b.is_ascii_digit() {
            let ordering = number(&mut left).cmp(&number(&mut right));
            if ordering != Ordering::Equal {
                return ordering;
            }
        } else if a == b {
            left = &left[a.len_utf8()..];
            right = &right[b.len_utf8()..];
        } else {
            return a.cmp(&b);
        }
    }
}

/// Takes the leading digits of `text`. They may be of any length, so they are compared as text:
/// without leading zeros, the longer number is greater.
fn number<'a>(text: &mut &'a str) -> (usize, &'a str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);

    *text = rest;
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = [
            "gw.org10",
            "gw.org2",
            "gw.org1",
            "gw.org010x",
            "gw.org10x",
            "10.9.0.0/24",
            "10.10.0.0/16",
            "10.10.0.0/24",
            "ä2",
            "ä10",
            "99999999999999999999999",
            "",
        ];
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(
            names,
            [
                "",
                "10.9.0.0/24",
                "10.10.0.0/16",
                "10.10.0.0/24",
                "99999999999999999999999",
                "gw.org1",
                "gw.org2",
                "gw.org10",
                "gw.org010x",
                "gw.org10x",
                "ä2",
                "ä10",
            ]
        );
    }
}
