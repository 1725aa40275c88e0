//! [`Pushed`]: a stream on which only the server sends, as blocks of a blockchain are delivered
//! over gRPC.
//!
//! The server writes a message every 200 ms; the client reads and stays silent. After 60 s without
//! a message it asks for a sign of life, and gives the connection up if none comes in 20 s. When
//! its connection ends, it connects again as gRPC does: an attempt lasts 20 s at least, and between
//! the begins of two lies a pause that grows from 1 s by 1.6.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{Scene, inside};

/// Between two messages.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// Bytes of a message.
const MESSAGE: usize = 64;
/// The client's keepalive, and its timeout, in seconds.
const KEEPALIVE: u32 = 60;
const KEEPALIVE_TIMEOUT: u32 = 20;
/// Longest silence after which a thread checks whether it has been stopped.
const LOOK: Duration = Duration::from_millis(50);
/// How long a connection may take to open, at least.
const CONNECT: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// A server and its client.
pub struct Pushed {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the client has seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Messages that arrived.
    pub messages: usize,
    /// Connections that were opened.
    pub connections: usize,
    /// Connections that a reset ended.
    pub resets: usize,
    /// When the last message came.
    pub last: Instant,
    /// Longest time between two messages.
    pub longest_gap: Duration,
    /// When the first message came since [`Pushed::await_next`].
    pub next: Option<Instant>,
}

impl Pushed {
    /// A server at `address`, which is an address of `server`, and its client on `client`. Returns
    /// when the first message has arrived.
    pub fn start(scene: &Scene, server: &str, address: SocketAddr, client: &str) -> Pushed {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen {
            messages: 0,
            connections: 0,
            resets: 0,
            last: Instant::now(),
            longest_gap: Duration::ZERO,
            next: None,
        }));

        let listener = inside::run(scene, server, move || {
            TcpListener::bind(address).expect("the address is free")
        });
        let stopped = stop.clone();
        let serving = thread::spawn(move || serve(&listener, &stopped));
        let stopped = stop.clone();
        let noted = seen.clone();
        let reading = inside::spawn(scene, client, move || read(address, &stopped, &noted));

        let pushed = Pushed {
            stop,
            seen,
            threads: vec![serving, reading],
        };
        crate::scene::eventually("the first message", 15, || pushed.seen().messages > 0);
        pushed
    }

    /// What the client has seen by now.
    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `count` more messages have arrived; fails the test after `seconds`.
    pub fn wait_for(&self, count: usize, seconds: u64) {
        let before = self.seen().messages;
        let what = format!("{count} messages more than {before}");
        crate::scene::eventually(&what, seconds, || self.seen().messages >= before + count);
    }

    /// Waits until `count` more messages have arrived on each of `streams`; fails the test after
    /// `seconds`.
    pub fn wait_for_each(streams: &[Pushed], count: usize, seconds: u64) {
        let received: Vec<_> = streams
            .iter()
            .map(|stream| stream.seen().messages)
            .collect();
        let what = format!("{count} messages more than {received:?}");

        crate::scene::eventually(&what, seconds, || {
            let mut pairs = streams.iter().zip(&received);
            pairs.all(|(stream, before)| stream.seen().messages >= before + count)
        });
    }

    /// Forgets when the first message came, so that [`Seen::next`] is the next one.
    pub fn await_next(&self) {
        note(&self.seen, |seen| seen.next = None);
    }

    /// Waits until nothing has arrived for `silence`; fails the test after `seconds`.
    pub fn wait_for_silence(&self, silence: Duration, seconds: u64) {
        crate::scene::eventually("silence", seconds, || self.seen().last.elapsed() > silence);
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a thread has been printed, and the test sees that nothing arrives.
            _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stopped: &Arc<AtomicBool>) {
    listener
        .set_nonblocking(true)
        .expect("a socket takes this mode");
    let mut connections = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            let stopped = stopped.clone();
            connections.push(thread::spawn(move || push(stream, &stopped)));
        }
        thread::sleep(LOOK);
    }
    for connection in connections {
        _ = connection.join();
    }
}

/// Writes messages until the connection ends.
fn push(mut stream: TcpStream, stopped: &AtomicBool) {
    // A full send buffer must not keep the thread from ending.
    _ = stream.set_write_timeout(Some(INTERVAL));
    while !stopped.load(Ordering::Relaxed) {
        match stream.write_all(&[7; MESSAGE]) {
            Err(error) if !is_timeout(error.kind()) => return,
            _ => thread::sleep(INTERVAL),
        }
    }
}

fn read(address: SocketAddr, stopped: &AtomicBool, seen: &Mutex<Seen>) {
    let mut pause = FIRST_PAUSE;
    while !stopped.load(Ordering::Relaxed) {
        let next = Instant::now() + pause;
        match TcpStream::connect_timeout(&address, pause.max(CONNECT)) {
            Ok(stream) => {
                pause = FIRST_PAUSE;
                note(seen, |seen| seen.connections += 1);
                read_one(stream, stopped, seen);
            }
            Err(_) => pause = pause.mul_f64(1.6).min(LONGEST_PAUSE),
        }
        wait_until(next, stopped);
    }
}

/// The pause before the next attempt, which the end of the test cuts short.
fn wait_until(next: Instant, stopped: &AtomicBool) {
    while Instant::now() < next && !stopped.load(Ordering::Relaxed) {
        thread::sleep(LOOK);
    }
}

fn read_one(mut stream: TcpStream, stopped: &AtomicBool, seen: &Mutex<Seen>) {
    setsockopt(&stream, sockopt::KeepAlive, &true).expect("a TCP socket takes it");
    setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE).expect("a TCP socket takes it");
    setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_TIMEOUT)
        .expect("a TCP socket takes it");
    setsockopt(&stream, sockopt::TcpKeepCount, &1).expect("a TCP socket takes it");
    stream
        .set_read_timeout(Some(LOOK))
        .expect("a socket takes a timeout");

    let mut buffer = [0; 4096];
    let mut bytes = 0;
    while !stopped.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                bytes += len;
                let messages = bytes / MESSAGE;
                bytes %= MESSAGE;
                note(seen, |seen| arrived(seen, messages));
            }
            Err(error) if is_timeout(error.kind()) => {}
            Err(_) => {
                note(seen, |seen| seen.resets += 1);
                return;
            }
        }
    }
}

fn arrived(seen: &mut Seen, messages: usize) {
    let now = Instant::now();
    if seen.messages > 0 {
        seen.longest_gap = seen.longest_gap.max(now - seen.last);
    }
    seen.messages += messages;
    seen.last = now;
    seen.next.get_or_insert(now);
}

fn note(seen: &Mutex<Seen>, change: impl FnOnce(&mut Seen)) {
    change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
