//! [`Sequence`]: numbered UDP datagrams from one node to another, and what arrives of them.
//!
//! The number of a datagram determines its whole content, so the receiver recognizes a damaged one.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::emulator::rng::Rng;
use crate::{Scene, inside};

/// The receiver's port.
pub const PORT: u16 = 7100;

/// Bytes of a datagram.
const LEN: usize = 400;

/// Longest silence after which the receiver checks whether it has been stopped.
const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// A receiver that counts.
pub struct Sequence {
    stop: Arc<AtomicBool>,
    receiver: JoinHandle<Tally>,
}

/// Numbers of datagrams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different datagrams that arrived unchanged.
    pub arrived: usize,
    /// Arrivals of a datagram that had arrived before.
    pub repeated: usize,
    /// Arrivals of a changed datagram.
    pub damaged: usize,
    /// Arrivals of a datagram after one with a higher number.
    pub overtaken: usize,
}

impl Sequence {
    /// Receives on [`PORT`] of `node` from now on.
    pub fn expect_at(scene: &Scene, node: &str) -> Sequence {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let socket = bind(scene, node, PORT);
        socket
            .set_read_timeout(Some(READ_TIMEOUT))
            .expect("a socket takes a timeout");

        Sequence {
            stop,
            receiver: thread::spawn(move || receive(&socket, &stopped)),
        }
    }

    /// Ends the receiver as soon as nothing more arrives.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.receiver.join().expect("the receiver does not panic")
    }
}

/// Sends the datagrams 0 to `count` - 1 from `node` to `to`, `rate` in a second.
pub fn send(scene: &Scene, node: &str, to: SocketAddr, count: u32, rate: u32) {
    let socket = bind(scene, node, 0);
    let start = Instant::now();

    for number in 0..count {
        let due = Duration::from_secs(1) * number / rate;
        thread::sleep(due.saturating_sub(start.elapsed()));
        socket
            .send_to(&datagram(number), to)
            .expect("the node has a route");
    }
}

fn receive(socket: &UdpSocket, stopped: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut arrivals: BTreeMap<u32, usize> = BTreeMap::new();
    let mut highest = 0;
    let mut buffer = [0; 2048];

    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => match number(&buffer[..len]) {
                Some(number) => {
                    *arrivals.entry(number).or_default() += 1;
                    tally.overtaken += usize::from(number < highest);
                    highest = highest.max(number);
                }
                None => tally.damaged += 1,
            },
            // Checked only on silence, so that everything that has arrived is counted.
            Err(_) if stopped.load(Ordering::Relaxed) => break,
            Err(_) => {}
        }
    }

    tally.arrived = arrivals.len();
    tally.repeated = arrivals.values().map(|count| count - 1).sum();
    tally
}

/// The datagram `number`: the number, then bytes generated from it.
fn datagram(number: u32) -> Vec<u8> {
    let mut rng = Rng::new(number.into());
    let mut bytes = number.to_be_bytes().to_vec();
    while bytes.len() < LEN {
        bytes.extend(rng.next_u64().to_be_bytes());
    }
    bytes.truncate(LEN);
    bytes
}

/// The number of an unchanged datagram; `None` for a changed one.
fn number(bytes: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(*bytes.first_chunk()?);
    (datagram(number) == bytes).then_some(number)
}

/// A socket in the network namespace of `node`.
fn bind(scene: &Scene, node: &str, port: u16) -> UdpSocket {
    inside::run(scene, node, move || {
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).expect("the port is free")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_datagram_has_its_number_and_a_changed_one_has_none() {
        let mut bytes = datagram(7);
        assert_eq!(number(&bytes), Some(7));

        bytes[399] ^= 1;
        assert_eq!(number(&bytes), None, "one bit is flipped");
        assert_eq!(number(&bytes[..100]), None, "cut off");
    }
}
