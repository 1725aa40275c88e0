//! TCP (RFC 7766): length-prefixed messages, several questions in flight, few and short-lived connections.
//!
//! Every question is answered as soon as it is read, so answers keep the order of the questions. A
//! client that is slow to send, to read or to end is closed; so is one connection too many.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::answer::{Transport, Verdict, answer_to};

/// Open connections in all, and from one address.
const MAX_CONNECTIONS: usize = 512;
const MAX_PER_ASKER: usize = 32;
/// A connection without a whole question for this long is closed (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A client that does not read its answers for this long is closed.
const STALL: Duration = Duration::from_secs(5);
/// Larger questions are nonsense; their connection is closed.
const MAX_QUESTION: usize = 4096;
/// While the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) shared: Shared,
    pub(super) connections: Connections,
    pub(super) tasks: TaskTracker,
    pub(super) cancel: CancellationToken,
}

impl Listener {
    /// Accepts for ever.
    pub(super) async fn serve(self) {
        loop {
            let (stream, asker) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "Accepting DNS connections failed");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            if !self.shared.acl.load().admits(asker.ip()) {
                self.shared.counters.foreign.add();
                continue;
            }
            let Some(place) = self.connections.enter(asker.ip()) else {
                self.shared.counters.crowded.add();
                continue;
            };
            let connection = converse(stream, self.shared.clone(), place);
            self.tasks.spawn(self.cancel.clone().run_until_cancelled_owned(connection));
        }
    }
}

/// Answers what comes over one connection until it ends, idles or misbehaves.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared, place: Place) {
    let mut unread = Vec::with_capacity(512);
    let mut answers = Vec::new();
    let mut response = Vec::new();
    while let Ok(true) = read_question(&mut stream, &mut unread).await {
        while let Some(question) = first_question(&unread) {
            let asker = shared.asker(place.asker, Transport::Tcp, shared.clock.elapsed());
            // Who completes a handshake has the address it claims: no limit.
            let verdict = || Verdict::Answer;
            let outcome = answer_to(&shared.zones.load(), question, &asker, verdict, &mut response);
            shared.counters.count(Transport::Tcp, outcome);
            if outcome.is_sent() {
                answers.extend_from_slice(&(response.len() as u16).to_be_bytes());
                answers.extend_from_slice(&response);
            }
            let taken = 2 + question.len();
            unread.drain(..taken);
        }
        if !matches!(timeout(STALL, stream.write_all(&answers)).await, Ok(Ok(()))) {
            return;
        }
        answers.clear();
    }
}

/// Reads until `unread` starts with a whole question; false at the end, in time or too late.
async fn read_question(stream: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) -> io::Result<bool> {
    let reading = async {
        loop {
            if first_question(unread).is_some() {
                return Ok(true);
            }
            if announced(unread).is_some_and(|len| len > MAX_QUESTION) || stream.read_buf(unread).await? == 0
            {
                return Ok(false);
            }
        }
    };
    timeout(IDLE, reading).await.unwrap_or(Ok(false))
}

fn announced(unread: &[u8]) -> Option<usize> {
    unread.first_chunk().map(|len| usize::from(u16::from_be_bytes(*len)))
}

fn first_question(unread: &[u8]) -> Option<&[u8]> {
    unread.get(2..2 + announced(unread)?)
}

/// Who is connected how often.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One open connection; dropping it makes room.
struct Place {
    connections: Connections,
    asker: IpAddr,
}

impl Connections {
    fn enter(&self, asker: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = open.get(&asker).copied().unwrap_or(0);
        if mine >= MAX_PER_ASKER || open.values().sum::<usize>() >= MAX_CONNECTIONS {
            return None;
        }
        open.insert(asker, mine + 1);
        Some(Place { connections: self.clone(), asker })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.asker) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;

    use super::super::Options;
    use super::*;

    #[test]
    fn one_asker_cannot_take_every_connection_and_a_closed_one_makes_room() {
        let connections = Connections::default();
        let greedy: IpAddr = "10.0.0.1".parse().unwrap();
        let mut places: Vec<_> = (0..MAX_PER_ASKER).map(|_| connections.enter(greedy).unwrap()).collect();
        assert!(connections.enter(greedy).is_none());
        assert!(connections.enter("10.0.0.2".parse().unwrap()).is_some());
        places.pop();
        assert!(connections.enter(greedy).is_some());
        drop(places);
        assert!(connections.0.lock().unwrap().is_empty());
    }

    #[test]
    fn questions_are_cut_out_of_the_stream_by_their_lengths() {
        assert_eq!(first_question(b"\x00"), None);
        assert_eq!(first_question(b"\x00\x03ab"), None);
        assert_eq!(first_question(b"\x00\x02abc"), Some(&b"ab"[..]));
    }

    const QUESTION: &[u8] =
        b"\x00\x13\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

    fn converse_over(server: DuplexStream) -> impl Future<Output = ()> {
        let shared = Shared::new(Arc::default(), Arc::default(), Options::default()).unwrap();
        let place = Connections::default().enter([127, 0, 0, 1].into());
        converse(server, shared, place.expect("nobody else is connected"))
    }

    /// How long a connection lasts on which `first` is written, and a byte more after each `pause`.
    async fn lasts(first: &[u8], pause: Duration) -> Duration {
        let (mut client, server) = duplex(1024);
        client.write_all(first).await.unwrap();
        let start = Instant::now();
        let mut conversation = pin!(converse_over(server));
        loop {
            tokio::select! {
                () = &mut conversation => return start.elapsed(),
                () = sleep(pause) => client.write_all(&[0]).await.unwrap(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_dripping_and_shouting_connections_are_closed() {
        assert_eq!(lasts(b"", Duration::MAX).await, IDLE);
        assert_eq!(lasts(QUESTION, Duration::MAX).await, IDLE, "idle after an answer");
        assert_eq!(lasts(b"\x01\x00", IDLE / 3).await, IDLE, "bytes alone keep nothing open");
        assert_eq!(lasts(b"\xff\xff", Duration::MAX).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_its_answers_is_closed() {
        let (mut client, server) = duplex(64);
        let start = Instant::now();
        let conversation = tokio::spawn(converse_over(server));
        assert!(client.write_all(&QUESTION.repeat(1000)).await.is_err());
        conversation.await.unwrap();
        assert_eq!(start.elapsed(), STALL);
    }
}
