//! [`Set`]: a set or verdict map of nftables, of single values or of ranges.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use super::expression::Verdict;

/// See the head of this file.
#[derive(Debug)]
pub(super) enum Set {
    /// The values.
    Values(BTreeMap<Vec<u8>, Option<Verdict>>),
    /// The starts of ranges, with their elements. A key without an element ends the range before
    /// it.
    Ranges(BTreeMap<Vec<u8>, Option<Element>>),
}

/// The element of a value: with a verdict, if the set is a map.
pub(super) type Element = Option<Verdict>;

impl Set {
    /// From the elements that the kernel lists, in any order. Each has a key, whether the key ends
    /// a range, and a verdict.
    pub(super) fn of(elements: Vec<(Vec<u8>, bool, Option<Verdict>)>, has_ranges: bool) -> Set {
        if !has_ranges {
            let values = elements.into_iter();
            return Set::Values(values.map(|(key, _, verdict)| (key, verdict)).collect());
        }

        let mut ranges = BTreeMap::new();
        for (key, is_end, verdict) in elements {
            // One range may begin where another ends.
            if !is_end {
                ranges.insert(key, Some(verdict));
            } else {
                ranges.entry(key).or_insert(None);
            }
        }
        Set::Ranges(ranges)
    }

    pub(super) fn has_ranges(&self) -> bool {
        matches!(self, Set::Ranges(_))
    }

    /// The element for `value`, which may be longer than the keys.
    pub(super) fn find(&self, value: &[u8]) -> Option<&Element> {
        match self {
            Set::Values(values) => values
                .iter()
                .find(|(key, _)| value.starts_with(key))
                .map(|(_, verdict)| verdict),
            Set::Ranges(ranges) => {
                let length = ranges.keys().next()?.len();
                let up_to = (Unbounded, Included(value.get(..length)?));
                let (_, range) = ranges.range::<[u8], _>(up_to).next_back()?;
                range.as_ref()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_range_that_begins_last_before_it() {
        let at = |key: u8, is_end| (vec![10, key], is_end, None);
        // Adjacent ranges, and one without an end; the kernel lists the last one first.
        let listed = vec![
            at(9, false),
            at(5, true),
            at(3, false),
            at(3, true),
            at(1, false),
        ];
        let set = Set::of([listed, vec![(vec![0, 0], true, None)]].concat(), true);

        let found: Vec<bool> = (0..12)
            .map(|last| set.find(&[10, last]).is_some())
            .collect();
        let inside = |last: u8| (1..5).contains(&last) || last >= 9;
        assert_eq!(found, (0..12).map(inside).collect::<Vec<_>>());
        // A register is wider than the key.
        assert!(set.find(&[10, 2, 0, 0]).is_some() && set.find(&[10]).is_none());
    }

    #[test]
    fn an_empty_set_contains_no_value() {
        for has_ranges in [false, true] {
            assert!(Set::of(Vec::new(), has_ranges).find(&[1]).is_none());
        }
    }
}
