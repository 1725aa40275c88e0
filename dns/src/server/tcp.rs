//! TCP (RFC 7766): length-prefixed messages, several questions in flight, few and short-lived connections.
//!
//! Every question is answered as soon as it is read, so answers keep the order of the questions; only those
//! that others are asked for come later, as they are known. They are written as they are made, no more than
//! [`BATCH`] octets of them waiting: a client that asks much and reads nothing costs a buffer, and then its
//! connection. So does one that is slow to send or to end. Above the caps, who was silent for longest makes
//! room ([`connections`]).

mod connections;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::acl::Class;
use crate::answer::{Outcome, Transport, Verdict, answer_to};
pub(super) use connections::Connections;
use connections::Place;

/// A connection without a whole question for this long is closed (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A client that does not read its answers for this long is closed.
const STALL: Duration = Duration::from_secs(5);
/// Larger questions are nonsense; their connection is closed.
const MAX_QUESTION: usize = 4096;
/// Octets that one read takes at first; a connection that asks much gets larger ones.
const READ: usize = 1024;
/// Octets of answers that are gathered for one write; the last may exceed it by its own length.
const BATCH: usize = 16 * 1024;
/// Answers of others that one connection may wait for; it is not read from while there are so many.
const MAX_LATE: usize = 64;
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
            let Some(class) = self.shared.acl.load().class(asker.ip()) else {
                self.shared.counters.foreign.add();
                continue;
            };
            let (place, crowded) = self.connections.enter(asker.ip().to_canonical());
            if crowded {
                self.shared.counters.crowded.add();
            }
            let leave = place.leave.clone();
            let connection = leave.run_until_cancelled_owned(converse(
                stream,
                self.shared.clone(),
                (place, class),
            ));
            self.tasks
                .spawn(self.cancel.clone().run_until_cancelled_owned(connection));
        }
    }
}

/// Answers what comes over one connection until it ends, idles or misbehaves.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Shared,
    (place, class): (Place, Class),
) {
    let mut inbox = Inbox {
        bytes: Vec::with_capacity(READ),
        taken: 0,
    };
    let (mut response, mut answers) = (Vec::new(), Vec::new());
    let (late, mut known) = mpsc::channel::<Vec<u8>>(MAX_LATE);
    let mut open = true;
    while open || late.capacity() < MAX_LATE {
        tokio::select! {
            Some(answer) = known.recv() => put_framed(&answer, &mut answers),
            asked = inbox.read(&mut stream), if open && late.capacity() > 0 => {
                open = matches!(asked, Ok(true));
                place.hear();
            }
        }
        while late.capacity() > 0
            && let Some(question) = inbox.next()
        {
            answer_one(
                &shared,
                (place.asker, class),
                question,
                &late,
                &mut response,
            );
            put_framed(&response, &mut answers);
            if answers.len() >= BATCH && !write(&mut stream, &mut answers).await {
                return;
            }
        }
        if !write(&mut stream, &mut answers).await {
            return;
        }
    }
}

/// Writes the answer to `question` over `response`; one that others are asked for goes to `late`, which has
/// room.
fn answer_one(
    shared: &Shared,
    (from, class): (IpAddr, Class),
    question: &[u8],
    late: &mpsc::Sender<Vec<u8>>,
    response: &mut Vec<u8>,
) {
    let now = shared.clock.elapsed();
    let asker = shared.asker(from, class, Transport::Tcp, now);
    // Who completes a handshake has the address it claims: no limit.
    let verdict = || Verdict::Answer;
    let outcome = answer_to(&shared.zones.load(), question, &asker, verdict, response);
    shared.counters.count(&asker, question, outcome);
    shared.options.query_log.note(question, from, outcome, now);
    if outcome == Outcome::Elsewhere
        && let Ok(room) = late.clone().try_reserve_owned()
    {
        shared.ask_others(question, (from, class, Transport::Tcp), |answer| {
            _ = room.send(answer)
        });
    }
}

/// Appends `answer` and its length; nothing if there is none.
fn put_framed(answer: &[u8], answers: &mut Vec<u8>) {
    if answer.is_empty() {
        return;
    }
    answers.extend_from_slice(&(answer.len() as u16).to_be_bytes());
    answers.extend_from_slice(answer);
}

/// Writes all of `answers` and empties it; false if the client does not take them.
async fn write(stream: &mut (impl AsyncWrite + Unpin), answers: &mut Vec<u8>) -> bool {
    let written = matches!(timeout(STALL, stream.write_all(answers)).await, Ok(Ok(())));
    answers.clear();
    written
}

/// What was read and not yet answered: less than one question and one read more.
struct Inbox {
    bytes: Vec<u8>,
    /// Octets of it that were taken.
    taken: usize,
}

impl Inbox {
    /// Reads until there is a whole question; false at the end, too late, or if none can come.
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let reading = async {
            loop {
                match announced(&self.bytes) {
                    Some(len) if len > MAX_QUESTION => return Ok(false),
                    Some(len) if self.bytes.len() >= 2 + len => return Ok(true),
                    _ if stream.read_buf(&mut self.bytes).await? == 0 => return Ok(false),
                    _ => (),
                }
            }
        };
        timeout(IDLE, reading).await.unwrap_or(Ok(false))
    }

    /// The next whole question.
    fn next(&mut self) -> Option<&[u8]> {
        let unread = self.bytes.get(self.taken..)?;
        let question = unread.get(2..2 + announced(unread)?)?;
        self.taken += 2 + question.len();
        Some(question)
    }
}

fn announced(unread: &[u8]) -> Option<usize> {
    unread
        .first_chunk()
        .map(|len| usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::SystemTime;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;

    use super::super::Options;
    use super::*;
    use crate::zone::tests::zone;
    use crate::zones::Zones;

    #[test]
    fn questions_are_cut_out_of_the_stream_by_their_lengths() {
        let cut = |bytes: &[u8]| {
            let mut inbox = Inbox {
                bytes: bytes.into(),
                taken: 0,
            };
            std::iter::from_fn(|| inbox.next().map(<[u8]>::to_vec)).collect::<Vec<_>>()
        };
        assert!(cut(b"\x00").is_empty() && cut(b"\x00\x03ab").is_empty());
        assert_eq!(cut(b"\x00\x02ab\x00\x01c\x00\x09d"), [&b"ab"[..], b"c"]);
    }

    const QUESTION: &[u8] =
        b"\x00\x13\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

    fn shared(zones: Zones) -> Shared {
        Shared::new(Arc::new(zones), Arc::default(), Options::default()).unwrap()
    }

    fn converse_over(server: DuplexStream) -> impl Future<Output = ()> {
        let place = Connections::default().enter([127, 0, 0, 1].into()).0;
        converse(server, shared(Zones::new()), (place, Class::Site))
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
        assert_eq!(
            lasts(QUESTION, Duration::MAX).await,
            IDLE,
            "idle after an answer"
        );
        assert_eq!(
            lasts(b"\x01\x00", IDLE / 3).await,
            IDLE,
            "bytes alone keep nothing open"
        );
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

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_not_read_do_not_pile_up() {
        let many: String = (0..250).map(|i| format!("a A 10.0.0.{i}\n")).collect();
        let zones = Zones::new();
        zones.set_expected(&"org1.example".parse().unwrap(), &[]);
        let zone = zone("org1.example", &format!("@ SOA gw h 1 1 1 1 5\n{many}"));
        zones.publish_own(zone, SystemTime::UNIX_EPOCH).unwrap();
        let shared = shared(zones);
        let (mut client, server) = duplex(2048);
        let place = Connections::default().enter([127, 0, 0, 1].into()).0;
        let conversation = tokio::spawn(converse(server, shared.clone(), (place, Class::Site)));
        let name = b"\x01a\x04org1\x07example\x00";
        let question = [
            &b"\x00\x20\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..],
            name,
            b"\x00\x01\x00\x01",
        ];
        assert!(
            client
                .write_all(&question.concat().repeat(1000))
                .await
                .is_err()
        );
        conversation.await.unwrap();
        let one = 2 + 32 + 250 * 16;
        assert_eq!(
            shared.counters.tcp.get(),
            (BATCH / one + 1) as u64,
            "one batch, and no more"
        );
    }
}
