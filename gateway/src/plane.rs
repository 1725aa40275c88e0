//! [`Plane`]: the TUN device and the data plane's threads on it, kept running whatever happens to
//! the device.
//!
//! ```text
//!   up ── set down ──► seen at the next check ──► up again
//!    ▲ └─ deleted, renamed or moved, or a thread ended ──► re-created, with new threads ─┐
//!    └───────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The shell asks for a check when a thread has ended, when an interface has changed, and every
//! second. Sessions, keys and counters live on: they are in the tables and in the mesh. The kernel
//! drops its routes with the device, and the shell has them installed again. The filter with its
//! flows lives on, too.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ringway_config::TunName;
use ringway_dataplane::{ControlSink, Dataplane, DropReason, Event, Shared, TunnelSocket};
use ringway_host::tun::open_tun;
use ringway_host::tun_drops::{self, TunDrops};
use tokio::sync::mpsc;
use tun_rs::SyncDevice;

use crate::quic::socket::Inlet;

/// Least time between two devices: threads that end at once are not started in a loop.
const PAUSE: Duration = Duration::from_millis(750);

/// The device: its name, and its interface index as it is now.
#[derive(Debug, Clone)]
pub struct Device {
    /// From the configuration.
    pub name: TunName,
    /// Bytes of the longest packet.
    pub mtu: u16,
    /// Another one after the device was re-created.
    pub index: Arc<AtomicU32>,
}

/// What the threads work with, besides the device.
pub struct Parts {
    /// The tunnel's sockets, one for each lane.
    pub sockets: Vec<Arc<TunnelSocket>>,
    /// Tables, counters and the filter, which outlive device and threads.
    pub shared: Shared,
    /// Takes everything but data packets.
    pub sink: Sink,
}

/// The device and the threads.
pub struct Plane {
    device: Device,
    parts: Parts,
    /// Threads first: they end before their device goes.
    running: Option<(Dataplane, Arc<SyncDevice>)>,
    /// The device's numbers when they were read last.
    drops: TunDrops,
    started: Instant,
    recreated: u64,
    /// The last attempt failed, and that was logged.
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
            drops: TunDrops::default(),
            started: Instant::now(),
            recreated: 0,
            failing: false,
        })
    }

    /// How often the device was found down or gone, and brought back.
    pub fn recreated(&self) -> u64 {
        self.recreated
    }

    /// True while a thread that moves packets has been busy with one batch for longer than `limit`.
    pub fn has_stalled(&mut self, limit: Duration, now: Instant) -> bool {
        let running = self.running.as_mut();

        running.is_some_and(|(dataplane, _)| dataplane.has_stalled(limit, now))
    }

    /// Checks the device, and re-creates it if necessary. True if it was down or gone and is up
    /// again: the kernel has no routes through it then.
    pub fn restore(&mut self, now: Instant) -> bool {
        // While it is there: its numbers go with it.
        self.count_drops();

        match self.look() {
            Look::Up => false,
            Look::Raised => self.restored("set down"),
            // A device that fails at once is not re-created in a loop.
            Look::Gone(_) if now < self.started + PAUSE => false,
            Look::Gone(reason) => match self.recreate(now) {
                Ok(()) => self.restored(reason),
                Err(error) => self.failed(reason, &error),
            },
        }
    }

    /// Counts what the kernel has dropped at the device.
    fn count_drops(&mut self) {
        let Ok(drops) = tun_drops::read(&self.device.name) else {
            return;
        };

        let new = drops.since(&self.drops);
        let counters = &self.parts.shared.counters;
        counters.drop_packets(DropReason::TunQueue, new.queue as usize);
        counters.drop_packets(DropReason::TunInput, new.input as usize);
        self.drops = drops;
    }

    fn restored(&mut self, reason: &'static str) -> bool {
        self.recreated += 1;
        self.failing = false;
        tracing::warn!(
            reason,
            "The TUN device was taken away from the daemon; it is up again"
        );
        true
    }

    fn failed(&mut self, reason: &'static str, error: &anyhow::Error) -> bool {
        if !self.failing {
            let error = format!("{error:#}");
            tracing::error!(
                reason,
                error,
                "Cannot bring the TUN device back: no packet moves"
            );
        }

        self.failing = true;
        false
    }

    fn look(&self) -> Look {
        let Some((dataplane, tun)) = &self.running else {
            return Look::Gone("could not be brought back before");
        };

        match tun.name() {
            Ok(name) if name != self.device.name.as_str() => return Look::Gone("renamed"),
            // A thread ends when it can no longer read or write the device.
            Ok(_) if !dataplane.has_failed() => {}
            _ => return Look::Gone("deleted"),
        }

        // The name is not enough: another device may have it by now, while ours is elsewhere.
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

    fn recreate(&mut self, now: Instant) -> anyhow::Result<()> {
        // What is left of the old device goes first: it may still have the name.
        self.running = None;
        // Also if the attempt fails: the pause counts from here.
        self.started = now;

        let (tun, index) = open_tun(&self.device.name, self.device.mtu, self.parts.sockets.len())?;
        // Shared with the kernel's routes, which name the device by its index.
        self.device.index.store(index, Relaxed);
        self.drops = TunDrops::default();
        self.running = Some(run(tun, &self.parts)?);
        Ok(())
    }
}

/// How the device was found.
enum Look {
    Up,
    /// It was down, and is up again.
    Raised,
    /// What happened to it.
    Gone(&'static str),
}

fn run(tun: Arc<SyncDevice>, parts: &Parts) -> anyhow::Result<(Dataplane, Arc<SyncDevice>)> {
    let Parts {
        sockets,
        shared,
        sink,
    } = parts;

    let dataplane = Dataplane::start(&tun, sockets, shared, sink.clone());
    Ok((dataplane.context("cannot start the data plane")?, tun))
}

/// Takes what the data plane hands over: QUIC datagrams for quinn, events for the drive. Full
/// queues drop.
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
        // A thread that moves packets must not wait for the loop. A lost echo counts as a lost
        // probe, and the next probe follows.
        self.events.try_send(event).is_ok()
    }
}
