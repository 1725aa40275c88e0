//! The UDP loop: a thread for each socket, which waits for questions, takes as many as have come in one call
//! ([`batch`]), answers each, and sends the answers in one call, from the socket that was asked and so from
//! its address.
//!
//! A thread of its own makes two system calls for a question that comes alone, and two for many that come
//! together. A task of the runtime makes two for each, and two more whenever it has nothing to do.

mod batch;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use rustix::net::{SendFlags, Shutdown, sendto, shutdown};
use tokio_util::sync::CancellationToken;

use self::batch::{Answers, Questions};
use super::Shared;
use super::counters::SAMPLE;
use super::limiter::Limiter;
use crate::answer::{Outcome, Transport, Verdict, answer_to};

/// Between attempts while the socket itself fails (interface down, no memory).
const PAUSE: Duration = Duration::from_millis(50);

/// A bound socket. Dropping it ends its [`serve`].
#[derive(Debug)]
pub(super) struct Socket {
    udp: Arc<UdpSocket>,
    stop: CancellationToken,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        Ok(Socket {
            udp: Arc::new(UdpSocket::bind(address)?),
            stop: CancellationToken::new(),
        })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// What answers here until `self` is dropped. Blocks.
    pub(super) fn service(&self, shared: Shared) -> impl FnOnce() + Send + 'static {
        let (udp, stop) = (self.udp.clone(), self.stop.clone());
        let limiter = shared.options.rate.map(Limiter::new);
        move || {
            Service {
                udp,
                shared,
                limiter,
                served: 0,
            }
            .serve(&stop)
        }
    }
}

impl Drop for Socket {
    /// Linux wakes whoever waits on a socket that is shut down, although it says that it is not connected.
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = shutdown(&self.udp, Shutdown::Read);
    }
}

struct Service {
    udp: Arc<UdpSocket>,
    shared: Shared,
    limiter: Option<Limiter>,
    /// Messages so far.
    served: u32,
}

impl Service {
    /// Answers until `stop`. The runtime's context is needed for questions that others answer.
    fn serve(mut self, stop: &CancellationToken) {
        let (mut questions, mut answers) = (Questions::new(), Answers::new());
        loop {
            let received = questions.receive(&self.udp, stop);
            if stop.is_cancelled() {
                return;
            }
            match received {
                Ok(()) => self.answer_all(&questions, &mut answers),
                Err(Errno::EINTR) => (),
                Err(error) => {
                    tracing::warn!(%error, "Receiving DNS questions failed");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn answer_all(&mut self, questions: &Questions, answers: &mut Answers) {
        let now = self.shared.clock.elapsed();
        for (question, from) in questions.iter() {
            answers.add(from, |response| {
                self.answer_one(question, from, now, response)
            });
        }
        // A full send buffer drops the answer, as the network might; the asker asks again.
        let (sent, unsent) = answers.send(&self.udp);
        let counters = &self.shared.counters;
        counters.unsent.add_many(unsent);
        let before = self.served / SAMPLE;
        self.served = self.served.wrapping_add(sent);
        if self.served / SAMPLE != before {
            counters.latency.add(self.shared.clock.elapsed() - now);
        }
    }

    /// True if `response` is to be sent.
    fn answer_one(
        &mut self,
        question: &[u8],
        from: SocketAddr,
        now: Duration,
        response: &mut Vec<u8>,
    ) -> bool {
        let address = from.ip();
        let shared = &self.shared;
        let Some(class) = shared.acl.load().class(address) else {
            shared.counters.foreign.add();
            return false;
        };
        let limiter = &mut self.limiter;
        let verdict = || {
            limiter
                .as_mut()
                .map_or(Verdict::Answer, |limiter| limiter.verdict(address, now))
        };
        let asker = shared.asker(address, class, Transport::Udp, now);
        let outcome = answer_to(&shared.zones.load(), question, &asker, verdict, response);
        shared.counters.count(&asker, question, outcome);
        shared
            .options
            .query_log
            .note(question, address, outcome, now);
        if outcome == Outcome::Elsewhere {
            let (udp, counters) = (self.udp.clone(), shared.counters.clone());
            shared.ask_others(
                question,
                (address, class, Transport::Udp),
                move |response| {
                    if sendto(&udp, &response, SendFlags::DONTWAIT, &from).is_err() {
                        counters.unsent.add();
                    }
                },
            );
        }
        outcome.is_sent()
    }
}
