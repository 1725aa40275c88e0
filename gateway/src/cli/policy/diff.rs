//! The difference between two versions of a file that differ in one place.

/// Number of unchanged lines shown before and after the difference.
const CONTEXT: usize = 3;

/// The difference from `before` to `after` with its context, in the format of `diff -u`.
pub(super) fn diff(name: &str, before: &str, after: &str) -> String {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();

    let same = |(old, new): &(&&str, &&str)| old == new;
    let start = old.iter().zip(&new).take_while(same).count();
    // The common end must not overlap the common start, for example if one of two equal lines is
    // removed.
    let most = old.len().min(new.len()) - start;
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(most)
        .take_while(same)
        .count();

    let first = start.saturating_sub(CONTEXT);
    let trailing = end.min(CONTEXT);
    let old_last = old.len() - end;
    let new_last = new.len() - end;
    let mut text = format!(
        "--- {name}\n+++ {name}\n@@ -{},{} +{},{} @@\n",
        first + 1,
        old_last + trailing - first,
        first + 1,
        new_last + trailing - first
    );
    push(&mut text, ' ', &old[first..start]);
    push(&mut text, '-', &old[start..old_last]);
    push(&mut text, '+', &new[start..new_last]);
    push(&mut text, ' ', &old[old_last..old_last + trailing]);
    text
}

fn push(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_added_between_its_neighbours() {
        let text = diff("f", "a\nb\nc\nd\ne\n", "a\nb\nc\nd\nx\ny\ne\n");
        assert_eq!(
            text,
            "--- f\n+++ f\n@@ -2,4 +2,6 @@\n b\n c\n d\n+x\n+y\n e\n"
        );
    }

    #[test]
    fn a_line_may_be_replaced_and_repeated() {
        assert_eq!(
            diff("f", "a\n", "b\n"),
            "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-a\n+b\n"
        );
        let text = diff("f", "a\n", "a\na\n");
        assert!(text.ends_with(" a\n+a\n"), "{text}");
    }
}
