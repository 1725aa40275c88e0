//! [`Holders`]: which site holds an address. The most specific prefix decides.

use std::collections::BTreeMap;

use ringway_config::Prefix;

use crate::packet::{Bits, bits};

/// Who holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// This site.
    Own,
    /// A remote site, by its place in the rules.
    Site(usize),
    /// No site, or two that claim the same prefix.
    Nobody,
}

/// All prefixes of all sites, as the intervals that nested prefixes leave.
#[derive(Default)]
pub(crate) struct Holders {
    v4: Vec<Interval>,
    v6: Vec<Interval>,
}

/// From an address to the one before the next interval.
#[derive(Clone, Copy)]
struct Interval {
    start: Bits,
    holder: Holder,
}

impl Holders {
    pub(crate) fn new(claims: impl IntoIterator<Item = (Prefix, Holder)>) -> Holders {
        // Ordered by family, first address and length: a prefix follows those that cover it.
        let mut prefixes: BTreeMap<Prefix, Holder> = BTreeMap::new();
        for (prefix, holder) in claims {
            prefixes
                .entry(prefix)
                .and_modify(|first| {
                    if *first != holder {
                        *first = Holder::Nobody;
                    }
                })
                .or_insert(holder);
        }

        let mut v4 = Flattening::default();
        let mut v6 = Flattening::default();
        for (prefix, holder) in prefixes {
            let flattening = if prefix.is_ipv4() { &mut v4 } else { &mut v6 };
            flattening.add(bits(prefix.address()).1, bits(prefix.last()).1, holder);
        }

        Holders {
            v4: v4.finish(),
            v6: v6.finish(),
        }
    }

    #[inline]
    pub(crate) fn lookup(&self, v6: bool, address: Bits) -> Holder {
        let intervals = if v6 { &self.v6 } else { &self.v4 };
        let behind = intervals.partition_point(|interval| interval.start <= address);

        match behind.checked_sub(1) {
            Some(at) => intervals[at].holder,
            None => Holder::Nobody,
        }
    }
}

/// Turns nested prefixes, the outer ones first, into intervals.
#[derive(Default)]
struct Flattening {
    intervals: Vec<Interval>,
    /// Prefixes that reach to the present address, the innermost last: last address and holder.
    open: Vec<(Bits, Holder)>,
}

impl Flattening {
    fn add(&mut self, first: Bits, last: Bits, holder: Holder) {
        self.close_before(Some(first));
        self.begin(first, holder);
        self.open.push((last, holder));
    }

    fn finish(mut self) -> Vec<Interval> {
        self.close_before(None);
        self.intervals
    }

    /// Ends the prefixes that do not reach `address`; all of them without one.
    fn close_before(&mut self, address: Option<Bits>) {
        while let Some((last, _)) = self.open.last().copied() {
            if address.is_some_and(|address| last >= address) {
                return;
            }

            // Behind its end, the prefix around it counts again.
            self.open.pop();
            let outer = self
                .open
                .last()
                .map_or(Holder::Nobody, |(_, holder)| *holder);
            if let Some(behind) = last.checked_add(1) {
                self.begin(behind, outer);
            }
        }
    }

    fn begin(&mut self, start: Bits, holder: Holder) {
        match self.intervals.last_mut() {
            Some(last) if last.start == start => last.holder = holder,
            _ => self.intervals.push(Interval { start, holder }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(holders: &Holders, address: &str) -> Holder {
        let (v6, address) = bits(address.parse().unwrap());
        holders.lookup(v6, address)
    }

    #[test]
    fn the_most_specific_prefix_decides_and_a_tie_belongs_to_nobody() {
        let holders = Holders::new(
            [
                ("10.1.0.0/16", Holder::Own),
                ("10.1.4.0/24", Holder::Site(0)),
                ("10.1.4.8/29", Holder::Own),
                ("10.2.0.0/16", Holder::Site(1)),
                ("10.2.0.0/16", Holder::Site(0)),
                ("0.0.0.0/1", Holder::Site(2)),
                ("ff00::/8", Holder::Site(0)),
            ]
            .map(|(prefix, holder)| (prefix.parse().unwrap(), holder)),
        );

        for (address, holder) in [
            ("0.0.0.0", Holder::Site(2)),
            ("10.0.255.255", Holder::Site(2)),
            ("10.1.3.255", Holder::Own),
            ("10.1.4.7", Holder::Site(0)),
            ("10.1.4.15", Holder::Own),
            ("10.1.4.16", Holder::Site(0)),
            ("10.1.5.0", Holder::Own),
            ("10.2.3.4", Holder::Nobody),
            ("10.3.0.0", Holder::Site(2)),
            ("128.0.0.0", Holder::Nobody),
            ("fe00::", Holder::Nobody),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Holder::Site(0)),
        ] {
            assert_eq!(lookup(&holders, address), holder, "{address}");
        }
    }
}
