//! [`Cache`]: responses of resolvers for as long as their TTLs allow, in bounded memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::response::CachedResponse;
use crate::answer::ForwardQuestion;

/// Octets of all entries together: about 10,000 ordinary responses.
const MAX_SIZE: usize = 8 << 20;
/// Octets of one entry; a larger response is not cached.
const MAX_ENTRY_SIZE: usize = MAX_SIZE / 8;
/// Octets of an entry besides the response's records: question, map slot, bookkeeping.
const OVERHEAD: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<ForwardQuestion, Entry>,
    /// Octets of all entries.
    size: usize,
}

#[derive(Debug)]
struct Entry {
    response: Arc<CachedResponse>,
    expires: Instant,
}

impl Cache {
    /// The response to `question`, unless it has expired.
    pub(super) fn get(
        &self,
        question: &ForwardQuestion,
        now: Instant,
    ) -> Option<Arc<CachedResponse>> {
        let entry = self.entries.get(question)?;
        (now < entry.expires).then(|| entry.response.clone())
    }

    /// Keeps `response` for its lifetime, unless that is zero or the response is too large.
    pub(super) fn insert(&mut self, question: &ForwardQuestion, response: &Arc<CachedResponse>) {
        let size = size_of_entry(response);
        if response.lifetime.is_zero() || size > MAX_ENTRY_SIZE {
            return;
        }
        if self.size + size > MAX_SIZE {
            self.evict(response.received);
        }

        let entry = Entry {
            response: response.clone(),
            expires: response.received + response.lifetime,
        };
        if let Some(replaced) = self.entries.insert(*question, entry) {
            self.size -= size_of_entry(&replaced.response);
        }
        self.size += size;
    }

    /// Drops expired entries, then arbitrary ones until an eighth of the memory is free.
    ///
    /// Each call looks at every entry. Freeing an eighth makes calls rare enough.
    fn evict(&mut self, now: Instant) {
        self.entries.retain(|_, entry| now < entry.expires);

        let mut size = 0;
        self.entries.retain(|_, entry| {
            size += size_of_entry(&entry.response);
            size <= MAX_SIZE - MAX_SIZE / 8
        });

        self.size = self
            .entries
            .values()
            .map(|entry| size_of_entry(&entry.response))
            .sum();
    }

    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }
}

fn size_of_entry(response: &CachedResponse) -> usize {
    response.size + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::ResolverResponse;
    use crate::name::Name;

    fn question(n: u32) -> ForwardQuestion {
        let name = Name::from_text(&format!("h{n}.example")).unwrap();
        ForwardQuestion {
            name,
            kind: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn response(received: Instant, lifetime: u64, size: usize) -> Arc<CachedResponse> {
        Arc::new(CachedResponse {
            content: ResolverResponse::default(),
            received,
            lifetime: Duration::from_secs(lifetime),
            size,
        })
    }

    #[test]
    fn a_response_is_found_during_its_lifetime_and_for_its_question_only() {
        let mut cache = Cache::default();
        let now = Instant::now();
        cache.insert(&question(1), &response(now, 5, 100));
        cache.insert(&question(2), &response(now, 0, 100));
        let is_cached = |n, milliseconds| {
            let then = now + Duration::from_millis(milliseconds);
            cache.get(&question(n), then).is_some()
        };

        assert!(is_cached(1, 0));
        assert!(is_cached(1, 4_999));
        assert!(!is_cached(1, 5_000));
        assert!(!is_cached(2, 0), "a TTL of zero forbids caching");

        let with_dnssec = ForwardQuestion {
            dnssec_ok: true,
            ..question(1)
        };
        assert!(cache.get(&with_dnssec, now).is_none());
    }

    #[test]
    fn memory_is_bounded_and_expired_entries_are_evicted_first() {
        let mut cache = Cache::default();
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);

        // A long-lived entry among ones that expire after a second, until the cache is full.
        cache.insert(&question(0), &response(later(1), 1000, 100));
        let capacity = (MAX_SIZE / (1500 + OVERHEAD)) as u32;
        for n in 1..capacity {
            cache.insert(&question(n), &response(now, 1, 1500));
        }
        cache.insert(&question(9_999_999), &response(later(2), 1000, 1500));
        assert!(cache.get(&question(0), later(2)).is_some());

        for n in 0..3 * capacity {
            cache.insert(&question(n), &response(later(3), 1000, 1500));
            assert!(cache.size <= MAX_SIZE);
        }
        let sizes = cache
            .entries
            .values()
            .map(|entry| size_of_entry(&entry.response));
        assert_eq!(cache.size, sizes.sum());
        assert!(
            cache.entries.len() as u32 > capacity / 2,
            "it is mostly full"
        );

        cache.insert(&question(1), &response(now, 1000, MAX_SIZE));
        assert!(
            cache.size <= MAX_SIZE,
            "an oversized response is not cached"
        );
    }
}
