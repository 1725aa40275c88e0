//! The sending thread: TUN → UDP. Owns the TUN device's reading end and the buffers packets are sealed in.
//!
//! ```text
//!  recv_multiple: one super-packet, split into slots behind each other
//!     └─ first slot: egress ─► its session ─► packet numbers for all ─► seal in place
//!  until the device is empty or the slots are: for each session, its slots in order, in runs ─► UDP
//! ```
//! The slots of one super-packet share their addresses, so that checking the first checks all.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;

use tun_rs::VIRTIO_NET_HDR_LEN;

use crate::counters::DropReason;
use crate::dataplane::Shared;
use crate::egress::route;
use crate::header::{HEADER_LEN, Kind, OVERHEAD};
use crate::link::Link;
use crate::receive::BACK_OFF;
use crate::session::Outgoing;
use crate::sys::poll;
use crate::train::Train;

/// Room for one sealed packet: more than the tunnel's MTU and what is added to it.
const SLOT: usize = 2048;

/// Slots, and reads, after which the batch is sent although more may be waiting: packets that are dropped
/// must not hold up those that are not.
const ENOUGH: usize = 64;

/// The most pieces of one super-packet: 64 KiB in the smallest segments that Linux makes
/// (net.ipv4.tcp_min_snd_mss is 48).
const MOST_PIECES: usize = 0xffff / 48 + 1;

/// Slots that one session sends, in order.
struct Run {
    session: Arc<Outgoing>,
    slots: Range<usize>,
    sent: bool,
}

/// The sending thread's state. Slots that are never used cost no memory: the kernel gives zeroed pages when
/// they are touched.
pub(crate) struct Send<'a> {
    shared: &'a Shared,
    link: Link<'a>,
    input: Vec<u8>,
    slots: Vec<[u8; SLOT]>,
    /// Bytes of IP packet in each slot.
    sizes: Vec<usize>,
    used: usize,
    /// Since the batch was sent.
    reads: usize,
    runs: Vec<Run>,
    /// False once the kernel said that it cannot cut runs.
    cuts_runs: bool,
}

impl<'a> Send<'a> {
    pub(crate) fn new(shared: &'a Shared) -> io::Result<Self> {
        let slots = ENOUGH + MOST_PIECES;
        Ok(Send {
            shared,
            link: Link::of(&shared.socket)?,
            input: vec![0; VIRTIO_NET_HDR_LEN + 0xffff],
            slots: vec![[0; SLOT]; slots],
            sizes: vec![0; slots],
            used: 0,
            reads: 0,
            runs: Vec::with_capacity(ENOUGH),
            cuts_runs: true,
        })
    }

    /// Sends until it is time to stop. Error: the device is gone.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let shared = self.shared;
        while !shared.halt.is_set() {
            let (slots, sizes) = (&mut self.slots[self.used..], &mut self.sizes[self.used..]);
            match shared.tun.recv_multiple(&mut self.input, slots, sizes, HEADER_LEN) {
                Ok(count) => self.seal(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flush();
                    poll::wait(Some(shared.tun.as_fd()), shared.halt.signal(), None)?;
                }
                Err(error) => match error.raw_os_error() {
                    // tun-rs could not split it.
                    None => shared.counters.drop_packet(DropReason::Malformed),
                    Some(libc::EBADF | libc::EBADFD) => return Err(error),
                    Some(libc::EINTR) => {}
                    // A device that is down comes up again.
                    Some(_) => {
                        self.flush();
                        poll::wait(None, shared.halt.signal(), Some(BACK_OFF))?;
                    }
                },
            }
            self.reads += 1;
            if self.used >= ENOUGH || self.reads >= ENOUGH {
                self.flush();
            }
        }
        Ok(())
    }

    /// Seals the `count` pieces of one super-packet that lie behind the used slots.
    fn seal(&mut self, count: usize) {
        let snapshot = self.shared.snapshot.load();
        let slots = self.used..self.used + count;
        let Some(first) = self.sizes.get(self.used).filter(|_| count > 0) else { return };
        let session = match route(&snapshot, &self.slots[self.used][HEADER_LEN..][..*first]) {
            Ok(session) => session,
            Err(reason) => return self.shared.counters.drop_packets(reason, count),
        };
        match seal_slots(session, &mut self.slots[slots.clone()], &self.sizes[slots.clone()]) {
            Ok(()) => {
                self.used = slots.end;
                self.runs.push(Run { session: session.clone(), slots, sent: false });
            }
            Err(reason) => session.counters().drop_packets(reason, count),
        }
    }

    /// Sends every run and frees the slots.
    fn flush(&mut self) {
        for at in 0..self.runs.len() {
            if !self.runs[at].sent {
                let session = self.runs[at].session.clone();
                self.send_all(&session, at);
            }
        }
        self.runs.clear();
        (self.used, self.reads) = (0, 0);
    }

    /// Sends the runs of one session, the first of which is number `at`.
    fn send_all(&mut self, session: &Arc<Outgoing>, at: usize) {
        let same = |run: &&mut Run| Arc::ptr_eq(&run.session, session);
        let mut train = Train::new(self.cuts_runs);
        for run in self.runs[at..].iter_mut().filter(same) {
            run.sent = true;
            for slot in run.slots.clone() {
                let datagram = &self.slots[slot][..self.sizes[slot] + OVERHEAD];
                if !train.takes(datagram) {
                    self.cuts_runs &= train.send(&self.link, session);
                    train = Train::new(self.cuts_runs);
                }
                train.push(datagram);
            }
        }
        self.cuts_runs &= train.send(&self.link, session);
    }
}

/// Seals each slot in place, under consecutive numbers.
fn seal_slots(session: &Outgoing, slots: &mut [[u8; SLOT]], sizes: &[usize]) -> Result<(), DropReason> {
    if sizes.iter().any(|size| size + OVERHEAD > SLOT) {
        return Err(DropReason::TooBig);
    }
    let first = session.reserve(slots.len())?;
    for ((number, slot), size) in (first..).zip(slots).zip(sizes) {
        session.seal(Kind::Packet, number, &mut slot[..size + OVERHEAD])?;
    }
    Ok(())
}
