//! [`Sender`]: the sending thread, TUN to UDP. Owns the reading end of the lane's queue of the TUN
//! device and the order in which packets leave.
//!
//! ```text
//!  read ─► backlog ─┬─ small: sealed at once ──────────┐
//!   ▲               └─ a super-packet: queued          ├─► GSO batch ─► UDP
//!   └──────── device empty: the oldest that is queued ─┘
//!             nothing queued either: flush, wait
//! ```
//! Nothing waits for more to come: the batch is flushed as soon as the device and the backlog are
//! empty.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Instant;

use crate::backlog::{Backlog, Decision};
use crate::dataplane::Lane;
use crate::egress::RouteCache;
use crate::receiver::BACK_OFF;
use crate::sealer::Sealer;
use crate::sys::poll;
use crate::tun::Tun;
use crate::turns::Turns;
use crate::udp::Udp;

/// Reads after which the batch is flushed and the backlog has its turn, although more may be
/// waiting.
const MAX_READS: usize = 64;

/// Bytes of the backlog that leave before the device is read again: one super-packet, or many
/// packets.
const BACKLOG_SHARE: usize = 1 << 16;

/// The sending thread's state.
pub(crate) struct Sender<'a, T, U> {
    lane: &'a Lane<T, U>,
    backlog: Backlog,
    sealer: Sealer<'a, T, U>,
}

impl<'a, T: Tun, U: Udp> Sender<'a, T, U> {
    pub(crate) fn new(lane: &'a Lane<T, U>) -> Self {
        Sender {
            lane,
            backlog: Backlog::new(),
            sealer: Sealer::new(lane),
        }
    }

    /// Sends until shutdown is requested. Fails if the device no longer exists.
    pub(crate) fn run(&mut self, turns: &Turns) -> io::Result<()> {
        let shutdown = self.lane.shutdown.as_fd();
        while !self.lane.shutdown.is_requested() {
            turns.begin();
            let Err(error) = self.drain() else { continue };
            turns.rest();

            match (error.kind(), error.raw_os_error()) {
                (ErrorKind::WouldBlock, _) => {
                    let patience = self.sealer.patience();
                    poll::wait(Some(self.lane.tun.as_fd()), shutdown, patience)?;
                }
                (ErrorKind::Interrupted, _) => {}
                (_, Some(libc::EBADF | libc::EBADFD)) => return Err(error),
                // A device that is down may come up again.
                _ => _ = poll::wait(None, shutdown, Some(BACK_OFF))?,
            }
        }
        Ok(())
    }

    /// Sends what the device has, then a share of the backlog. The device's error is given once the
    /// backlog is empty.
    fn drain(&mut self) -> io::Result<()> {
        let mut routes = RouteCache::new(&self.lane.snapshot, self.lane.number);
        let now = self.lane.udp.now();
        self.sealer.release_held(&mut routes);
        let read = self.read(&mut routes, now);
        let mut sealed = 0;

        // Then the device again: a small packet waits for one super-packet at most.
        while sealed < BACKLOG_SHARE {
            let Some(oldest) = self.backlog.next() else {
                self.sealer.flush();
                return read;
            };
            sealed += oldest.len();
            self.sealer.handle(&mut routes, oldest, now);
        }

        Ok(())
    }

    /// Reads what the device has, up to [`MAX_READS`] packets. Packets that need not wait have left
    /// afterwards.
    fn read(&mut self, routes: &mut RouteCache<'_>, now: Instant) -> io::Result<()> {
        let mut has_sealed = false;
        let mut result = Ok(());
        for _ in 0..MAX_READS {
            // The rest stays in the device's queue, where the kernel drops when that is full.
            if self.backlog.is_full() {
                break;
            }

            let len = match self.lane.tun.read(self.backlog.vacant()) {
                Ok(len) => len,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };

            if let Decision::SendNow(packet) = self.backlog.accept(len) {
                self.sealer.handle(routes, packet, now);
                has_sealed = true;
            }
        }

        self.sealer.release_fragments(routes, now);

        // Before the packets of new flows leave, whose answers may come by another gateway.
        routes
            .tables()
            .companions()
            .tell(&*self.lane.udp, &self.lane.filter);

        // Small packets leave before the backlog has its turn.
        if has_sealed {
            self.sealer.flush();
        }
        result
    }
}
