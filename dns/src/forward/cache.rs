//! [`Cache`]: what others said lately, for as long as they said, in bounded memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::said::Said;
use crate::answer::Ask;

/// Octets of all answers that are kept; about 10,000 ordinary ones.
const MOST: usize = 8 << 20;
/// Of one answer besides its records: question, entry, bookkeeping.
const OVERHEAD: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Ask, Entry>,
    size: usize,
}

#[derive(Debug)]
struct Entry {
    said: Arc<Said>,
    until: Instant,
}

impl Cache {
    /// What was said to `ask` and still holds.
    pub(super) fn find(&self, ask: &Ask, now: Instant) -> Option<Arc<Said>> {
        let entry = self.entries.get(ask).filter(|entry| now < entry.until)?;
        Some(entry.said.clone())
    }

    /// Keeps `said` for as long as it holds; what takes too much room is not kept.
    pub(super) fn keep(&mut self, ask: &Ask, said: &Arc<Said>) {
        let until = said.at + said.holds;
        let size = cost(said);
        if said.holds.is_zero() || size > MOST / 8 {
            return;
        }
        if self.size + size > MOST {
            self.make_room(said.at);
        }
        if let Some(old) = self.entries.insert(
            *ask,
            Entry {
                said: said.clone(),
                until,
            },
        ) {
            self.size -= cost(&old.said);
        }
        self.size += size;
    }

    /// Drops what holds no more, and others in no order until an eighth is free: seldom, since all are looked at.
    fn make_room(&mut self, now: Instant) {
        let goal = MOST - MOST / 8;
        self.entries.retain(|_, entry| now < entry.until);
        self.size = self.entries.values().map(|entry| cost(&entry.said)).sum();
        let size = &mut self.size;
        self.entries.retain(|_, entry| {
            let stays = *size <= goal;
            if !stays {
                *size -= cost(&entry.said);
            }
            stays
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }
}

fn cost(said: &Said) -> usize {
    said.size + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::Found;
    use crate::name::Name;

    fn ask(n: u32) -> Ask {
        let name = Name::from_text(&format!("h{n}.example")).unwrap();
        Ask {
            name,
            kind: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn said(at: Instant, holds: u64, size: usize) -> Arc<Said> {
        Arc::new(Said {
            found: Found::default(),
            at,
            holds: Duration::from_secs(holds),
            size,
        })
    }

    #[test]
    fn an_answer_is_known_for_as_long_as_it_holds_and_to_its_question_only() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(&ask(1), &said(now, 5, 100));
        cache.keep(&ask(2), &said(now, 0, 100));
        let known = |n, after| {
            cache
                .find(&ask(n), now + Duration::from_millis(after))
                .is_some()
        };
        assert!(known(1, 0) && known(1, 4_999) && !known(1, 5_000));
        assert!(!known(2, 0), "a TTL of zero is for those who asked");
        let signed = Ask {
            dnssec_ok: true,
            ..ask(1)
        };
        assert!(cache.find(&signed, now).is_none());
    }

    #[test]
    fn a_crowd_of_answers_takes_no_more_room_and_what_holds_outlives_what_does_not() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(&ask(0), &said(now + Duration::from_secs(1), 1000, 100));
        let fills = MOST / (1500 + OVERHEAD);
        (1..fills as u32).for_each(|n| cache.keep(&ask(n), &said(now, 1, 1500)));
        cache.keep(
            &ask(9_999_999),
            &said(now + Duration::from_secs(2), 1000, 1500),
        );
        assert!(cache.find(&ask(0), now + Duration::from_secs(2)).is_some());
        for n in 0..3 * fills as u32 {
            cache.keep(&ask(n), &said(now + Duration::from_secs(3), 1000, 1500));
            assert!(cache.size <= MOST);
        }
        assert_eq!(
            cache.size,
            cache.entries.values().map(|entry| cost(&entry.said)).sum()
        );
        assert!(cache.entries.len() > fills / 2, "it is well filled");
        cache.keep(&ask(1), &said(now, 1000, MOST));
        assert!(cache.size <= MOST, "a giant is not kept");
    }
}
