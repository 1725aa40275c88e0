//! [`Flows`]: who opened what: the table of ours, and that of theirs.
//!
//! * A flow of **ours** was opened by a host of our site; replies to it pass.
//! * A flow of **theirs** was let in by a rule. It lets nothing in: it only keeps our host's
//!   answers from making the flow ours, should the rule be gone one day.
//!
//! Only packets of our own hosts keep a flow young. An address of our site has at most a quarter of
//! the places; of theirs, no organization loses a place to one that has more.

mod choice;
mod key;
mod shares;
mod slot;
mod state;
mod table;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, Cache};

pub(crate) use self::key::FlowKey;
use self::key::KeyWords;
pub(crate) use self::slot::Entry;
use self::slot::Slot;
pub(crate) use self::state::{ANSWERED, IMPORTED, State};
use self::table::{Inserted, Share, Table};
use crate::clock::Tick;
use crate::record::FlowProtocol;
use crate::sip;

pub(crate) struct Flows {
    secret: [u64; 2],
    tables: Arc<ArcSwap<Tables>>,
    /// Held while tables are replaced; never by a packet.
    replacing: Mutex<()>,
    pub(crate) evicted: AtomicU64,
    pub(crate) unrecorded: AtomicU64,
}

/// The tables of one size, and those before them while their flows are moved.
pub(crate) struct Tables {
    pair: Arc<Pair>,
    before: Option<Arc<Pair>>,
}

/// The tables of the moment, without an atomic exchange for each look at them.
pub(crate) type TableCache = Cache<Arc<ArcSwap<Tables>>, Arc<Tables>>;

struct Pair {
    ours: Table,
    theirs: Table,
}

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// A key with its hash: computed once for each packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed {
    protocol: FlowProtocol,
    words: KeyWords,
    hash: u64,
}

impl Hashed {
    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::from_words(&self.words).expect("the words of a key")
    }
}

/// Whose part of a table a flow takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// A host of our site.
    Local,
    /// An organization by its number.
    Org(u32),
}

impl Pair {
    fn new(limit: u32) -> Arc<Pair> {
        Arc::new(Pair {
            ours: Table::new(limit),
            theirs: Table::new(limit),
        })
    }

    #[inline(always)]
    fn side(&self, side: Side) -> &Table {
        match side {
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
    }
}

impl Tables {
    /// The place of a flow that has not expired.
    #[inline(always)]
    pub(crate) fn find(&self, side: Side, flow: &Hashed, now: Tick) -> Option<Found<'_>> {
        let slot = match self.pair.side(side).find_words(&flow.words, flow.hash) {
            Some(slot) => slot,
            None if self.before.is_none() => return None,
            None => self.find_before(side, flow, now)?,
        };

        // Nothing if the place has just been given to another flow.
        let (state, last) = slot.load()?;
        (!state.is_expired(flow.protocol, last, now)).then_some(Found { slot, state })
    }

    /// While tables are replaced, a flow may not have been moved yet.
    #[cold]
    fn find_before(&self, side: Side, flow: &Hashed, now: Tick) -> Option<Slot<'_>> {
        let before = self.before.as_ref()?.side(side);
        let mut entry = None;
        if let Some(slot) = before.find(&flow.key(), flow.hash) {
            entry = slot.entry_now();
        }

        let table = self.pair.side(side);
        // Whether its owner may have it was decided before.
        table.insert(&entry?, flow.hash, Share::AtMost(u32::MAX), now);
        table.find(&flow.key(), flow.hash)
    }
}

/// A flow that has not expired.
#[derive(Clone, Copy)]
pub(crate) struct Found<'t> {
    slot: Slot<'t>,
    pub(crate) state: State,
}

impl Found<'_> {
    /// Changes the state, if `next` does.
    #[inline(always)]
    pub(crate) fn change(&self, next: impl Fn(State) -> State) {
        if next(self.state) != self.state {
            self.slot.change(next);
        }
    }

    /// Notes a packet of our host.
    #[inline(always)]
    pub(crate) fn touch(&self, now: Tick) {
        self.slot.touch(now);
    }
}

impl Flows {
    pub(crate) fn new(limit: u32, secret: [u8; 16]) -> Flows {
        Flows {
            secret: sip::secret(secret),
            tables: Arc::new(ArcSwap::from_pointee(Tables {
                pair: Pair::new(limit),
                before: None,
            })),
            replacing: Mutex::new(()),
            evicted: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
        }
    }

    /// The tables of the moment.
    pub(crate) fn tables(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.tables.load()
    }

    /// For a thread that looks at the tables again and again.
    pub(crate) fn cache(&self) -> TableCache {
        Cache::new(self.tables.clone())
    }

    #[inline(always)]
    pub(crate) fn hashed(&self, key: FlowKey) -> Hashed {
        let words = key.words();
        Hashed {
            hash: key::hash(key.v6, &words, &self.secret),
            protocol: key.protocol,
            words,
        }
    }

    /// Gives a new flow a place. False if there is none.
    pub(crate) fn insert(
        &self,
        tables: &Tables,
        side: Side,
        flow: &Hashed,
        owner: Owner,
        state: State,
        now: Tick,
    ) -> bool {
        self.insert_at(tables, side, flow, owner, state, (now, now))
    }

    /// [`Flows::insert`] of a flow whose last packet was at the first of two times.
    pub(crate) fn insert_at(
        &self,
        tables: &Tables,
        side: Side,
        flow: &Hashed,
        owner: Owner,
        state: State,
        (last, now): (Tick, Tick),
    ) -> bool {
        let table = tables.pair.side(side);
        let (owner, share) = match owner {
            Owner::Local => {
                // A host that opens flow after flow leaves three quarters to the others.
                let quarter = Share::AtMost(table.limit() / 4);
                (flow.key().local_owner(&self.secret), quarter)
            }
            Owner::Org(number) => (number & 0xff_ffff, Share::Fair),
        };

        let entry = Entry {
            key: flow.key(),
            owner,
            state,
            last,
        };
        match table.insert(&entry, flow.hash, share, now) {
            Inserted::Free => true,
            Inserted::Evicted => {
                self.evicted.fetch_add(1, Relaxed);
                true
            }
            Inserted::NoRoom => {
                self.unrecorded.fetch_add(1, Relaxed);
                false
            }
        }
    }

    pub(crate) fn remove(&self, tables: &Tables, side: Side, flow: &Hashed) {
        tables.pair.side(side).remove(&flow.key(), flow.hash);
        // Otherwise the next lookup would bring it back from there.
        if let Some(before) = &tables.before {
            before.side(side).remove(&flow.key(), flow.hash);
        }
    }

    /// Flows of each side, of which some may have expired.
    pub(crate) fn used(&self) -> (u32, u32) {
        let tables = self.tables();
        (tables.pair.ours.used(), tables.pair.theirs.used())
    }

    /// Every flow that has not expired; those that have give up their places.
    pub(crate) fn for_each(&self, side: Side, now: Tick, visit: &mut dyn FnMut(Entry)) {
        let tables = self.tables();
        let table = tables.pair.side(side);

        table.sweep(now);
        table.for_each(&mut |_, _, entry| {
            if !entry.is_expired(now) {
                visit(entry);
            }
        });
    }

    /// Changes the number of places. Packets are judged meanwhile.
    pub(crate) fn resize(&self, limit: u32, now: Tick) {
        let _alone = self
            .replacing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = self.tables.load_full();
        if before.pair.ours.limit() == limit.max(1) {
            return;
        }

        let pair = Pair::new(limit);
        self.tables.store(Arc::new(Tables {
            pair: pair.clone(),
            before: Some(before.pair.clone()),
        }));
        self.move_flows(&before.pair, &pair, now);

        self.tables.store(Arc::new(Tables {
            pair: pair.clone(),
            before: None,
        }));
        // A thread that still had the tables of before may have recorded a flow there.
        self.move_flows(&before.pair, &pair, now);
    }

    fn move_flows(&self, from: &Pair, to: &Pair, now: Tick) {
        for side in [Side::Ours, Side::Theirs] {
            let table = to.side(side);
            from.side(side).for_each(&mut |_, _, entry| {
                let flow = self.hashed(entry.key);
                // A lookup may have moved it already.
                if !entry.is_expired(now) && table.find(&flow.key(), flow.hash).is_none() {
                    table.insert(&entry, flow.hash, Share::AtMost(u32::MAX), now);
                }
            });
        }
    }
}
