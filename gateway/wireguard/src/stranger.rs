//! [`Stranger`]: a client whose key no node has, for the operator.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_config::WireGuardKey;

/// How long one is shown after its last attempt. A client that wants something tries again every
/// few seconds.
const SHOWN: Duration = Duration::from_secs(180);

/// A client that knows this gateway's key, and whose own key no node has. It is not authenticated:
/// who knows the gateway's key can name any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// Its key.
    pub key: WireGuardKey,
    /// Where it was first heard from.
    pub remote: SocketAddr,
    last: Instant,
}

impl Stranger {
    /// True while it is shown.
    pub(crate) fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < SHOWN
    }
}

/// Remembers an attempt in `seen`. Only one client is remembered at a time, and the first one stays
/// while it goes on, so that many of them change nothing.
pub(crate) fn remember(
    seen: &mut Option<Stranger>,
    key: WireGuardKey,
    remote: SocketAddr,
    now: Instant,
) {
    match seen {
        Some(known) if known.key == key => known.last = now,
        Some(known) if known.is_recent(now) => {}
        _ => {
            *seen = Some(Stranger {
                key,
                remote,
                last: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_stays_until_it_is_silent() {
        let start = Instant::now();
        let keys = [1, 2].map(|byte| WireGuardKey::new([byte; 32]));
        let remote: SocketAddr = "203.0.113.5:40000".parse().unwrap();
        let mut seen = None;

        for (key, seconds, shown) in [(0, 0, 0), (1, 60, 0), (0, 170, 0), (1, 340, 0), (1, 351, 1)]
        {
            let now = start + Duration::from_secs(seconds);
            remember(&mut seen, keys[key], remote, now);
            assert_eq!(seen.map(|it| it.key), Some(keys[shown]), "{seconds}");
        }
        let seen = seen.unwrap();
        assert!(seen.is_recent(start + Duration::from_secs(530)));
        assert!(!seen.is_recent(start + Duration::from_secs(531)));
    }
}
