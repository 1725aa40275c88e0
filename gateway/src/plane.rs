//! [`Plane`]: the TUN device and the data plane's threads. Keeps both running, whatever happens to
//! the device.
//!
//! ```text
//!   up ── set down ──► seen at the next check ──► up again
//!    ▲ └─ deleted, renamed or moved, or a thread ended ──► re-created, with new threads ─┐
//!    └───────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The shell requests a check when a thread has ended, when an interface has changed, and every
//! second. Sessions, keys and counters survive in the tables and in the mesh, and so does the
//! filter with its flows. The kernel drops its routes together with the device, so the shell
//! installs them again.

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

/// Minimum time between two re-creations, so that threads that fail at once are not restarted in a
/// loop.
const PAUSE: Duration = Duration::from_millis(750);

/// The TUN device: its name, and its current interface index.
#[derive(Debug, Clone)]
pub struct Device {
    /// From the configuration.
    pub name: TunName,
    /// The device's MTU, bytes.
    pub mtu: u16,
    /// The index changes when the device is re-created.
    pub index: Arc<AtomicU32>,
}

/// The inputs of the threads, apart from the device.
pub struct Parts {
    /// The tunnel's sockets, one for each lane.
    pub sockets: Vec<Arc<TunnelSocket>>,
    /// Tables, counters and the filter, which outlive device and threads.
    pub shared: Shared,
    /// Receives datagrams other than data packets.
    pub sink: Sink,
}

/// The device and the threads.
pub struct Plane {
    device: Device,
    parts: Parts,
    /// The threads first, so that they end before their device is removed.
    running: Option<(Dataplane, Arc<SyncDevice>)>,
    /// The device's drop counters at the last reading.
    drops: TunDrops,
    started: Instant,
    recreated: u64,
    /// The last attempt failed and was logged.
    failing: bool,
}

impl Plane {
    /// Starts the threads on `tun`, the device described by `device`.
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

    /// How often the device was found down or removed, and restored.
    pub fn recreated(&self) -> u64 {
        self.recreated
    }

    /// True while a thread of the data plane is busy with one batch for longer than `limit`.
    pub fn has_stalled(&mut self, limit: Duration, now: Instant) -> bool {
        let running = self.running.as_mut();

        running.is_some_and(|(dataplane, _)| dataplane.has_stalled(limit, now))
    }

    /// Checks the device, and re-creates it if necessary. True if it was restored: then the kernel
    /// has no routes through it.
    pub fn restore(&mut self, now: Instant) -> bool {
        // While the device exists: its counters vanish with it.
        self.count_drops();

        match self.check_device() {
            DeviceState::Up => false,
            DeviceState::Raised => self.restored("set down"),
            // Do not re-create a device that fails at once in a loop.
            DeviceState::Gone(_) if now < self.started + PAUSE => false,
            DeviceState::Gone(reason) => match self.recreate(now) {
                Ok(()) => self.restored(reason),
                Err(error) => self.failed(reason, &error),
            },
        }
    }

    /// Counts packets that the kernel has dropped at the device.
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

    fn check_device(&self) -> DeviceState {
        let Some((dataplane, tun)) = &self.running else {
            return DeviceState::Gone("could not be brought back before");
        };

        match tun.name() {
            Ok(name) if name != self.device.name.as_str() => return DeviceState::Gone("renamed"),
            // A thread ends when it cannot read or write the device any more.
            Ok(_) if !dataplane.has_failed() => {}
            _ => return DeviceState::Gone("deleted"),
        }

        // The name is not enough: another device may have it now, while ours was renamed.
        if !tun
            .if_index()
            .is_ok_and(|index| index == self.device.index.load(Relaxed))
        {
            return DeviceState::Gone("moved to another network namespace");
        }

        match tun.is_running() {
            Ok(true) => DeviceState::Up,
            // If it cannot be brought up at once, something else is wrong with it.
            Ok(false) if tun.enabled(true).is_ok() && tun.is_running().is_ok_and(|up| up) => {
                DeviceState::Raised
            }
            _ => DeviceState::Gone("set down"),
        }
    }

    fn recreate(&mut self, now: Instant) -> anyhow::Result<()> {
        // Remove the old device first: it may still have the name.
        self.running = None;
        // Set even if the attempt fails, because the pause counts from here.
        self.started = now;

        let (tun, index) = open_tun(&self.device.name, self.device.mtu, self.parts.sockets.len())?;
        // Shared with the kernel's routes, which refer to the device by index.
        self.device.index.store(index, Relaxed);
        self.drops = TunDrops::default();
        self.running = Some(run(tun, &self.parts)?);
        Ok(())
    }
}

/// The state of the device.
enum DeviceState {
    Up,
    /// It was down and was brought up again.
    Raised,
    /// It no longer works, for this reason.
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

/// Receives what the data plane passes on: QUIC datagrams for quinn, and events for the drive. If a
/// queue is full, it drops.
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
        // A thread of the data plane must not wait for the loop. A lost echo counts as a lost
        // probe, and the next probe follows.
        self.events.try_send(event).is_ok()
    }
}
