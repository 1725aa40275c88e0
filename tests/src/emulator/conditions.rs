//! [`Conditions`]: what one direction of the link does to packets, and the quantities that say it.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// What one direction does. The default does nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Added to every packet.
    pub delay: Duration,
    /// At most this much more, evenly spread; packets keep their order.
    pub jitter: Duration,
    /// Vanish.
    pub loss: Share,
    /// Arrive twice, the second time this much later.
    pub duplicate: (Share, Duration),
    /// Are held back this long while those behind them pass.
    pub reorder: (Share, Duration),
    /// Arrive with one bit of what UDP or TCP carries flipped, and a checksum that does not tell.
    pub corrupt: Share,
    /// Arrive from this address in the place of their own.
    pub forge: Option<(Share, IpAddr)>,
    /// What passes in a second, and how much waits.
    pub rate: Option<Rate>,
    /// The longest packet.
    pub mtu: Option<Mtu>,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits in a second, headers of IP included; not 0.
    pub bits: u64,
    /// Bytes that may wait; more are dropped at the tail.
    pub queue: u64,
}

/// The longest packet, in bytes, and what becomes of longer ones that must not be fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// Bytes of an IP packet.
    pub bytes: u16,
    /// True: the sender is not told (a black hole).
    pub silent: bool,
}

/// A share of all packets, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// No packet.
    pub const NONE: Share = Share(0);
    /// Every packet.
    pub const ALL: Share = Share(1_000_000);

    /// 0 to 1,000,000.
    pub fn per_million(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;
    /// `0.1%`.
    fn from_str(text: &str) -> Result<Share, String> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Share((percent * 1e4).round() as u32)),
            None => Err(format!("{text:?} is no share; write 0.1%")),
        }
    }
}

/// `30ms`, `0.5s`, `200us`.
pub fn duration(text: &str) -> Result<Duration, String> {
    // The longer units first: `ms` ends in `s`.
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let seconds = scaled(text, &units).filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is no time; write 30ms"))
}

/// `100mbit`, `2gbit`, `500kbit`: bits in a second.
pub fn bits(text: &str) -> Result<u64, String> {
    let rate = scaled(text, &[("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]);
    rate.filter(|bits| (1e3..=1e12).contains(bits))
        .map(|bits| bits as u64)
        .ok_or_else(|| format!("{text:?} is no rate; write 100mbit"))
}

/// `64k`, `2m`: bytes in powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bytes = scaled(text, &[("k", 1024.0), ("m", 1024.0 * 1024.0)]);
    bytes
        .filter(|bytes| (1.0..=1e10).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| format!("{text:?} is no size; write 64k"))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, scale) = units
        .iter()
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number, scale)))?;
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_they_are_written() {
        assert_eq!("0.1%".parse::<Share>(), Ok(Share(1000)));
        assert_eq!("100%".parse::<Share>(), Ok(Share::ALL));
        assert_eq!(duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert_eq!(duration("200us"), Ok(Duration::from_micros(200)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(
            (bits("100mbit"), bytes("64k")),
            (Ok(100_000_000), Ok(65_536))
        );
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_an_example() {
        for text in ["1", "101%", "-1%", "NaN%"] {
            assert_eq!(
                text.parse::<Share>(),
                Err(format!("{text:?} is no share; write 0.1%"))
            );
        }
        for text in ["1", "-1ms", "NaNs", "ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(bits("0mbit").is_err() && bits("5").is_err() && bytes("0k").is_err());
    }
}
