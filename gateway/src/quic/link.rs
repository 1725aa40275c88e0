//! The control stream of one connection: converts bytes to messages and back. Has no notion of
//! sessions: the shell decides, and the drive connects the two.
//!
//! ```text
//!   peer ─► stream ─► Decoder ─► Event::Message ─► drive ─► shell
//!   shell ─► drive ─► Outbox (bounded) ─► stream ─► peer
//! ```
//! The dialler opens the one bidirectional stream. A peer that does not read fills its outbox and
//! loses its connection. A peer that floods waits for the drive's queue, and its rate is limited.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ReadError, RecvStream, SendStream};
use ringway_config::GatewayId;
use ringway_core::{ByeCode, ConnId, ConnectionError, Decoder, ExternalText, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use super::event::Event;
use super::refusal;
use super::socket::plain;
use crate::tasks::Tasks;

/// Messages that may wait for a slow peer; with one more, its connection is closed.
const OUTBOX: usize = 256;

/// Messages accepted from one peer in [`PACE`]; more wait in the stream's flow control.
const BURST: u32 = 512;

/// See [`BURST`].
const PACE: Duration = Duration::from_secs(1);

/// How long a closing connection waits for the acknowledgement of its last message.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Encoded messages to be sent in sequence; shared, since every peer receives the same ones.
pub type Load = Arc<[Vec<u8>]>;

/// A command of the drive to a link.
#[derive(Debug)]
enum Order {
    Send(Vec<u8>),
    Close(ByeCode),
}

/// A connection whose control stream must be started.
#[derive(Debug)]
pub struct Link {
    /// Number of the connection, used in events.
    pub conn: ConnId,
    /// The peer, for the log.
    pub peer: GatewayId,
    /// Our role in the connection.
    pub role: Role,
    /// The connection.
    pub connection: Connection,
}

/// The drive's handle on a link.
#[derive(Debug)]
pub struct Outbox {
    orders: mpsc::Sender<Order>,
    bulk: mpsc::Sender<Load>,
    connection: Connection,
    tasks: Tasks,
}

impl Outbox {
    /// Queues an encoded message. If the queue is full, the connection is closed.
    pub fn send(&self, message: Vec<u8>) {
        if self.orders.try_send(Order::Send(message)).is_err() {
            close(&self.connection, ByeCode::TooMany);
        }
    }

    /// Sends a load that may exceed the outbox, as fast as the peer reads it, after other messages.
    /// One load is sent at a time and one may wait; a third one is dropped.
    pub fn stream(&self, messages: Load) {
        let _ = self.bulk.try_send(messages);
    }

    /// Closes the connection after the queued messages, without waiting here. A peer that opens no
    /// stream, or does not read from it, gets no more time than others.
    pub fn close(self, code: ByeCode) {
        if self.orders.try_send(Order::Close(code)).is_err() {
            return close(&self.connection, code);
        }

        let connection = self.connection;
        self.tasks.spawn(async move {
            // The writing half closes the connection itself, unless the peer blocks it.
            let _ = timeout(CLOSE_TIMEOUT * 2, connection.closed()).await;
            close(&connection, code);
        });
    }
}

/// Closes at once, with the code as the QUIC application error.
fn close(connection: &Connection, code: ByeCode) {
    connection.close(u32::from(u16::from(code)).into(), b"");
}

/// The receiving end of an outbox.
struct Queue {
    orders: mpsc::Receiver<Order>,
    loads: mpsc::Receiver<Load>,
    load: Load,
    /// Number of the load's messages that were sent.
    sent: usize,
}

impl Queue {
    /// The next order, or else the next message of a load. `None` once the drive has dropped the
    /// outbox.
    async fn next(&mut self) -> Option<Order> {
        loop {
            if let Ok(order) = self.orders.try_recv() {
                return Some(order);
            }
            // One message at a time, so that no probe or route waits behind a whole zone.
            if let Some(message) = self.load.get(self.sent) {
                self.sent += 1;
                return Some(Order::Send(message.clone()));
            }

            tokio::select! {
                biased;
                order = self.orders.recv() => return order,
                Some(load) = self.loads.recv() => {
                    self.load = load;
                    self.sent = 0;
                }
            }
        }
    }
}

/// Starts both halves of a link. They end with the connection.
pub fn start(link: Link, events: mpsc::Sender<Event>, tasks: &Tasks) -> Outbox {
    let (orders, waiting) = mpsc::channel(OUTBOX);
    let (bulk, loads) = mpsc::channel(1);
    let queue = Queue {
        orders: waiting,
        loads,
        load: Load::default(),
        sent: 0,
    };
    let connection = link.connection.clone();
    let span = tracing::info_span!("session", peer = %link.peer, session = link.conn.0);

    tasks.spawn(run(link, queue, events, tasks.clone()).instrument(span));
    Outbox {
        orders,
        bulk,
        connection,
        tasks: tasks.clone(),
    }
}

async fn run(link: Link, queue: Queue, events: mpsc::Sender<Event>, tasks: Tasks) {
    let Link {
        conn,
        peer,
        role,
        connection,
    } = link;
    let stream = match role {
        Role::Dialler => connection.open_bi().await,
        Role::Accepter => connection.accept_bi().await,
    };
    let remote = plain(connection.remote_address());

    let error = match stream {
        Ok((send, receive)) => {
            let writing = tasks.spawn(write(connection.clone(), send, queue).in_current_span());
            let violation = read(conn, receive, &events).await;

            if let Some(violation) = &violation {
                tracing::warn!(%peer, %remote, reason = %violation, "Control stream broken");
                close(&connection, ByeCode::Protocol);
            }

            // quinn knows the reason only after the connection has ended.
            let closed = connection.closed().await;
            writing.abort();
            violation.unwrap_or_else(|| refusal::connection_error(&closed, remote))
        }
        Err(error) => refusal::connection_error(&error, remote),
    };

    // The receiver is gone only when the daemon ends.
    let _ = events.send(Event::Disconnected { conn, error }).await;
}

/// Reads until the stream ends. Returns the peer's violation, if that was the reason.
async fn read(
    conn: ConnId,
    mut stream: RecvStream,
    events: &mpsc::Sender<Event>,
) -> Option<ConnectionError> {
    let mut decoder = Decoder::default();
    let mut pace = Pace::new();

    loop {
        match stream.read_chunk(16 * 1024, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            Ok(None) | Err(ReadError::ConnectionLost(_)) => return None,
            Err(error) => return Some(ConnectionError::Stream(ExternalText::new(error))),
        }

        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(incoming)) => {
                    // While this waits, nothing is read, and QUIC's flow control stops the peer
                    // (RFC 9000, section 4).
                    pace.wait().await;
                    events.send(Event::Message { conn, incoming }).await.ok()?;
                }
                Err(error) => return Some(error.into()),
            }
        }
    }
}

async fn write(connection: Connection, mut stream: SendStream, mut queue: Queue) {
    let mut code = ByeCode::Shutdown;

    while let Some(order) = queue.next().await {
        match order {
            // If the connection is lost, the reading half reports it.
            Order::Send(message) => match stream.write_all(&message).await {
                Ok(()) => {}
                Err(_) => return,
            },
            Order::Close(why) => {
                code = why;
                break;
            }
        }
    }

    // A failure does not matter: the connection is closed next.
    let _ = stream.finish();
    let _ = timeout(CLOSE_TIMEOUT, stream.stopped()).await;
    close(&connection, code);
}

/// Limits the rate of messages by waiting.
struct Pace {
    window: Instant,
    taken: u32,
}

impl Pace {
    fn new() -> Pace {
        Pace {
            window: Instant::now(),
            taken: 0,
        }
    }

    async fn wait(&mut self) {
        self.taken += 1;
        // Nothing is read meanwhile, and QUIC's flow control stops the peer.
        if self.taken > BURST {
            sleep_until(self.window + PACE).await;
        }

        if self.window.elapsed() >= PACE {
            *self = Pace {
                window: Instant::now(),
                taken: 1,
            };
        }
    }
}
