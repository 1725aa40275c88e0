//! [`ListChange`]: what `set` verbs do to a list of a record.

use std::fmt::Display;

use super::Failure;

/// A list in place of the one in the record, or elements more and less.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListChange<'a, T> {
    /// Nothing else is given with it; empty if it is not.
    pub(super) instead: &'a [T],
    pub(super) more: &'a [T],
    pub(super) less: &'a [T],
}

impl<T: Clone + PartialEq + Display> ListChange<'_, T> {
    /// The list after the change. `what` says what an element that is missing is not.
    pub(super) fn of(&self, before: &[T], what: impl Display) -> Result<Vec<T>, Failure> {
        if !self.instead.is_empty() {
            return Ok(self.instead.to_vec());
        }
        if let Some(missing) = self.less.iter().find(|less| !before.contains(less)) {
            return Err(Failure::Usage(format!("{missing} is no {what}")));
        }

        let kept = before.iter().filter(|known| !self.less.contains(known));
        let mut after: Vec<T> = kept.cloned().collect();
        for more in self.more {
            if !after.contains(more) {
                after.push(more.clone());
            }
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_and_go_and_a_list_replaces_all() {
        let change = ListChange {
            instead: &[],
            more: &[3, 1],
            less: &[2],
        };
        assert_eq!(change.of(&[1, 2], "number").unwrap(), [1, 3]);
        let error = change.of(&[1], "number of the site").unwrap_err();
        assert_eq!(error.to_string(), "error: 2 is no number of the site");

        let instead = ListChange {
            instead: &[7],
            ..change
        };
        assert_eq!(instead.of(&[1], "number").unwrap(), [7]);
    }
}
