//! [`Service`]: the thread that serves WireGuard clients, between its socket and its device.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_config::{Node, Prefix};
use ringway_dataplane::{Path, Snapshot, TunnelSocket, Udp as _};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{info, warn};
use tun_rs::SyncDevice;

use crate::client::ClientStatus;
use crate::counts::Counts;
use crate::engine::{Engine, Output};
use crate::key::PrivateKey;
use crate::stranger::Stranger;

/// Interval of gotatun's timers, and the longest delay until a new configuration is seen.
const TICK: Duration = Duration::from_millis(100);

/// Interval of the reports. A client that comes up or goes down is reported at once.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum time between two attempts to re-create the device.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Maximum of datagrams before the device gets its turn, and of packets before the socket does.
const BUDGET: usize = 64;

/// Size of the buffer: GRO joins datagrams up to 64 KiB.
const BUFFER: usize = 0xffff;

/// Everything that the thread works with.
pub struct Parts {
    /// The gateway's private key.
    pub key: PrivateKey,
    /// The socket, bound to the port for WireGuard clients.
    pub socket: TunnelSocket,
    /// The TUN device for WireGuard clients.
    pub device: SyncDevice,
    /// Re-creates the device after another program has removed it.
    pub reopen: Reopen,
    /// The data plane's tables.
    pub tables: Arc<ArcSwap<Snapshot>>,
    /// Receives the prefixes of the clients that are up, with the time of their last use. If it
    /// returns false (its queue is full), the report is repeated.
    pub on_activity: OnActivity,
}

/// Callback for [`Parts::on_activity`].
pub type OnActivity = Box<dyn FnMut(BTreeMap<Prefix, Instant>) -> bool + Send>;

/// Callback that creates the device.
pub type Reopen = Box<dyn FnMut() -> io::Result<SyncDevice> + Send>;

/// Status of the service, updated once a second.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Status of each client.
    pub clients: Vec<ClientStatus>,
    /// Drops that belong to no client.
    pub counts: Counts,
    /// A client that tries to come in, and whose key no node has.
    pub stranger: Option<Stranger>,
}

/// Handle of the running thread. Dropping it ends the thread.
pub struct Service {
    nodes: Arc<ArcSwap<Vec<Node>>>,
    report: Arc<ArcSwap<Report>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the thread, which serves the clients among `nodes`.
    pub fn start(parts: Parts, nodes: Vec<Node>) -> io::Result<Service> {
        parts.device.set_nonblocking(true)?;
        let nodes = Arc::new(ArcSwap::from_pointee(nodes));
        let report = Arc::new(ArcSwap::from_pointee(Report::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            engine: Engine::new(parts.key, Instant::now()),
            kernel: Kernel {
                socket: parts.socket,
                device: Some(parts.device),
                counts: Counts::default(),
            },
            tables: parts.tables,
            reopen: parts.reopen,
            on_activity: parts.on_activity,
            nodes: nodes.clone(),
            applied: None,
            report: report.clone(),
            reported: BTreeMap::new(),
            next_tick: Instant::now(),
            next_report: Instant::now(),
            next_device: Instant::now(),
        };

        let ended = stop.clone();
        let thread = std::thread::Builder::new()
            .name("ringway-wg".into())
            .spawn(move || worker.run(&ended))?;
        Ok(Service {
            nodes,
            report,
            stop,
            thread: Some(thread),
        })
    }

    /// Replaces the attached nodes. The thread applies them within a tenth of a second.
    pub fn set_nodes(&self, nodes: Vec<Node>) {
        self.nodes.store(Arc::new(nodes));
    }

    /// The latest status.
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);

        // A panic of the thread was already logged by the panic hook.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The socket and the device.
struct Kernel {
    socket: TunnelSocket,
    /// None after another program removed it.
    device: Option<SyncDevice>,
    counts: Counts,
}

impl Output for Kernel {
    fn send(&mut self, path: &Path, datagram: &[u8]) {
        let mut sent = self.socket.send(path, datagram, None);

        // The local address that the client used may be gone: let the kernel choose one.
        if sent.is_err() && path.local().is_some() {
            let any = Path::new(path.remote(), None);
            sent = self.socket.send(&any, datagram, None);
        }
        if sent.is_err() {
            self.counts.add("not_sent");
        }
    }

    fn write(&mut self, packet: &[u8]) {
        let written = self.device.as_ref().map(|device| device.send(packet));

        if !matches!(written, Some(Ok(_))) {
            self.counts.add("not_written");
        }
    }
}

struct Worker {
    engine: Engine,
    kernel: Kernel,
    tables: Arc<ArcSwap<Snapshot>>,
    reopen: Reopen,
    on_activity: OnActivity,
    nodes: Arc<ArcSwap<Vec<Node>>>,
    /// The nodes that the engine works with.
    applied: Option<Arc<Vec<Node>>>,
    report: Arc<ArcSwap<Report>>,
    /// The activity that was last reported.
    reported: BTreeMap<Prefix, Instant>,
    next_tick: Instant,
    next_report: Instant,
    next_device: Instant,
}

impl Worker {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; BUFFER];

        while !stop.load(Relaxed) {
            self.apply_nodes();
            self.wait();

            self.receive(&mut buffer);
            self.read(&mut buffer);

            let now = Instant::now();
            if self.next_tick <= now {
                self.next_tick = now + TICK;
                self.engine.handle_timers(&mut self.kernel);
            }
            self.report_activity(now);
            if self.kernel.device.is_none() {
                self.reopen_device(now);
            }
        }
    }

    fn apply_nodes(&mut self) {
        let nodes = self.nodes.load_full();
        let is_known = self
            .applied
            .as_ref()
            .is_some_and(|applied| Arc::ptr_eq(applied, &nodes));

        if !is_known {
            self.engine.set_nodes(&nodes);
            self.applied = Some(nodes);
        }
    }

    /// Waits until the socket or the device is readable, or a tick is due.
    fn wait(&self) {
        let socket = PollFd::from_borrowed_fd(self.kernel.socket.as_fd(), PollFlags::IN);
        let device = self.kernel.device.as_ref();
        let device = device.map(|device| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = [socket].into_iter().chain(device).collect();

        let left = self.next_tick.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: 0,
            tv_nsec: left.min(TICK).subsec_nanos().into(),
        };
        // On an error (interrupted, or the device is gone) the following reads fail and handle it.
        let _ = poll(&mut fds, Some(&left));
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        let tables = self.tables.load();

        for _ in 0..BUDGET {
            let Ok(received) = self.kernel.socket.receive(buffer) else {
                return;
            };
            let path = Path::new(received.from, received.to);
            let now = Instant::now();
            let all = &buffer[..received.len];
            let size = received.segment.unwrap_or(received.len).max(1);
            for datagram in all.chunks(size) {
                self.engine
                    .handle_datagram(&tables, path, datagram, now, &mut self.kernel);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let tables = self.tables.load();

        for _ in 0..BUDGET {
            let Some(device) = &self.kernel.device else {
                return;
            };
            match device.recv(buffer) {
                Ok(len) => {
                    let packet = &buffer[..len];
                    self.engine
                        .handle_packet(&tables, packet, Instant::now(), &mut self.kernel);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    warn!(%error, "The device of WireGuard clients has gone");
                    self.kernel.device = None;
                    return;
                }
            }
        }
    }

    /// Reports activity: at once if a client came up or went down, else once a second.
    fn report_activity(&mut self, now: Instant) {
        let is_due = self.next_report <= now;
        let present = self.engine.active(now);
        let is_same = present.keys().eq(self.reported.keys());
        if !is_due && is_same {
            return;
        }

        self.next_report = now + REPORT_INTERVAL;
        let mut counts = self.engine.counts().clone();
        counts.add_all(&self.kernel.counts);
        self.report.store(Arc::new(Report {
            clients: self.engine.status(now),
            counts,
            stranger: self.engine.stranger(now),
        }));
        if present != self.reported && (self.on_activity)(present.clone()) {
            self.reported = present;
        }
    }

    fn reopen_device(&mut self, now: Instant) {
        if now < self.next_device {
            return;
        }
        self.next_device = now + REOPEN_PAUSE;

        let device = (self.reopen)();
        let device = device.and_then(|device| device.set_nonblocking(true).map(|()| device));
        match device {
            Ok(device) => {
                info!("The device of WireGuard clients is there again");
                self.kernel.device = Some(device);
            }
            Err(error) => warn!(%error, "Cannot re-create the device of WireGuard clients"),
        }
    }
}
