//! [`PeerLines`]: limits the log lines that one peer may cause. A member with a flapping session,
//! or one that sends invalid data, must not push everything else out of the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Size of a peer's budget, lines.
const BURST: u32 = 24;

/// Time after which a peer's budget grows by a line.
const PAUSE: Duration = Duration::from_secs(10);

/// Interval of the reports of omitted lines.
const SUMMARY: Duration = Duration::from_secs(60);

/// Maximum number of peers. Names that strangers invent cause few lines ([`crate::quic`]).
const MOST: usize = 4096;

/// The budget of each peer.
#[derive(Debug)]
pub(super) struct PeerLines {
    rooms: BTreeMap<String, Allowance>,
    /// When omitted lines were last reported.
    said: Option<Instant>,
}

#[derive(Debug)]
struct Allowance {
    left: u32,
    filled: Instant,
    left_out: u64,
}

impl PeerLines {
    pub(super) const fn new() -> PeerLines {
        PeerLines {
            rooms: BTreeMap::new(),
            said: None,
        }
    }

    /// True if a line about `peer` may be written; takes it from the budget.
    pub(super) fn admit(&mut self, peer: &str, now: Instant) -> bool {
        if !self.rooms.contains_key(peer) && !self.make_place(now) {
            return false;
        }
        let room = self.rooms.entry(peer.to_owned()).or_insert(Allowance {
            left: BURST,
            filled: now,
            left_out: 0,
        });

        room.fill(now);
        match room.left.checked_sub(1) {
            Some(left) => {
                room.left = left;
                true
            }
            None => {
                room.left_out += 1;
                false
            }
        }
    }

    /// The number of omitted lines of each peer since the last report; empty if that was less than
    /// a minute ago.
    pub(super) fn left_out(&mut self, now: Instant) -> Vec<(String, u64)> {
        let pause = self.said.map(|said| now.saturating_duration_since(said));
        if pause.is_some_and(|pause| pause < SUMMARY) {
            return Vec::new();
        }

        let mut left_out = Vec::new();
        for (peer, room) in &mut self.rooms {
            let count = std::mem::take(&mut room.left_out);
            if count > 0 {
                left_out.push((peer.clone(), count));
            }
        }
        if !left_out.is_empty() {
            self.said = Some(now);
        }
        left_out
    }

    /// Drops peers whose budget is full again. False if that frees no place.
    fn make_place(&mut self, now: Instant) -> bool {
        if self.rooms.len() < MOST {
            return true;
        }

        self.rooms.retain(|_, room| {
            room.fill(now);
            room.left < BURST || room.left_out > 0
        });
        self.rooms.len() < MOST
    }
}

impl Allowance {
    fn fill(&mut self, now: Instant) {
        let pauses = now.saturating_duration_since(self.filled).as_secs() / PAUSE.as_secs();
        let gained = u32::try_from(pauses).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(BURST);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_causes_some_lines_and_the_rest_is_counted() {
        let mut lines = PeerLines::new();
        let start = Instant::now();
        let written = (0..336).filter(|_| lines.admit("gw.org1", start)).count();
        assert_eq!(written, BURST as usize);
        assert!(
            lines.admit("gw.org2", start),
            "another peer has its own room"
        );

        let left_out = lines.left_out(start);
        assert_eq!(left_out, [("gw.org1".to_owned(), 336 - u64::from(BURST))]);
        assert!(lines.admit("gw.org1", start + PAUSE));
        assert!(!lines.admit("gw.org1", start + PAUSE));
        assert!(lines.left_out(start + PAUSE).is_empty(), "too early");
        assert_eq!(lines.left_out(start + SUMMARY).len(), 1);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut lines = PeerLines::new();
        let start = Instant::now();
        for number in 0..2 * MOST {
            lines.admit(&number.to_string(), start);
        }
        assert_eq!(lines.rooms.len(), MOST);
        assert!(lines.admit("another", start + SUMMARY), "old ones give way");
    }
}
