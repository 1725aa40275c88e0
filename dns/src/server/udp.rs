//! The UDP loop: one datagram in, at most one out, from the socket that was asked and so from its address.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::Shared;
use super::counters::SAMPLE;
use super::limiter::Limiter;
use crate::answer::{MAX_UDP, Outcome, Transport, Verdict, answer_to};

/// Larger questions are cut off, and then malformed.
const MAX_QUESTION: usize = 4096;
/// Between attempts while the socket itself fails (interface down, no memory).
const PAUSE: Duration = Duration::from_millis(50);

/// Answers for ever.
pub(super) async fn serve(socket: UdpSocket, shared: Shared) {
    let socket = Arc::new(socket);
    let mut question = vec![0; MAX_QUESTION];
    let mut response = Vec::with_capacity(MAX_UDP);
    let mut served = 0u32;
    let mut limiter = shared.options.rate.map(Limiter::new);
    loop {
        let (len, asker) = match socket.recv_from(&mut question).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "Receiving DNS questions failed");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(class) = shared.acl.load().class(asker.ip()) else {
            shared.counters.foreign.add();
            continue;
        };
        let now = shared.clock.elapsed();
        let verdict = || limiter.as_mut().map_or(Verdict::Answer, |limiter| limiter.verdict(asker.ip(), now));
        let asker_is = shared.asker(asker.ip(), class, Transport::Udp, now);
        let outcome = answer_to(&shared.zones.load(), &question[..len], &asker_is, verdict, &mut response);
        shared.counters.count(&asker_is, &question[..len], outcome);
        shared.options.query_log.note(&question[..len], asker.ip(), outcome, now);
        if outcome == Outcome::Elsewhere {
            let (socket, counters) = (socket.clone(), shared.counters.clone());
            shared.ask_others(&question[..len], (asker.ip(), class, Transport::Udp), move |response| {
                if socket.try_send_to(&response, asker).is_err() {
                    counters.unsent.add();
                }
            });
        }
        // A full send buffer drops the answer, as the network might; the asker asks again.
        if outcome.is_sent() && socket.try_send_to(&response, asker).is_err() {
            shared.counters.unsent.add();
        }
        served = served.wrapping_add(1);
        if served.is_multiple_of(SAMPLE) && outcome.is_sent() {
            shared.counters.latency.add(shared.clock.elapsed() - now);
        }
    }
}
