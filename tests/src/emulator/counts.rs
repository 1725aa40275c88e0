//! [`Counts`]: what became of one direction's packets, and how late the emulator itself was.

use std::time::Duration;

use serde_json::{Value, json};

/// Packets, each counted under every name that applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub arrived: u64,
    /// Went out, copies included.
    pub delivered: u64,
    /// Bytes that went out.
    pub bytes: u64,
    /// Dropped by chance.
    pub lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Held back while others passed.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Given another source.
    pub forged: u64,
    /// Dropped because the queue of the rate limit was full.
    pub queue_full: u64,
    /// Dropped because they were longer than the MTU and must not be cut.
    pub too_big: u64,
    /// Dropped because address translation knew nothing of them.
    pub untranslated: u64,
    /// Dropped because the emulator had no room: the measurement is void.
    pub overflow: u64,
    /// Delivered later than they should have been.
    pub late: Lateness,
}

impl Counts {
    /// As an object; lateness in microseconds.
    pub fn as_json(&self) -> Value {
        json!({
            "arrived": self.arrived, "delivered": self.delivered, "bytes": self.bytes, "lost": self.lost,
            "duplicated": self.duplicated, "reordered": self.reordered, "corrupted": self.corrupted,
            "forged": self.forged, "queue_full": self.queue_full, "too_big": self.too_big,
            "untranslated": self.untranslated, "overflow": self.overflow,
            "late_p50_us": self.late.quantile(0.5), "late_p99_us": self.late.quantile(0.99),
        })
    }
}

/// How late packets left, in classes of a factor of two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Class n: less than 2^n microseconds.
    classes: [u64; 24],
}

impl Lateness {
    /// One packet more.
    pub fn add(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = (u64::BITS - micros.leading_zeros()) as usize;
        self.classes[class.min(self.classes.len() - 1)] += 1;
    }

    /// Microseconds than which `share` of the packets was less late: the bound of a class. 0 if there were none.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = self.classes.iter().sum::<u64>() as f64 * share;
        let mut seen = 0;
        let class = self.classes.iter().position(|count| {
            seen += count;
            *count > 0 && seen as f64 >= wanted
        });
        class.map_or(0, |class| 1 << class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_bounds_its_share() {
        let mut late = Lateness::default();
        assert_eq!(late.quantile(0.5), 0);
        (0..99).for_each(|_| late.add(Duration::from_micros(3)));
        late.add(Duration::from_millis(5));
        assert_eq!(
            (late.quantile(0.5), late.quantile(0.99), late.quantile(1.0)),
            (4, 4, 8192)
        );
    }
}
