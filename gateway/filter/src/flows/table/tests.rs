//! One thread fills buckets; many threads at once see no entry that is torn or double.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use crate::flows::state::{ANSWERED, State};
use crate::record::FlowProtocol;

const SECRET: [u64; 2] = [9; 2];

/// A key of which every part follows from one number.
fn key(number: u32) -> FlowKey {
    FlowKey {
        v6: number.is_multiple_of(2),
        protocol: FlowProtocol::Tcp,
        local: u128::from(number),
        remote: u128::from(!number),
        local_port: number as u16,
        remote_port: !number as u16,
    }
}

fn hash_of(key: &FlowKey) -> u64 {
    crate::flows::key::hash(key.v6, &key.words(), &SECRET)
}

fn entry(number: u32, flags: u8, last: Tick) -> Entry {
    Entry {
        key: key(number),
        owner: number % 8,
        state: State { flags, ack: 0 },
        last,
    }
}

fn insert(table: &Table, entry: &Entry, most: u32) -> Inserted {
    let share = Share::AtMost(most);
    table.insert(entry, hash_of(&entry.key), share, entry.last)
}

fn has(table: &Table, number: u32) -> bool {
    let key = key(number);
    table.find(&key, hash_of(&key)).is_some()
}

#[test]
fn as_many_flows_as_the_limit_have_a_place() {
    for limit in [1, 2, 15, 100, 5000] {
        let table = Table::new(limit);
        for number in 0..limit {
            let inserted = insert(&table, &entry(number, ANSWERED, 0), u32::MAX);
            assert_eq!(inserted, Inserted::Free, "{number} of {limit}");
        }
        for number in 0..limit {
            assert!(has(&table, number), "{number} of {limit}");
        }
        assert_eq!(table.used(), limit);

        let inserted = insert(&table, &entry(limit, ANSWERED, 0), u32::MAX);
        assert_eq!(inserted, Inserted::Evicted);
        assert_eq!(table.used(), limit);
    }
}

#[test]
fn flows_with_one_hash_are_told_apart() {
    const HASH: u64 = 0x1234_5678_9abc_def0;
    let table = Table::new(20);
    let share = Share::AtMost(u32::MAX);
    for number in 0..12 {
        let inserted = table.insert(&entry(number, ANSWERED, 0), HASH, share, 0);
        assert_eq!(inserted, Inserted::Free, "{number}");
    }

    for number in 0..12 {
        assert!(table.find(&key(number), HASH).is_some(), "{number}");
    }
    assert!(table.find(&key(12), HASH).is_none());
}

#[test]
fn the_worst_is_given_up_and_the_oldest_of_equals() {
    const CLOSED: u8 = ANSWERED | crate::flows::state::OWN_RST;
    let table = Table::new(4);
    for (number, flags, last) in [
        (1, ANSWERED, 20),
        (2, ANSWERED, 10),
        (3, 0, 30),
        (4, CLOSED, 30),
    ] {
        insert(&table, &entry(number, flags, last), u32::MAX);
    }

    for (number, gone) in [(5, 4), (6, 3), (7, 2), (8, 1)] {
        insert(&table, &entry(number, ANSWERED, 40), u32::MAX);
        assert!(!has(&table, gone) && has(&table, number), "{number}");
    }
}

#[test]
fn an_owner_beyond_its_share_gives_up_a_place_of_its_own() {
    let table = Table::new(100);
    for number in 0..40 {
        // Owners 0 to 7, each five times.
        insert(&table, &entry(number, ANSWERED, 0), 5);
    }
    assert_eq!(table.used(), 40);
    assert_eq!(
        insert(&table, &entry(48, ANSWERED, 1), 5),
        Inserted::Evicted
    );
    let owned = (0..40).filter(|number| number % 8 == 0 && has(&table, *number));
    assert_eq!(owned.count(), 4);
    assert!(
        (0..40)
            .filter(|number| number % 8 != 0)
            .all(|number| has(&table, number))
    );
}

#[test]
fn in_a_full_table_nobody_loses_a_place_to_an_owner_that_has_more() {
    let table = Table::new(100);
    let insert = |number, owner| {
        let entry = Entry {
            owner,
            ..entry(number, ANSWERED, 0)
        };
        table.insert(&entry, hash_of(&entry.key), Share::Fair, 0)
    };
    for number in 0..30 {
        insert(number, 1);
    }
    for number in 1000..3000 {
        insert(number, 2);
    }
    assert_eq!(table.used(), 100);
    assert!((0..30).all(|number| has(&table, number)));
    // The smaller one takes from the larger one, up to an equal part.
    for number in 30..80 {
        insert(number, 1);
    }
    let count = (0..80).filter(|number| has(&table, *number)).count();
    assert!((48..=52).contains(&count), "{count}");
}

#[test]
fn a_flow_that_comes_again_keeps_its_place() {
    let table = Table::new(100);
    insert(&table, &entry(1, 0, 0), 9);
    insert(&table, &entry(1, ANSWERED, 5), 9);
    assert_eq!(table.used(), 1);
    let found = table.find(&key(1), hash_of(&key(1))).unwrap();
    assert_eq!(found.load().unwrap().1, 5);
    table.remove(&key(1), hash_of(&key(1)));
    assert_eq!((table.used(), has(&table, 1)), (0, false));
}

/// What a thread reads must fit together, whatever others write: addresses, ports and family all
/// follow from one number, and so does the high half of the acknowledgement.
fn assert_whole(entry: &Entry) {
    let number = entry.key.local as u32;
    assert_eq!(entry.key, key(number));
    assert_eq!(entry.owner, number % 8);
    if let Some(ack) = entry.state.ack() {
        assert_eq!(ack >> 16, number & 0xffff, "{entry:?}");
    }
}

#[test]
fn many_threads_see_no_torn_entry_and_leave_no_double() {
    const NUMBERS: u64 = 60;
    let table = Table::new(40);
    let is_over = AtomicBool::new(false);
    let seen = AtomicU64::new(0);

    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=3u64)
            .map(|seed| {
                let table = &table;
                scope.spawn(move || {
                    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    for step in 0..40_000u32 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let number = (random >> 20) % NUMBERS;
                        write_once(table, number as u32, step, random as u8 & 7);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    table.for_each(&mut |_, _, entry| {
                        assert_whole(&entry);
                        seen.fetch_add(1, Relaxed);
                    });
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Relaxed);
    });

    assert!(seen.load(Relaxed) > 0);
    let mut keys = HashSet::new();
    let mut count = 0;
    table.for_each(&mut |_, _, entry| {
        assert_whole(&entry);
        keys.insert(entry.key.local);
        count += 1;
    });
    assert_eq!((keys.len(), table.used()), (count, count as u32));
}

fn write_once(table: &Table, number: u32, step: u32, what: u8) {
    let hash = hash_of(&key(number));
    match what {
        0 => table.remove(&key(number), hash),
        1 | 2 => {
            insert(table, &entry(number, ANSWERED, step), 20);
        }
        _ => {
            if let Some(slot) = table.find(&key(number), hash) {
                slot.touch(step);
                slot.change(|state| state.acknowledging(number << 16 | step & 0xffff));
            }
        }
    }
}
