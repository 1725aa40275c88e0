//! [`Counts`]: numbers of packets of one direction, and how late the emulator sent them.

use std::time::Duration;

use serde_json::{Value, json};

/// Numbers of packets. A packet is counted under every name that applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that entered.
    pub arrived: u64,
    /// Packets that left, duplicates included.
    pub delivered: u64,
    /// Bytes of the packets that left.
    pub bytes: u64,
    /// Dropped at random.
    pub lost: u64,
    /// Duplicates created.
    pub duplicated: u64,
    /// Held back while others passed.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Given another source address.
    pub forged: u64,
    /// Dropped because the queue of the rate limit was full.
    pub queue_full: u64,
    /// Dropped because they were longer than the MTU and must not be fragmented.
    pub too_big: u64,
    /// Dropped because address translation has no entry for them.
    pub untranslated: u64,
    /// Dropped because the emulator's heap was full. Any makes a measurement void.
    pub overflow: u64,
    /// How much later than due the packets left.
    pub late: Lateness,
}

impl Counts {
    /// As a JSON object, with two quantiles of the lateness in microseconds.
    pub fn as_json(&self) -> Value {
        json!({
            "arrived": self.arrived,
            "delivered": self.delivered,
            "bytes": self.bytes,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "corrupted": self.corrupted,
            "forged": self.forged,
            "queue_full": self.queue_full,
            "too_big": self.too_big,
            "untranslated": self.untranslated,
            "overflow": self.overflow,
            "late_p50_us": self.late.quantile(0.5),
            "late_p99_us": self.late.quantile(0.99),
        })
    }
}

/// A histogram of delays, with classes that double.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Class n counts delays below 2^n microseconds.
    classes: [u64; 24],
}

impl Lateness {
    /// Counts one packet.
    pub fn add(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = (u64::BITS - micros.leading_zeros()) as usize;
        self.classes[class.min(self.classes.len() - 1)] += 1;
    }

    /// The upper bound, in microseconds, of the class that contains the quantile `share`; 0 without
    /// packets.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = self.classes.iter().sum::<u64>() as f64 * share;

        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if *count > 0 && seen as f64 >= wanted {
                return 1 << class;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_upper_bound_of_its_class() {
        let mut late = Lateness::default();
        assert_eq!(late.quantile(0.5), 0);

        for _ in 0..99 {
            late.add(Duration::from_micros(3));
        }
        late.add(Duration::from_millis(5));
        assert_eq!(late.quantile(0.5), 4);
        assert_eq!(late.quantile(0.99), 4);
        assert_eq!(late.quantile(1.0), 8192);
    }
}
