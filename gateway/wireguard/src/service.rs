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
use crate::engine::{Ends, Engine};
use crate::key::PrivateKey;

/// Timers are looked after, and a new configuration is seen, at least so often.
const TICK: Duration = Duration::from_millis(100);

/// How often the use of clients is reported, unless one has come or gone.
const REPORT: Duration = Duration::from_secs(1);

/// Least time between two attempts to re-create the device.
const PAUSE: Duration = Duration::from_secs(1);

/// Receives, and packets of the device, between two looks at the other.
const TURN: usize = 64;

/// Bytes of a buffer: the kernel joins datagrams up to this.
const BUFFER: usize = 0xffff;

/// What the thread works with.
pub struct Parts {
    /// The gateway's key.
    pub key: PrivateKey,
    /// Bound to the port of WireGuard clients.
    pub socket: TunnelSocket,
    /// The device of WireGuard clients.
    pub device: SyncDevice,
    /// Makes the device again, after somebody has removed it.
    pub reopen: Reopen,
    /// The data plane's tables.
    pub tables: Arc<ArcSwap<Snapshot>>,
    /// Hears which clients are here, by prefix, and when they used it last.
    /// False: it did not hear, and the report is repeated.
    pub present: Tell,
}

/// Takes the clients that are here.
pub type Tell = Box<dyn FnMut(BTreeMap<Prefix, Instant>) -> bool + Send>;

/// Makes the device.
pub type Reopen = Box<dyn FnMut() -> io::Result<SyncDevice> + Send>;

/// What the thread knows, once a second.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each client.
    pub clients: Vec<ClientStatus>,
    /// What was dropped and belongs to none.
    pub counts: Counts,
}

/// The running thread. It ends when this is dropped.
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
            ends: Kernel {
                socket: parts.socket,
                device: Some(parts.device),
                counts: Counts::default(),
            },
            tables: parts.tables,
            reopen: parts.reopen,
            present: parts.present,
            nodes: nodes.clone(),
            followed: None,
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

    /// These are the attached nodes from now on; the thread follows within a tenth of a second.
    pub fn follow(&self, nodes: Vec<Node>) {
        self.nodes.store(Arc::new(nodes));
    }

    /// What the thread knew a moment ago.
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);

        // A thread that panicked has said so.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The kernel's ends.
struct Kernel {
    socket: TunnelSocket,
    /// None after it was removed.
    device: Option<SyncDevice>,
    counts: Counts,
}

impl Ends for Kernel {
    fn send(&mut self, path: &Path, datagram: &[u8]) {
        let mut sent = self.socket.send(path, datagram, None);

        // The address that the client knows us by may have gone.
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
    ends: Kernel,
    tables: Arc<ArcSwap<Snapshot>>,
    reopen: Reopen,
    present: Tell,
    nodes: Arc<ArcSwap<Vec<Node>>>,
    /// The nodes that the engine has.
    followed: Option<Arc<Vec<Node>>>,
    report: Arc<ArcSwap<Report>>,
    /// What was told last.
    reported: BTreeMap<Prefix, Instant>,
    next_tick: Instant,
    next_report: Instant,
    next_device: Instant,
}

impl Worker {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; BUFFER];

        while !stop.load(Relaxed) {
            self.follow();
            self.wait();

            self.receive(&mut buffer);
            self.read(&mut buffer);

            let now = Instant::now();
            if self.next_tick <= now {
                self.next_tick = now + TICK;
                self.engine.tick(&mut self.ends);
            }
            self.tell(now);
            if self.ends.device.is_none() {
                self.restore(now);
            }
        }
    }

    fn follow(&mut self) {
        let nodes = self.nodes.load_full();
        let is_known = self
            .followed
            .as_ref()
            .is_some_and(|followed| Arc::ptr_eq(followed, &nodes));

        if !is_known {
            self.engine.follow(&nodes);
            self.followed = Some(nodes);
        }
    }

    /// Until something comes, or a tick is due.
    fn wait(&self) {
        let socket = PollFd::from_borrowed_fd(self.ends.socket.as_fd(), PollFlags::IN);
        let device = self.ends.device.as_ref();
        let device = device.map(|device| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN));
        let mut ends: Vec<PollFd<'_>> = [socket].into_iter().chain(device).collect();

        let left = self.next_tick.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: 0,
            tv_nsec: left.min(TICK).subsec_nanos().into(),
        };
        // Interrupted, or the device has gone: the next read finds out.
        let _ = poll(&mut ends, Some(&left));
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        let tables = self.tables.load();

        for _ in 0..TURN {
            let Ok(received) = self.ends.socket.receive(buffer) else {
                return;
            };
            let path = Path::new(received.from, received.to);
            let now = Instant::now();
            let all = &buffer[..received.len];
            let size = received.segment.unwrap_or(received.len).max(1);
            for datagram in all.chunks(size) {
                self.engine
                    .datagram(&tables, path, datagram, now, &mut self.ends);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let tables = self.tables.load();

        for _ in 0..TURN {
            let Some(device) = &self.ends.device else {
                return;
            };
            match device.recv(buffer) {
                Ok(len) => self.engine.packet(&tables, &buffer[..len], &mut self.ends),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    warn!(%error, "The device of WireGuard clients has gone");
                    self.ends.device = None;
                    return;
                }
            }
        }
    }

    /// Tells who is here: at once if that has changed, else from time to time.
    fn tell(&mut self, now: Instant) {
        let is_due = self.next_report <= now;
        let present = self.engine.present(now);
        let is_same = present.keys().eq(self.reported.keys());
        if !is_due && is_same {
            return;
        }

        self.next_report = now + REPORT;
        let mut counts = self.engine.counts().clone();
        counts.add_all(&self.ends.counts);
        self.report.store(Arc::new(Report {
            clients: self.engine.status(now),
            counts,
        }));
        if present != self.reported && (self.present)(present.clone()) {
            self.reported = present;
        }
    }

    fn restore(&mut self, now: Instant) {
        if now < self.next_device {
            return;
        }
        self.next_device = now + PAUSE;

        let device = (self.reopen)();
        let device = device.and_then(|device| device.set_nonblocking(true).map(|()| device));
        match device {
            Ok(device) => {
                info!("The device of WireGuard clients is there again");
                self.ends.device = Some(device);
            }
            Err(error) => warn!(%error, "Cannot re-create the device of WireGuard clients"),
        }
    }
}
