//! [`Dataplane`]: two threads for each lane, started and stopped.
//!
//! ```text
//!  TUN ──► ringway-tx: split, route, seal ──► UDP        both poll their descriptor and the halt signal
//!  TUN ◄── ringway-rx: admit, open, coalesce ◄── UDP ──► ControlSink
//! ```
//! If one thread cannot go on, all end and the sink is told: half a data plane is none.

use std::any::Any;
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tun_rs::SyncDevice;

use crate::counters::Counters;
use crate::halt::Halt;
use crate::receive::Receive;
use crate::send::Send;
use crate::sink::{ControlSink, Event};
use crate::snapshot::Snapshot;
use crate::tun::Tun;

/// What the two threads of a lane share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) lane: usize,
    pub(crate) tun: Arc<Tun>,
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// The gateway's own counters, for what belongs to no peer.
    pub(crate) counters: Arc<Counters>,
    pub(crate) halt: Arc<Halt>,
}

/// The running data plane. Dropped, it stops.
pub struct Dataplane {
    halt: Arc<Halt>,
    threads: Vec<JoinHandle<()>>,
}

impl Dataplane {
    /// Starts the threads of one lane for each socket. `tun` must have been opened with offloads (and is set to
    /// non-blocking), for several queues if there are several lanes; the sockets prepared by
    /// [`crate::configure_socket`], and by [`crate::share_port`]; nobody else reads from either. `counters` count
    /// what belongs to no peer. Each lane has a copy of the sink.
    pub fn start(
        tun: &SyncDevice,
        sockets: &[Arc<UdpSocket>],
        snapshot: Arc<ArcSwap<Snapshot>>,
        counters: Arc<Counters>,
        sink: impl ControlSink + Clone + 'static,
    ) -> io::Result<Dataplane> {
        let halt = Arc::new(Halt::new()?);
        let mut dataplane = Dataplane {
            halt: halt.clone(),
            threads: Vec::with_capacity(2 * sockets.len()),
        };
        for (lane, (tun, socket)) in Tun::open(tun, sockets.len())?
            .into_iter()
            .zip(sockets)
            .enumerate()
        {
            let (tun, socket) = (Arc::new(tun), socket.clone());
            let (snapshot, counters) = (snapshot.clone(), counters.clone());
            let rx = Shared {
                lane,
                tun,
                socket,
                snapshot,
                counters,
                halt: halt.clone(),
            };
            let (tx, sink) = (rx.clone(), sink.clone());
            let name = |what| {
                if lane == 0 {
                    format!("ringway-{what}")
                } else {
                    format!("ringway-{what}{lane}")
                }
            };
            dataplane.spawn(name("tx"), move || run_send(&tx))?;
            dataplane.spawn(name("rx"), move || run_receive(&rx, sink))?;
        }
        Ok(dataplane)
    }

    /// True once a thread could not go on: no packet moves any more.
    pub fn has_failed(&self) -> bool {
        self.halt.failure().is_some()
    }

    /// Stops the threads and waits for them: at most as long as one batch takes.
    pub fn stop(self) {
        drop(self);
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() + std::marker::Send + 'static,
    ) -> io::Result<()> {
        self.threads
            .push(thread::Builder::new().name(name).spawn(run)?);
        Ok(())
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.halt.stop();
        for thread in self.threads.drain(..) {
            // The threads catch their own panics.
            let _ = thread.join();
        }
    }
}

fn run_send(shared: &Shared) {
    guard("sending", &shared.halt, || Send::new(shared)?.run());
}

/// The sink outlives the receiving thread's work, to be told how it ended; once, whichever thread failed.
fn run_receive(shared: &Shared, mut sink: impl ControlSink) {
    guard("receiving", &shared.halt, || {
        Receive::new(shared, &mut sink)?.run()
    });
    if let Some(reason) = shared.halt.failure().filter(|_| shared.lane == 0) {
        tracing::error!(reason, "Data plane stopped");
        sink.event(Event::Failed {
            reason: reason.into(),
        });
    }
}

/// Runs one thread's work; an error or a panic ends all threads.
fn guard(what: &str, halt: &Halt, work: impl FnOnce() -> io::Result<()>) {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => halt.fail(format!("{what}: {error}")),
        Err(panic) => halt.fail(format!("{what}: panicked: {}", message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + std::marker::Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
