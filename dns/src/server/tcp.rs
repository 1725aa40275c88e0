//! DNS over TCP (RFC 7766): length-prefixed messages, pipelined queries, few and short-lived
//! connections.
//!
//! A query is answered as soon as it is read, so responses have the order of the queries; only the
//! responses to forwarded queries come later, when the resolvers have answered. Responses are
//! written in batches of about [`BATCH`] octets. A client that sends queries and reads no responses
//! therefore costs one buffer, and is disconnected after [`STALL`]; one that sends slowly, after
//! [`IDLE`]. Above the connection limits, the connection that has been silent for longest is closed
//! ([`connections`]).

mod connections;

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::acl::Interface;
use crate::answer::{Client, Outcome, RateDecision, Transport, answer_to};
pub(super) use connections::Connections;
use connections::Slot;

/// A connection without a whole query for this long is closed (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A client that does not read its responses for this long is disconnected.
const STALL: Duration = Duration::from_secs(5);
/// A larger query is no plausible one; its connection is closed.
const MAX_QUERY: usize = 4096;
/// Initial capacity of the read buffer in octets; it grows for a client that sends more at once.
const READ: usize = 1024;
/// Octets of responses that are gathered for one write; the last may exceed it by its own length.
const BATCH: usize = 16 * 1024;
/// Forwarded queries of one connection that may be pending. At the limit nothing more is read from
/// the connection until a resolver has answered one.
const MAX_FORWARDED: usize = 64;
/// Pause after a failed accept, such as when the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) shared: Shared,
    pub(super) connections: Connections,
    pub(super) tasks: TaskTracker,
    pub(super) cancel: CancellationToken,
}

impl Listener {
    /// Accepts connections until the future is dropped.
    pub(super) async fn serve(self) {
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "Accepting DNS connections failed");
                    sleep(PAUSE).await;
                    continue;
                }
            };

            let interface = self.interface(&stream);
            let locality = self.shared.acl.load().locality(peer.ip(), interface);
            let Some(locality) = locality else {
                self.shared.counters.foreign.add();
                continue;
            };

            let client = Client {
                address: peer.ip().to_canonical(),
                locality,
                transport: Transport::Tcp,
            };
            self.spawn(stream, client);
        }
    }

    /// The interface by which the client completed the TCP handshake.
    fn interface(&self, stream: &TcpStream) -> Interface {
        let Some(interface_of) = self.shared.options.interface_of else {
            return Interface(0);
        };

        // Where the kernel does not tell, no interface matches.
        Interface(interface_of(stream.as_fd()).unwrap_or_default())
    }

    fn spawn(&self, stream: TcpStream, client: Client) {
        let slot = self.connections.open(client.address);
        if slot.as_ref().is_none_or(|slot| slot.evicted) {
            self.shared.counters.crowded.add();
        }
        let Some(slot) = slot else {
            return;
        };

        // Two things end it early: another connection needs its place, or the server stops.
        let close = slot.close.clone();
        let connection = close.run_until_cancelled_owned(serve_connection(
            stream,
            self.shared.clone(),
            slot,
            client,
        ));
        self.tasks
            .spawn(self.cancel.clone().run_until_cancelled_owned(connection));
    }
}

/// Answers the queries of one connection until it ends, is idle for too long or misbehaves.
async fn serve_connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Shared,
    slot: Slot,
    client: Client,
) {
    let mut input = Input::new();
    let mut response = Vec::new();
    let mut output = Vec::new();
    // Filled by the forwarder. A query is forwarded only after a place was reserved, so sending
    // never waits.
    let (forwarded, mut resolved) = mpsc::channel::<Vec<u8>>(MAX_FORWARDED);

    // After the client has closed its side, the pending forwarded queries are still answered.
    let mut open = true;
    while open || forwarded.capacity() < MAX_FORWARDED {
        tokio::select! {
            Some(response) = resolved.recv() => put_framed(&response, &mut output),
            read = input.read(&mut stream), if open && forwarded.capacity() > 0 => {
                open = matches!(read, Ok(true));
                slot.touch();
            }
        }

        while forwarded.capacity() > 0
            && let Some(query) = input.next()
        {
            answer_one(&shared, client, query, &forwarded, &mut response);
            put_framed(&response, &mut output);
            if output.len() >= BATCH && !write(&mut stream, &mut output).await {
                return;
            }
        }

        if !write(&mut stream, &mut output).await {
            return;
        }
    }
}

/// Writes the response to `query` over `response`. The response to a forwarded query goes to
/// `forwarded`, which has capacity left.
fn answer_one(
    shared: &Shared,
    client: Client,
    query: &[u8],
    forwarded: &mpsc::Sender<Vec<u8>>,
    response: &mut Vec<u8>,
) {
    let now = shared.clock.elapsed();
    let outcome = answer_to(
        &shared.zones.load(),
        query,
        &shared.context(client, now),
        // The handshake has proved the client's address: no rate limit.
        || RateDecision::Answer,
        response,
    );

    shared.counters.count(client, query, &outcome);
    let query_log = &shared.options.query_log;
    query_log.note(query, client.address, &outcome, now);

    if let Outcome::Forward(query) = outcome
        && let Ok(permit) = forwarded.clone().try_reserve_owned()
    {
        shared.forward(query, client, |response| _ = permit.send(response));
    }
}

/// Appends `response` and its length; nothing if it is empty.
fn put_framed(response: &[u8], output: &mut Vec<u8>) {
    if response.is_empty() {
        return;
    }

    // RFC 7766, section 8: two octets of length before each message.
    output.extend_from_slice(&(response.len() as u16).to_be_bytes());
    output.extend_from_slice(response);
}

/// Writes all of `output` and empties it; false if the client does not take it in time.
async fn write(stream: &mut (impl AsyncWrite + Unpin), output: &mut Vec<u8>) -> bool {
    // Waiting here also stops reading from a client that does not read.
    let written = timeout(STALL, stream.write_all(output)).await;
    output.clear();
    matches!(written, Ok(Ok(())))
}

/// Octets that were read and not yet answered: less than one query and one read more.
struct Input {
    bytes: Vec<u8>,
    /// How many of them belong to queries that [`Input::next`] has returned.
    taken: usize,
}

impl Input {
    fn new() -> Input {
        Input {
            bytes: Vec::with_capacity(READ),
            taken: 0,
        }
    }

    /// Reads until there is a whole query; false if the stream ended, the client was idle for too
    /// long or announced an oversized query.
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.bytes.drain(..self.taken);
        self.taken = 0;

        // One time limit for the whole query: single octets do not keep a connection open.
        let reading = async {
            loop {
                match announced(&self.bytes) {
                    Some(len) if len > MAX_QUERY => return Ok(false),
                    Some(len) if self.bytes.len() >= 2 + len => return Ok(true),
                    _ if stream.read_buf(&mut self.bytes).await? == 0 => return Ok(false),
                    _ => {}
                }
            }
        };

        timeout(IDLE, reading).await.unwrap_or(Ok(false))
    }

    /// The next whole query.
    fn next(&mut self) -> Option<&[u8]> {
        let unread = self.bytes.get(self.taken..)?;
        let query = unread.get(2..2 + announced(unread)?)?;

        self.taken += 2 + query.len();
        Some(query)
    }
}

/// The length field before the first message of `unread`.
fn announced(unread: &[u8]) -> Option<usize> {
    let len = unread.first_chunk()?;
    Some(u16::from_be_bytes(*len).into())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::SystemTime;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::Instant;

    use super::super::Options;
    use super::*;
    use crate::acl::Locality;
    use crate::zone::tests::zone;
    use crate::zones::Zones;

    #[test]
    fn questions_are_cut_out_of_the_stream_by_their_lengths() {
        let cut = |bytes: &[u8]| {
            let mut input = Input {
                bytes: bytes.into(),
                taken: 0,
            };
            std::iter::from_fn(|| input.next().map(<[u8]>::to_vec)).collect::<Vec<_>>()
        };
        assert!(cut(b"\x00").is_empty() && cut(b"\x00\x03ab").is_empty());
        assert_eq!(cut(b"\x00\x02ab\x00\x01c\x00\x09d"), [&b"ab"[..], b"c"]);
    }

    const QUERY: &[u8] =
        b"\x00\x13\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

    fn shared(zones: Zones) -> Shared {
        Shared::new(Arc::new(zones), Arc::default(), Options::default()).unwrap()
    }

    const CLIENT: Client = Client {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        locality: Locality::Site,
        transport: Transport::Tcp,
    };

    async fn serve(server: DuplexStream, shared: Shared) {
        let slot = Connections::default().open(CLIENT.address).unwrap();
        serve_connection(server, shared, slot, CLIENT).await;
    }

    /// How long a connection lasts on which `first` is written, and a byte more after each `pause`.
    async fn lasts(first: &[u8], pause: Duration) -> Duration {
        let (mut client, server) = duplex(1024);
        client.write_all(first).await.unwrap();
        let start = Instant::now();
        let mut connection = pin!(serve(server, shared(Zones::new())));
        loop {
            tokio::select! {
                () = &mut connection => return start.elapsed(),
                () = sleep(pause) => client.write_all(&[0]).await.unwrap(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closes_connections_that_are_idle_slow_or_announce_an_oversized_query() {
        assert_eq!(lasts(b"", Duration::MAX).await, IDLE);
        assert_eq!(
            lasts(QUERY, Duration::MAX).await,
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
        let connection = tokio::spawn(serve(server, shared(Zones::new())));
        assert!(client.write_all(&QUERY.repeat(1000)).await.is_err());
        connection.await.unwrap();
        assert_eq!(start.elapsed(), STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_not_read_do_not_pile_up() {
        let many: String = (0..250).map(|i| format!("a A 10.0.0.{i}\n")).collect();
        let zones = Zones::new();
        zones.set_expected(&"org1.example".parse().unwrap(), &[]);
        let zone = zone("org1.example", &format!("@ SOA gw h 1 1 1 1 5\n{many}"));
        zones.publish(zone, SystemTime::UNIX_EPOCH).unwrap();
        let shared = shared(zones);
        let (mut client, server) = duplex(2048);
        let connection = tokio::spawn(serve(server, shared.clone()));
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
        connection.await.unwrap();
        let one = 2 + 32 + 250 * 16;
        assert_eq!(
            shared.counters.tcp.get(),
            (BATCH / one + 1) as u64,
            "one batch, and no more"
        );
    }
}
