//! [`ListChange`]: the change of a list in a record by `set` verbs.

use std::fmt::Display;

use super::Failure;

/// Either a replacement of the list, or elements to add and to remove.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListChange<'a, T> {
    /// The replacement; empty if there is none. Excludes the other two.
    pub(super) instead: &'a [T],
    pub(super) more: &'a [T],
    pub(super) less: &'a [T],
}

impl<T: Clone + PartialEq + Display> ListChange<'_, T> {
    /// The list after the change. `what` describes the elements in an error.
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
