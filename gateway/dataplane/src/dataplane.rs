//! [`Dataplane`]: two threads for each lane and one for resets, started and stopped together.
//!
//! ```text
//!  TUN ──► ringway-tx: route, seal, send ──► UDP
//!  TUN ◄── ringway-rx: coalesce, admit, open ◄── UDP ──► ControlSink
//!  TUN ◄── ringway-reset: connections that an outage has cut (lane 0)
//! ```
//! Both poll their descriptor and the shutdown signal.
//!
//! If one thread cannot go on, all threads end and the sink gets [`Event::Failed`]. Half a data
//! plane would swallow packets.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_filter::Filter;
use tun_rs::SyncDevice;

use crate::counters::Counters;
use crate::receiver::Receiver;
use crate::resets;
use crate::sender::Sender;
use crate::shutdown::{Failure, Shutdown, ThreadRole};
use crate::sink::{ControlSink, Event};
use crate::snapshot::Snapshot;
use crate::tun::{Tun, TunQueue};
use crate::turns::{Look, Turns};
use crate::udp::{TunnelSocket, Udp};

/// What all threads share, and what outlives them: they end when the TUN device is re-created.
#[derive(Clone)]
pub struct Shared {
    /// What packets are looked up in.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Count what belongs to no peer.
    pub counters: Arc<Counters>,
    /// Judges packets by the rules of the snapshot. One for the life of the process.
    pub filter: Arc<Filter>,
}

/// What the two threads of a lane share.
pub(crate) struct Lane<T, U> {
    pub(crate) number: usize,
    /// Of all lanes.
    pub(crate) count: usize,
    pub(crate) tun: T,
    pub(crate) udp: Arc<U>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// The gateway's, for packets that belong to no peer.
    pub(crate) counters: Arc<Counters>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) shutdown: Arc<Shutdown>,
}

/// The running data plane. Dropping it stops the threads and waits for them.
pub struct Dataplane {
    shutdown: Arc<Shutdown>,
    threads: Vec<JoinHandle<()>>,
    looks: Vec<Look>,
}

impl Dataplane {
    /// Starts the threads of one lane for each socket on the kernel's TUN device.
    ///
    /// `tun` must have been opened with offloads, and for several queues if there are several
    /// lanes; it is set to non-blocking. Several sockets must have been prepared by
    /// [`crate::share_port`]. Nothing else may read from the device or the sockets. Each lane has a
    /// clone of the sink.
    pub fn start(
        tun: &SyncDevice,
        sockets: &[Arc<TunnelSocket>],
        shared: &Shared,
        sink: impl ControlSink + Clone + 'static,
    ) -> io::Result<Dataplane> {
        let queues = TunQueue::open(tun, sockets.len())?;
        let lanes = queues.into_iter().zip(sockets.iter().cloned());
        Dataplane::start_on(lanes, shared, sink)
    }

    /// As [`Dataplane::start`], on any devices and sockets: those of lane 0 first.
    pub fn start_on<T: Tun, U: Udp>(
        lanes: impl IntoIterator<Item = (T, Arc<U>)>,
        shared: &Shared,
        sink: impl ControlSink + Clone + 'static,
    ) -> io::Result<Dataplane> {
        let shutdown = Arc::new(Shutdown::new()?);

        // Dropped on an early return, it ends the threads that have been started.
        let mut dataplane = Dataplane {
            shutdown: shutdown.clone(),
            threads: Vec::new(),
            looks: Vec::new(),
        };

        let lanes: Vec<_> = lanes.into_iter().collect();
        let count = lanes.len();
        for (number, (tun, udp)) in lanes.into_iter().enumerate() {
            let lane = Arc::new(Lane {
                number,
                count,
                tun,
                udp,
                snapshot: shared.snapshot.clone(),
                counters: shared.counters.clone(),
                filter: shared.filter.clone(),
                shutdown: shutdown.clone(),
            });
            dataplane.spawn_lane(lane, sink.clone())?;
        }

        Ok(dataplane)
    }

    /// True once a thread could not go on: no packet moves any more.
    pub fn has_failed(&self) -> bool {
        self.shutdown.failure().is_some()
    }

    /// True while a thread has been busy with one batch for longer than `limit`. To be asked from
    /// time to time: it compares with what it has seen before.
    pub fn has_stalled(&mut self, limit: Duration, now: Instant) -> bool {
        let mut has_stalled = false;
        // Each thread is looked at, whatever the others do.
        for look in &mut self.looks {
            has_stalled |= look.has_stalled(limit, now);
        }

        has_stalled
    }

    /// Stops the threads and waits for them: at most as long as one batch takes.
    pub fn stop(self) {
        drop(self);
    }

    fn spawn_lane<T: Tun, U: Udp>(
        &mut self,
        lane: Arc<Lane<T, U>>,
        sink: impl ControlSink + 'static,
    ) -> io::Result<()> {
        // Operators know the threads of a single lane by these names; the kernel keeps 15 bytes.
        let suffix = match lane.number {
            0 => String::new(),
            number => number.to_string(),
        };

        if lane.number == 0 {
            let resetting = lane.clone();
            self.spawn("ringway-reset".to_owned(), move |turns| {
                run_resets(&resetting, turns);
            })?;
        }

        let sending = lane.clone();
        self.spawn(format!("ringway-tx{suffix}"), move |turns| {
            run_sender(&sending, turns);
        })?;
        self.spawn(format!("ringway-rx{suffix}"), move |turns| {
            run_receiver(&lane, sink, turns);
        })
    }

    fn spawn(&mut self, name: String, run: impl FnOnce(&Turns) + Send + 'static) -> io::Result<()> {
        let turns = Arc::new(Turns::default());
        self.looks.push(Look::at(turns.clone(), Instant::now()));

        let thread = thread::Builder::new().name(name);
        let thread = thread.spawn(move || run(&turns))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.shutdown.request();
        for thread in self.threads.drain(..) {
            // The threads catch their own panics.
            let _ = thread.join();
        }
    }
}

fn run_resets<T: Tun, U: Udp>(lane: &Lane<T, U>, turns: &Turns) {
    guard(ThreadRole::Resetting, &lane.shutdown, || {
        resets::run(lane, turns)
    });
}

fn run_sender<T: Tun, U: Udp>(lane: &Lane<T, U>, turns: &Turns) {
    guard(ThreadRole::Sending, &lane.shutdown, || {
        Sender::new(lane).run(turns)
    });
}

/// Runs a receiving thread. That of lane 0 also reports how the data plane ended, whichever thread
/// failed.
fn run_receiver<T: Tun, U: Udp>(lane: &Lane<T, U>, mut sink: impl ControlSink, turns: &Turns) {
    guard(ThreadRole::Receiving, &lane.shutdown, || {
        Receiver::new(lane, &mut sink).run(turns)
    });

    if lane.number == 0
        && let Some(failure) = lane.shutdown.failure()
    {
        tracing::error!(reason = %failure, "Data plane stopped");
        sink.event(Event::Failed(failure.clone()));
    }
}

/// Runs one thread's work. An error or a panic ends all threads.
fn guard(thread: ThreadRole, shutdown: &Shutdown, work: impl FnOnce() -> io::Result<()>) {
    // If one thread ended alone, packets would be lost without a word.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => shutdown.fail(Failure::Io {
            thread,
            errno: error.raw_os_error().unwrap_or(0),
        }),
        Err(panic) => shutdown.fail(Failure::Panic {
            thread,
            message: message(panic.as_ref()).to_owned(),
        }),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
