//! [`Answers`]: writes answers to the TUN device, so many in a second. [`Unreachable`]: those for
//! WireGuard clients that are not there, for the device of their own.

use std::hash::{BuildHasher, RandomState};
use std::io::IoSlice;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::answer::{Answer, UpperLayer};
use crate::budget::Budget;
use crate::ip;
use crate::offload::OFFLOAD_LEN;
use crate::transport::tcp_flags::{ACK, FIN, RST, SYN};
use crate::tun::Tun;

/// Answers of one thread in a second, and those to the hosts of one slot.
const ANSWERS: u64 = 5000;
const ANSWERS_TO_A_SLOT: u64 = 500;
const SECOND: Duration = Duration::from_secs(1);

/// Hosts are spread over this many slots by a secret hash. One that floods uses up the share of its
/// own slot.
const SLOTS: usize = 64;

/// The answers of one thread.
pub(crate) struct Answers<'a, T> {
    tun: &'a T,
    allowance: Allowance,
}

/// How many may be given.
struct Allowance {
    all: Budget,
    slots: [Budget; SLOTS],
    hasher: RandomState,
}

/// Answers to the senders of packets to absent nodes.
pub struct Unreachable(Allowance);

impl<'a, T: Tun> Answers<'a, T> {
    /// Answers by `tun`.
    pub(crate) fn new(tun: &'a T) -> Self {
        Answers {
            tun,
            allowance: Allowance::new(),
        }
    }

    /// Answers a packet of the host `to`, if it may have an answer and the host's share lasts.
    pub(crate) fn give(&self, packet: &[u8], to: IpAddr, now: Instant) {
        if self.allowance.take(to, now) {
            self.write(Answer::to(packet));
        }
    }

    /// As [`Answers::give`], for a packet that the policy does not let pass.
    pub(crate) fn deny(&self, packet: &[u8], to: IpAddr, now: Instant) {
        if self.allowance.take(to, now) {
            self.write(Answer::to_denied(packet));
        }
    }

    fn write(&self, answer: Option<Answer>) {
        if let Some(answer) = answer {
            // A device that is down refuses; then there is nobody to answer either.
            let _ = self.tun.write(&[IoSlice::new(answer.bytes())]);
        }
    }
}

impl Allowance {
    fn new() -> Allowance {
        Allowance {
            all: Budget::new(ANSWERS, SECOND),
            slots: std::array::from_fn(|_| Budget::new(ANSWERS_TO_A_SLOT, SECOND)),
            hasher: RandomState::new(),
        }
    }

    /// True if the host `to` may have one more answer.
    fn take(&self, to: IpAddr, now: Instant) -> bool {
        let slot = self.hasher.hash_one(to) as usize % SLOTS;
        // The host's share first: what it does not get is not taken from the others.
        self.slots[slot].take(now) && self.all.take(now)
    }
}

impl Unreachable {
    /// Nothing was answered yet.
    #[expect(
        clippy::new_without_default,
        reason = "it is not a value, but has a secret"
    )]
    pub fn new() -> Unreachable {
        Unreachable(Allowance::new())
    }

    /// The answer to a packet, as from its destination; `None` if it must not have one.
    /// `ends_connections`: also segments of connections that are established, which a short absence
    /// should not cut.
    pub fn answer(&self, packet: &[u8], ends_connections: bool, now: Instant) -> Option<Vec<u8>> {
        let to = ip::parse(packet).ok()?.source;
        let tcp = UpperLayer::of(packet).and_then(|upper| upper.tcp(packet));
        let is_established = tcp.is_some_and(|tcp| tcp.flags & (SYN | ACK | RST | FIN) != SYN);
        if is_established && !ends_connections || !self.0.take(to, now) {
            return None;
        }

        Some(Answer::to(packet)?.bytes()[OFFLOAD_LEN..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tun::ChannelTun;

    #[test]
    fn the_answers_of_a_second_are_limited_however_many_hosts_ask() {
        let (tun, host) = ChannelTun::new(2 * ANSWERS as usize).unwrap();
        let answers = Answers::new(&tun);
        let now = Instant::now();

        for number in 0..4 * ANSWERS as u32 {
            let source = (0x0a01_0000 + number).to_be_bytes();
            let mut ping = [0; 28];
            ping[..10].copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1]);
            ping[12..16].copy_from_slice(&source);
            ping[16..20].copy_from_slice(&[10, 2, 0, 1]);
            ping[20] = 8;
            answers.give(&ping, source.into(), now);
        }

        let mut given = 0;
        while host.receive(std::time::Duration::ZERO).is_some() {
            given += 1;
        }
        assert_eq!(given, ANSWERS);
    }
}
