//! [`Plane`]: the TUN device and the data plane's threads on it, kept going whatever becomes of the device.
//!
//! ```text
//!   up ── somebody sets it down ──► seen at the next look ──► up again
//!    ▲ └─ somebody deletes, renames or moves it, or a thread ends ──► made anew, with new threads ─┐
//!    └─────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The drive looks when a thread has ended, when an interface has changed, and every second. Sessions, keys and
//! counters live on: they are in the tables and in the core. The kernel drops its routes with the device; whoever
//! looks has them put back. The packet filter knows the device by its name and needs no mending.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_dataplane::{ControlSink, Counters, Dataplane, Event, Snapshot, TunnelSocket};
use tokio::sync::mpsc;
use tun_rs::SyncDevice;

use crate::host::tun::open_tun;
use crate::quic::socket::Inlet;

/// Least time between two devices: threads that end at once are not started in a loop.
const PAUSE: Duration = Duration::from_millis(750);

/// The device: its name, and its interface index as it is now.
#[derive(Debug, Clone)]
pub struct Device {
    /// From the configuration.
    pub name: String,
    /// Bytes of the longest packet.
    pub mtu: u16,
    /// Another one after the device was made anew.
    pub index: Arc<AtomicU32>,
}

/// What the threads work with, besides the device.
pub struct Parts {
    /// The tunnel's sockets, one for each lane.
    pub sockets: Vec<Arc<TunnelSocket>>,
    /// What packets are looked up in.
    pub tables: Arc<ArcSwap<Snapshot>>,
    /// Counts what belongs to no peer.
    pub counters: Arc<Counters>,
    /// Where what is no data goes.
    pub sink: Sink,
}

/// The device and the threads.
pub struct Plane {
    device: Device,
    parts: Parts,
    /// Threads first: they end before their device goes.
    running: Option<(Dataplane, Arc<SyncDevice>)>,
    started: Instant,
    mended: u64,
    /// The last attempt to mend failed, and that was told.
    failing: bool,
}

impl Plane {
    /// Starts the threads on `tun`, which is `device`.
    pub fn start(device: Device, tun: Arc<SyncDevice>, parts: Parts) -> anyhow::Result<Plane> {
        let running = Some(run(tun, &parts)?);
        Ok(Plane {
            device,
            parts,
            running,
            started: Instant::now(),
            mended: 0,
            failing: false,
        })
    }

    /// How often the device had to be mended.
    pub fn mended(&self) -> u64 {
        self.mended
    }

    /// Looks after the device. True if it had to be mended, and is: the kernel has no routes through it.
    pub fn mend(&mut self, now: Instant) -> bool {
        let (mended, reason) = match self.look() {
            Look::Up => return false,
            Look::Raised => (Ok(()), "set down"),
            Look::Gone(_) if now < self.started + PAUSE => return false,
            Look::Gone(reason) => (self.make_anew(now), reason),
        };
        match &mended {
            Ok(()) => {
                self.mended += 1;
                tracing::warn!(reason, "The TUN device was taken away; it is up again");
            }
            Err(error) if !self.failing => {
                let error = format!("{error:#}");
                tracing::error!(reason, error, "Cannot mend the TUN device: no packet moves");
            }
            Err(_) => {}
        }
        self.failing = mended.is_err();
        mended.is_ok()
    }

    fn look(&self) -> Look {
        let Some((dataplane, tun)) = &self.running else {
            return Look::Gone("could not be mended before");
        };
        match tun.name() {
            Ok(name) if name != self.device.name => return Look::Gone("renamed"),
            Ok(_) if !dataplane.has_failed() => {}
            _ => return Look::Gone("deleted"),
        }
        // The system's word for the name, which another device may bear by now.
        if !tun
            .if_index()
            .is_ok_and(|index| index == self.device.index.load(Relaxed))
        {
            return Look::Gone("moved to another network namespace");
        }
        match tun.is_running() {
            Ok(true) => Look::Up,
            // Up at once, or there is more wrong with it.
            Ok(false) if tun.enabled(true).is_ok() && tun.is_running().is_ok_and(|up| up) => {
                Look::Raised
            }
            _ => Look::Gone("set down"),
        }
    }

    fn make_anew(&mut self, now: Instant) -> anyhow::Result<()> {
        // What is left of the old device goes first: it may bear the name still.
        self.running = None;
        self.started = now;
        let (tun, index) = open_tun(&self.device.name, self.device.mtu, self.parts.sockets.len())?;
        self.device.index.store(index, Relaxed);
        self.running = Some(run(tun, &self.parts)?);
        Ok(())
    }
}

/// How the device is found.
enum Look {
    Up,
    /// It was down, and is up again.
    Raised,
    /// What has become of it.
    Gone(&'static str),
}

fn run(tun: Arc<SyncDevice>, parts: &Parts) -> anyhow::Result<(Dataplane, Arc<SyncDevice>)> {
    let Parts {
        sockets,
        tables,
        counters,
        sink,
    } = parts;
    let dataplane = Dataplane::start(
        &tun,
        sockets,
        tables.clone(),
        counters.clone(),
        sink.clone(),
    );
    Ok((dataplane.context("cannot start the data plane")?, tun))
}

/// What the data plane hands over: QUIC to quinn, events to the drive; full queues drop.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Towards quinn.
    pub inlet: Inlet,
    /// Towards the drive.
    pub events: mpsc::Sender<Event>,
}

impl ControlSink for Sink {
    fn quic(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> bool {
        self.inlet.offer(datagram, from, to, ecn)
    }

    fn event(&mut self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }
}
