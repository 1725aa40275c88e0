//! [`Queues`]: what the ports report to the loop, and [`Senders`], the ports' ends of them.

use ringway_dataplane as dataplane;
use tokio::sync::mpsc;

use super::jobs;
use crate::admin::Request;
use crate::quic;
use crate::watch;

/// Events that may wait for the loop, per queue. When the queue of the links is full, links wait,
/// and their peers with them; when that of the data plane is full, its events are dropped.
const CAPACITY: usize = 1024;

/// The loop's ends.
pub struct Queues {
    /// The data plane's threads.
    pub packets: mpsc::Receiver<dataplane::Event>,
    /// Results of jobs. At most one of each kind, and one zone check per organization, is under
    /// way.
    pub jobs: mpsc::Receiver<jobs::Event>,
    /// The host's addresses, and our certificate's files.
    pub watches: mpsc::Receiver<watch::Event>,
    /// The admin socket, which serves one client at a time.
    pub requests: mpsc::Receiver<Request>,
    /// SIGHUP.
    pub reloads: mpsc::Receiver<()>,
    /// Connections and dials.
    pub links: mpsc::Receiver<quic::event::Event>,
}

/// The ports' ends, by the names of [`Queues`].
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

/// Makes every queue, empty.
pub fn queues() -> (Senders, Queues) {
    let (to_packets, packets) = mpsc::channel(CAPACITY);
    let (to_jobs, jobs) = mpsc::channel(CAPACITY);
    let (to_watches, watches) = mpsc::channel(CAPACITY);
    let (to_links, links) = mpsc::channel(CAPACITY);

    // The admin socket waits for each report before it takes the next request.
    let (to_requests, requests) = mpsc::channel(1);
    // A reload reads every file when it begins, so one that waits covers all SIGHUPs until then.
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
