//! The UDP loop: one thread per socket. It receives all waiting queries in one system call
//! ([`batch`]), answers each, and sends the responses in one system call. They leave from the
//! socket that received the queries, and so from the address that was queried.
//!
//! A thread needs two system calls for a query that arrives alone, and two for a batch. A task of
//! the runtime would need two for each query, and two more whenever it becomes idle.

mod batch;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use rustix::net::{SendFlags, Shutdown, sendto, shutdown};
use tokio_util::sync::CancellationToken;

use self::batch::{Queries, Responses};
use super::Shared;
use super::counters::SAMPLE;
use super::limiter::Limiter;
use super::listen;
use super::options::Rate;
use crate::answer::{Client, Outcome, Transport, answer_to};

/// Pause between attempts while receiving fails: interface down, no memory.
const PAUSE: Duration = Duration::from_millis(50);

/// A bound socket. Dropping it ends the thread that serves it.
#[derive(Debug)]
pub(super) struct Socket {
    udp: Arc<UdpSocket>,
    stop: CancellationToken,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        let udp = listen::udp(address)?;

        Ok(Socket {
            udp: Arc::new(udp),
            stop: CancellationToken::new(),
        })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// The loop that answers queries until `self` is dropped. It blocks its thread, and must run in
    /// the runtime's context: the forwarder spawns tasks.
    pub(super) fn service(&self, shared: Shared) -> impl FnOnce() + Send + 'static {
        let stop = self.stop.clone();
        let service = Service {
            udp: self.udp.clone(),
            limiter: Limiter::new(),
            shared,
            served: 0,
        };

        move || service.serve(&stop)
    }
}

impl Drop for Socket {
    /// On Linux, shutting down an unconnected socket reports ENOTCONN and wakes the blocked
    /// receiver all the same.
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = shutdown(&self.udp, Shutdown::Read);
    }
}

struct Service {
    udp: Arc<UdpSocket>,
    shared: Shared,
    limiter: Limiter,
    /// Responses sent so far; wraps.
    served: u32,
}

impl Service {
    fn serve(mut self, stop: &CancellationToken) {
        let mut queries = Queries::new();
        let mut responses = Responses::new();

        loop {
            let received = queries.receive(&self.udp, stop);
            // A shutdown of the socket ends the wait, with or without an error.
            if stop.is_cancelled() {
                return;
            }

            match received {
                Ok(()) => self.answer_all(&queries, &mut responses),
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "Receiving DNS queries failed");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn answer_all(&mut self, queries: &Queries, responses: &mut Responses) {
        let now = self.shared.clock.elapsed();
        let acl = self.shared.acl.load_full();
        let rate = **self.shared.options.rate.load();
        for (query, from, interface) in queries.iter() {
            let Some(locality) = acl.locality(from.ip(), interface) else {
                self.shared.counters.foreign.add();
                continue;
            };

            responses.add(from, |response| {
                let client = Client {
                    address: from.ip(),
                    locality,
                    transport: Transport::Udp,
                };
                self.answer_one(query, client, &rate, from, now, response)
            });
        }

        // When the send buffer is full, the response is lost, as it could be in the network; the
        // client repeats its query.
        let result = responses.send(&self.udp);
        let counters = &self.shared.counters;
        counters.unsent.add_many(result.unsent);

        let samples_before = self.served / SAMPLE;
        self.served = self.served.wrapping_add(result.sent);
        if self.served / SAMPLE != samples_before {
            counters.latency.add(self.shared.clock.elapsed() - now);
        }
    }

    /// Writes the response to `query`; true if there is one to send now.
    fn answer_one(
        &mut self,
        query: &[u8],
        client: Client,
        rate: &Rate,
        from: SocketAddr,
        now: Duration,
        response: &mut Vec<u8>,
    ) -> bool {
        let shared = &self.shared;
        let limiter = &mut self.limiter;
        let outcome = answer_to(
            &shared.zones.load(),
            query,
            &shared.context(client, now),
            || limiter.decide(rate, client.address, client.locality, now),
            response,
        );

        shared.counters.count(client, query, &outcome);
        let query_log = &shared.options.query_log;
        query_log.note(query, client.address, &outcome, now);

        let is_sent = outcome.is_sent();
        if let Outcome::Forward(query) = outcome {
            let udp = self.udp.clone();
            let counters = shared.counters.clone();
            // Runs on a task of the forwarder, which must not block on a full send buffer.
            shared.forward(query, client, move |response| {
                if sendto(&udp, &response, SendFlags::DONTWAIT, &from).is_err() {
                    counters.unsent.add();
                }
            });
        }
        is_sent
    }
}
