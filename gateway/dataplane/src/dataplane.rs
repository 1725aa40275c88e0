//! [`Dataplane`]: the two threads, started and stopped.
//!
//! ```text
//!  TUN ──► ringway-tx: split, route, seal ──► UDP        both poll their descriptor and the halt signal
//!  TUN ◄── ringway-rx: admit, open, coalesce ◄── UDP ──► ControlSink
//! ```
//! If one thread cannot go on, both end and the sink is told: half a data plane is none.

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

/// What both threads share.
#[derive(Clone)]
pub(crate) struct Shared {
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
    /// Starts both threads. `tun` must have been opened with offloads (and is set to non-blocking), `socket`
    /// prepared by [`crate::configure_socket`]; nobody else reads from either. `counters` count what belongs
    /// to no peer.
    pub fn start(
        tun: Arc<SyncDevice>,
        socket: Arc<UdpSocket>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        counters: Arc<Counters>,
        sink: impl ControlSink + 'static,
    ) -> io::Result<Dataplane> {
        let tun = Arc::new(Tun::new(&tun)?);
        let halt = Arc::new(Halt::new()?);
        let shared = Shared { tun, socket, snapshot, counters, halt: halt.clone() };
        let mut dataplane = Dataplane { halt, threads: Vec::with_capacity(2) };
        let tx = shared.clone();
        dataplane.spawn("ringway-tx", move || run_send(&tx))?;
        dataplane.spawn("ringway-rx", move || run_receive(&shared, sink))?;
        Ok(dataplane)
    }

    /// True once a thread could not go on: no packet moves any more.
    pub fn has_failed(&self) -> bool {
        self.halt.failure().is_some()
    }

    /// Stops both threads and waits for them: at most as long as one batch takes.
    pub fn stop(self) {
        drop(self);
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + std::marker::Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(run)?);
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

/// The sink outlives the receiving thread's work, to be told how it ended.
fn run_receive(shared: &Shared, mut sink: impl ControlSink) {
    guard("receiving", &shared.halt, || Receive::new(shared, &mut sink)?.run());
    if let Some(reason) = shared.halt.failure() {
        tracing::error!(reason, "Data plane stopped");
        sink.event(Event::Failed { reason: reason.into() });
    }
}

/// Runs one thread's work; an error or a panic ends both threads.
fn guard(what: &str, halt: &Halt, work: impl FnOnce() -> io::Result<()>) {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => halt.fail(format!("{what}: {error}")),
        Err(panic) => halt.fail(format!("{what}: panicked: {}", message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + std::marker::Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
