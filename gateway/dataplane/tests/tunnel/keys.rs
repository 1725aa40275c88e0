//! A thousand key updates and a hundred session replacements under a TCP stream and a thousand
//! packets a second: no packet is lost or reordered, no connection breaks.
//!
//! Phases have 256 packet numbers instead of 2²⁶. A session is replaced as the gateway does it:
//! both ends open the new one before either seals with it, and go on opening the old ones. The
//! gateway does so for 10 s, within which all replacements of this test happen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use ringway_dataplane::*;

use crate::netns::Netns;
use crate::pair::{self, Gateway, Wan, pair};

const AEAD: Aead = Aead::Aes128Gcm;
const SESSIONS: u8 = 100;
const PHASES_EACH: u64 = 11;
const PHASE: u64 = 256;

/// Bytes in flight: so few that no queue overflows and every loss is the tunnel's.
const WINDOW: usize = 64 << 10;

/// One end with the sessions that it opens, and the one that it seals with.
struct End<'a> {
    gateway: &'a Gateway,
    numbers: (u8, u8),
    opening: Vec<Arc<Incoming>>,
    sealing: Arc<Outgoing>,
}

impl<'a> End<'a> {
    fn new(gateway: &'a Gateway, here: u8) -> End<'a> {
        End {
            gateway,
            numbers: (here, 3 - here),
            opening: vec![gateway.incoming.clone()],
            sealing: gateway.outgoing.clone(),
        }
    }

    /// Opens session `number`, and gives the direction that seals.
    fn open(&mut self, number: u8) -> Arc<Outgoing> {
        let (here, there) = self.numbers;
        let secret = |receiver| pair::secret(receiver, number);
        let path = self.gateway.outgoing.path().remote();
        let (outgoing, incoming) =
            pair::session(self.numbers, number, AEAD, path, &self.gateway.peer);
        let outgoing =
            Arc::into_inner(outgoing)
                .unwrap()
                .with_phase_len(AEAD, &secret(there), PHASE);
        let incoming =
            Arc::into_inner(incoming)
                .unwrap()
                .with_phase_len(AEAD, &secret(here), PHASE);
        self.opening.push(Arc::new(incoming));
        self.publish();
        Arc::new(outgoing)
    }

    fn seal_with(&mut self, outgoing: Arc<Outgoing>) {
        self.sealing = outgoing;
        self.publish();
    }

    fn publish(&self) {
        let opening: Vec<_> = self.opening.iter().collect();
        self.gateway.shared.snapshot.store(Arc::new(pair::tables(
            self.numbers.0,
            &opening,
            &self.sealing,
        )));
    }
}

#[test]
fn a_thousand_key_updates_and_a_hundred_sessions_lose_and_reorder_nothing() {
    let (left, right) = pair(AEAD, Wan::V4);
    let (mut near, mut far) = (End::new(&left, 1), End::new(&right, 2));
    let stop = Arc::new(AtomicBool::new(false));
    let stream = stream(
        &left.netns,
        &right.netns,
        "10.2.0.1:7050".parse().unwrap(),
        &stop,
    );
    let ticks = ticks(
        &left.netns,
        &right.netns,
        "10.2.0.1:7051".parse().unwrap(),
        &stop,
    );
    let mut updates = 0;
    for number in 1..=SESSIONS {
        let (there, back) = (near.open(number), far.open(number));
        near.seal_with(there);
        far.seal_with(back);
        let deadline = Instant::now() + Duration::from_secs(20);
        while near.sealing.packets() < PHASES_EACH * PHASE {
            assert!(
                Instant::now() < deadline,
                "session {number} carries no more packets"
            );
            std::thread::yield_now();
        }
        updates += near.sealing.packets() / PHASE;
    }
    stop.store(true, Ordering::Relaxed);
    let (sent, received) = stream.join().unwrap();
    let (ticked, heard) = ticks.join().unwrap();
    println!("{updates} updates, {SESSIONS} sessions, {sent} bytes, {ticked} ticks");
    assert!(updates >= 1000 && ticked > 100);
    assert_eq!(received, sent, "bytes of the stream");
    let missing: Vec<_> = (0..ticked)
        .filter(|tick| heard.binary_search(tick).is_err())
        .collect();
    left.assert_nothing_dropped();
    right.assert_nothing_dropped();
    assert!(missing.is_empty(), "lost ticks: {missing:?} of {ticked}");
    assert!(heard.is_sorted(), "a tick overtook another");
}

/// A TCP stream of counted words until `stop`; gives how many bytes were sent, and how many came as
/// they were sent.
fn stream(
    from: &Netns,
    to: &Netns,
    address: SocketAddr,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(u64, u64)> {
    let listener = to.within(move || TcpListener::bind(address).unwrap());
    let receiver = to.spawn(move || {
        let mut stream = std::io::BufReader::new(listener.accept().unwrap().0);
        let mut word = [0; 8];
        (0u64..)
            .take_while(|at| {
                stream.read_exact(&mut word).is_ok() && u64::from_be_bytes(word) == *at
            })
            .count() as u64
            * 8
    });
    let stop = stop.clone();
    from.spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        setsockopt(&stream, sockopt::SndBuf, &WINDOW).unwrap();
        let mut words = 0u64..;
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let block: Vec<u8> = words
                .by_ref()
                .take(4096)
                .flat_map(u64::to_be_bytes)
                .collect();
            stream.write_all(&block).expect("the connection lives");
            sent += block.len() as u64;
        }
        drop(stream);
        (sent, receiver.join().unwrap())
    })
}

/// A numbered datagram each millisecond until `stop`; gives how many were sent, and those that
/// came.
fn ticks(
    from: &Netns,
    to: &Netns,
    address: SocketAddr,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(u32, Vec<u32>)> {
    let socket = to.within(move || UdpSocket::bind(address).unwrap());
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let receiver = to.spawn(move || {
        let mut number = [0; 4];
        let next = || {
            socket
                .recv(&mut number)
                .is_ok()
                .then(|| u32::from_be_bytes(number))
        };
        std::iter::from_fn(next)
            .take_while(|number| *number != u32::MAX)
            .collect::<Vec<_>>()
    });
    let stop = stop.clone();
    from.spawn(move || {
        let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
        let mut sent = 0u32;
        while !stop.load(Ordering::Relaxed) {
            socket.send_to(&sent.to_be_bytes(), address).unwrap();
            sent += 1;
            // Late ones are not made up for: a burst would only overflow the device's queue.
            std::thread::sleep(Duration::from_millis(1));
        }
        socket.send_to(&u32::MAX.to_be_bytes(), address).unwrap();
        (sent, receiver.join().unwrap())
    })
}
