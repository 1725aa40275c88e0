//! [`Conditions`]: what one direction of the link does to packets, and the quantities in it.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// What one direction does to packets. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Time that every packet takes.
    pub delay: Duration,
    /// Longest additional time, evenly distributed from 0. Packets keep their order.
    pub jitter: Duration,
    /// Share of packets that are dropped.
    pub loss: Share,
    /// Share of packets that are duplicated, and how much later the duplicate arrives.
    pub duplicate: (Share, Duration),
    /// Share of packets that are held back, and for how long, while later packets pass.
    pub reorder: (Share, Duration),
    /// Share of packets in which one bit of the payload of UDP or TCP is flipped and the checksum
    /// adjusted.
    pub corrupt: Share,
    /// Share of packets that get this source address.
    pub forge: Option<(Share, IpAddr)>,
    /// Bandwidth and queue; `None` for no limit.
    pub rate: Option<Rate>,
    /// The longest packet that passes; `None` for no limit.
    pub mtu: Option<Mtu>,
}

/// Bandwidth of a line and the queue before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits in a second, IP headers included; not 0.
    pub bits: u64,
    /// Bytes that can wait. Further packets are dropped.
    pub queue: u64,
}

/// The longest packet that passes, and what happens to a longer one that must not be fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// Bytes of an IP packet.
    pub bytes: u16,
    /// True: it is dropped without an ICMP error (a black hole).
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

    /// The share in millionths, 0 to 1,000,000.
    pub fn per_million(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;
    /// Parses a percentage: `0.1%`.
    fn from_str(text: &str) -> Result<Share, String> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Share((percent * 1e4).round() as u32)),
            None => Err(format!("{text:?} is not a share; write 0.1%")),
        }
    }
}

/// Parses a duration of at most an hour: `30ms`, `0.5s`, `200us`.
pub fn duration(text: &str) -> Result<Duration, String> {
    // `s` comes last, because the other units end with it.
    scaled(text, &[("us", 1e-6), ("ms", 1e-3), ("s", 1.0)])
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is not a time; write 30ms"))
}

/// Parses bits in a second: `100mbit`, `2gbit`, `500kbit`.
pub fn bits(text: &str) -> Result<u64, String> {
    scaled(text, &[("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)])
        .filter(|bits| (1e3..=1e12).contains(bits))
        .map(|bits| bits as u64)
        .ok_or_else(|| format!("{text:?} is not a rate; write 100mbit"))
}

/// Parses a number of bytes in units of 1024 or 1024²: `64k`, `2m`.
pub fn bytes(text: &str) -> Result<u64, String> {
    scaled(text, &[("k", 1024.0), ("m", 1024.0 * 1024.0)])
        .filter(|bytes| (1.0..=1e10).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| format!("{text:?} is not a size; write 64k"))
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
    fn parses_every_quantity_with_every_unit() {
        assert_eq!("0.1%".parse::<Share>(), Ok(Share(1000)));
        assert_eq!("100%".parse::<Share>(), Ok(Share::ALL));
        assert_eq!(duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert_eq!(duration("200us"), Ok(Duration::from_micros(200)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(bits("100mbit"), Ok(100_000_000));
        assert_eq!(bytes("64k"), Ok(65_536));
    }

    #[test]
    fn refuses_a_malformed_quantity_with_an_example() {
        for text in ["1", "101%", "-1%", "NaN%"] {
            assert_eq!(
                text.parse::<Share>(),
                Err(format!("{text:?} is not a share; write 0.1%"))
            );
        }
        for text in ["1", "-1ms", "NaNs", "ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["0mbit", "5"] {
            assert!(bits(text).is_err(), "{text}");
        }
        assert!(bytes("0k").is_err());
    }
}
