//! [`ByteLimit`]: how many bytes may wait in the TUN device's queues.
//!
//! The kernel bounds a queue by its packets alone. A thread that does not run for some 20 ms needs
//! room for 5,000 small packets, but as many super-packets would take 300 MB. So a small program
//! in the kernel, in front of the queues, adds up what waits and drops the rest; the threads
//! subtract what they have read.
//!
//! ```text
//!   host ─► program: waiting + this > limit? ─ no ─► counted ─► queue ─► read: subtracted
//!                     └─ yes: dropped, in the device's own count        └─ empty: zero
//! ```
//! The sum may be off by what is just on its way; an empty queue corrects it.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

use crate::offload::OFFLOAD_LEN;
use crate::sys::bpf::{self, COUNTERS, Instruction};

/// Bytes that may wait in one queue.
const LIMIT: i32 = 20 << 20;

/// Bytes that a packet counts besides its own: what it takes of the kernel's memory. No more than
/// 5,041 packets fit, which is less than the length of the queue: the kernel drops nothing that was
/// counted.
const EACH: i32 = 4096;

/// The length that the queues need for as many small packets.
pub(super) const QUEUE_LEN: u32 = 5120;

/// The sums of a device's queues.
pub(super) struct ByteLimit(bpf::Counters);

impl ByteLimit {
    /// Bounds the queues of `tun` from now on, each by itself. Error: the kernel does not allow
    /// such programs (CAP_BPF), or is too old (Linux 5.5).
    pub(super) fn new(tun: &impl AsFd) -> io::Result<ByteLimit> {
        let counters = bpf::Counters::new()?;

        bpf::filter_tun(tun.as_fd(), &program(counters.descriptor()))?;
        Ok(ByteLimit(counters))
    }

    /// `len` bytes, offload header included, were read from queue `queue`.
    pub(super) fn subtract(&self, queue: usize, len: usize) {
        let bytes = len.saturating_sub(OFFLOAD_LEN) as u64 + EACH as u64;

        // Never below zero: the sum may have been set to zero while this packet was on its way.
        let _ = self
            .0
            .value(queue)
            .fetch_update(Relaxed, Relaxed, |waiting| {
                Some(waiting.saturating_sub(bytes))
            });
    }

    /// Queue `queue` is empty.
    pub(super) fn clear(&self, queue: usize) {
        self.0.value(queue).store(0, Relaxed);
    }
}

/// Given a packet, its length; 0 if too much waits in its queue already. The map with the sums has
/// this descriptor.
fn program(map: i32) -> [Instruction; 16] {
    // Registers: 0 the result, 1 the packet and then the sum, 2 what the packet counts, 3 the sum
    // with it, 4 the place of the sum, 6 the packet's length.
    let step = |code, to: u8, from: u8, offset, immediate| Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    };

    [
        // Fields of `struct __sk_buff`: `len` and `queue_mapping`.
        step(LOAD_WORD, 6, 1, 0, 0),
        step(LOAD_WORD, 4, 1, 8, 0),
        step(AND, 4, 0, 0, COUNTERS as i32 - 1),
        step(SHIFT_LEFT, 4, 0, 0, 3),
        step(COPY, 2, 6, 0, 0),
        step(ADD_NUMBER, 2, 0, 0, EACH),
        // One instruction of two places: the address of the map's value.
        step(LOAD_ADDRESS, 1, OF_MAP_VALUE, 0, map),
        step(0, 0, 0, 0, 0),
        step(ADD, 1, 4, 0, 0),
        step(LOAD_LONG, 3, 1, 0, 0),
        step(ADD, 3, 2, 0, 0),
        step(SET, 0, 0, 0, 0),
        step(SKIP_IF_GREATER, 3, 0, 2, LIMIT),
        step(ATOMIC_ADD, 1, 2, 0, 0),
        step(COPY, 0, 6, 0, 0),
        step(RETURN, 0, 0, 0, 0),
    ]
}

// Codes of instructions (RFC 9669, section 5).
const LOAD_WORD: u8 = 0x61;
const LOAD_LONG: u8 = 0x79;
const LOAD_ADDRESS: u8 = 0x18;
const AND: u8 = 0x57;
const SHIFT_LEFT: u8 = 0x67;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const ADD: u8 = 0x0f;
const ADD_NUMBER: u8 = 0x07;
const SKIP_IF_GREATER: u8 = 0x25;
const ATOMIC_ADD: u8 = 0xdb;
const RETURN: u8 = 0x95;

/// Source of [`LOAD_ADDRESS`]: the value of an array of one.
const OF_MAP_VALUE: u8 = 2;
