//! [`Sequence`]: numbered UDP datagrams from one node to another, and what arrived of them.
//!
//! Every number decides its datagram's whole content, so that the far end knows a damaged one from a true one.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::Scene;
use crate::emulator::dice::Dice;

/// The receiver's port.
pub const PORT: u16 = 7100;
/// Bytes of a datagram.
const LEN: usize = 400;
/// How long the receiver waits between two looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// A receiver that counts.
pub struct Sequence {
    stop: Arc<AtomicBool>,
    receiver: JoinHandle<Tally>,
}

/// What arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different datagrams as they were sent.
    pub arrived: usize,
    /// Arrivals beyond the first of a number.
    pub repeated: usize,
    /// Arrivals that nobody sent so.
    pub damaged: usize,
    /// Arrivals behind one with a higher number.
    pub overtaken: usize,
}

impl Sequence {
    /// Receives on `node` from now on.
    pub fn expect_at(scene: &Scene, node: &str) -> Sequence {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let socket = socket(scene, node, PORT);
        socket
            .set_read_timeout(Some(LOOK))
            .expect("a socket takes a timeout");
        Sequence {
            stop,
            receiver: thread::spawn(move || receive(&socket, &told)),
        }
    }

    /// Ends the receiver after it has found nothing for a moment.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.receiver.join().expect("the receiver does not panic")
    }
}

/// Sends the numbers 0 to `count` from `node`, `rate` in a second.
pub fn send(scene: &Scene, node: &str, to: SocketAddr, count: u32, rate: u32) {
    let socket = socket(scene, node, 0);
    let start = Instant::now();
    for number in 0..count {
        let due = Duration::from_secs(1) * number / rate;
        thread::sleep(due.saturating_sub(start.elapsed()));
        socket
            .send_to(&datagram(number), to)
            .expect("the node has a route");
    }
}

fn receive(socket: &UdpSocket, stop: &AtomicBool) -> Tally {
    let (mut times, mut tally, mut highest) = (BTreeMap::<u32, usize>::new(), Tally::default(), 0);
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => match number(&buffer[..len]) {
                Some(number) => {
                    *times.entry(number).or_default() += 1;
                    tally.overtaken += usize::from(number < highest);
                    highest = highest.max(number);
                }
                None => tally.damaged += 1,
            },
            // Only silence ends it: what had arrived is counted.
            Err(_) if stop.load(Ordering::Relaxed) => break,
            Err(_) => {}
        }
    }
    tally.arrived = times.len();
    tally.repeated = times.values().map(|times| times - 1).sum();
    tally
}

fn datagram(number: u32) -> Vec<u8> {
    let mut dice = Dice::new(number.into());
    let filling = std::iter::repeat_with(|| dice.next_u64().to_be_bytes()).flatten();
    number
        .to_be_bytes()
        .into_iter()
        .chain(filling)
        .take(LEN)
        .collect()
}

/// The number of a datagram that is as it was sent.
fn number(bytes: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    (datagram(number) == bytes).then_some(number)
}

/// A socket on `node`.
fn socket(scene: &Scene, node: &str, port: u16) -> UdpSocket {
    let netns = &scene.node(node).expect("a node of the laboratory").netns;
    let netns = File::open(format!("/run/netns/{netns}")).expect("its namespace");
    let made = thread::spawn(move || {
        setns(netns, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).expect("the port is free")
    });
    made.join().expect("no panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_known_by_its_number_and_a_damaged_one_is_none() {
        let mut bytes = datagram(7);
        assert_eq!(number(&bytes), Some(7));
        bytes[399] ^= 1;
        assert_eq!(number(&bytes), None);
        assert_eq!(number(&bytes[..100]), None);
    }
}
