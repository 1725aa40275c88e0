//! [`Queues`]: the receiving ends of the loop's queues, and [`Senders`], the sending ends.

use ringway_dataplane as dataplane;
use tokio::sync::mpsc;

use super::jobs;
use crate::admin::Request;
use crate::quic;
use crate::watch;

/// Capacity of each queue. When the queue of the links is full, links wait, and so do their peers.
/// When that of the data plane is full, events are dropped.
const CAPACITY: usize = 1024;

/// The receiving ends.
pub struct Queues {
    /// From the data plane's threads.
    pub packets: mpsc::Receiver<dataplane::Event>,
    /// Results of jobs. At most one job of each kind runs at once, and one zone check for each
    /// organization.
    pub jobs: mpsc::Receiver<jobs::Event>,
    /// From the watches: the host's addresses, the kernel, the certificate's files.
    pub watches: mpsc::Receiver<watch::Event>,
    /// From the admin socket.
    pub requests: mpsc::Receiver<Request>,
    /// From SIGHUP and the file watch.
    pub reloads: mpsc::Receiver<()>,
    /// From the links: connections and dials.
    pub links: mpsc::Receiver<quic::event::Event>,
}

/// The sending ends, with the names of [`Queues`].
pub struct Senders {
    /// To [`Queues::packets`].
    pub packets: mpsc::Sender<dataplane::Event>,
    /// To [`Queues::jobs`].
    pub jobs: mpsc::Sender<jobs::Event>,
    /// To [`Queues::watches`].
    pub watches: mpsc::Sender<watch::Event>,
    /// To [`Queues::requests`].
    pub requests: mpsc::Sender<Request>,
    /// To [`Queues::reloads`].
    pub reloads: mpsc::Sender<()>,
    /// To [`Queues::links`].
    pub links: mpsc::Sender<quic::event::Event>,
}

/// Creates every queue.
pub fn queues() -> (Senders, Queues) {
    let (to_packets, packets) = mpsc::channel(CAPACITY);
    let (to_jobs, jobs) = mpsc::channel(CAPACITY);
    let (to_watches, watches) = mpsc::channel(CAPACITY);
    let (to_links, links) = mpsc::channel(CAPACITY);

    // The admin socket waits for each report before it takes the next request.
    let (to_requests, requests) = mpsc::channel(1);
    // A reload reads every file when it begins, so one pending request covers all earlier SIGHUPs.
    let (to_reloads, reloads) = mpsc::channel(1);

    let senders = Senders {
        packets: to_packets,
        jobs: to_jobs,
        watches: to_watches,
        requests: to_requests,
        reloads: to_reloads,
        links: to_links,
    };
    let queues = Queues {
        packets,
        jobs,
        watches,
        requests,
        reloads,
        links,
    };
    (senders, queues)
}
