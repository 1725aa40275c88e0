//! [`Link`]: both directions, the MTU of each, and the address translation at the left end. Pure.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::Command;
use super::fragment;
use super::icmp;
use super::nat::Nat;
use super::packet::{Packet, Side};
use super::pipe::Pipe;

/// The end at which a packet enters or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The end with the address translation.
    Left,
    /// The end without it.
    Right,
}

/// The emulated link.
#[derive(Debug)]
pub struct Link {
    out: Pipe,
    back: Pipe,
    nat: Option<Nat>,
    /// ICMP errors, which leave at once.
    errors: VecDeque<(End, Packet)>,
}

impl Link {
    /// A link without conditions. `seed` determines all that is random.
    pub fn new(seed: u64) -> Link {
        Link {
            out: Pipe::new(seed),
            // With the same seed, both directions would lose the same packets.
            back: Pipe::new(seed ^ 0x5555_5555_5555_5555),
            nat: None,
            errors: VecDeque::new(),
        }
    }

    /// Applies `command`; returns the counts if it is [`Command::Counts`].
    pub fn apply(&mut self, command: &Command) -> Option<Value> {
        match command {
            Command::Set(directions, setting) => {
                if directions.out {
                    setting.apply(&mut self.out.conditions);
                }
                if directions.back {
                    setting.apply(&mut self.back.conditions);
                }
            }
            Command::Nat(external) => self.nat = external.map(Nat::new),
            Command::Rebind => {
                if let Some(nat) = &mut self.nat {
                    nat.rebind();
                }
            }
            Command::Counts => {
                let out = self.out.counts.as_json();
                let back = self.back.counts.as_json();
                return Some(json!({ "out": out, "back": back }));
            }
        }
        None
    }

    /// Takes a packet that enters at `end`.
    pub fn handle(&mut self, end: End, mut packet: Packet, now: Duration) {
        if is_link_local(&packet) {
            return;
        }
        let pipe = match end {
            End::Left => &mut self.out,
            End::Right => &mut self.back,
        };
        pipe.counts.arrived += 1;

        let exceeded = pipe
            .conditions
            .mtu
            .filter(|mtu| packet.bytes().len() > mtu.bytes.into());
        if let Some(mtu) = exceeded
            && !packet.may_be_fragmented()
        {
            pipe.counts.too_big += 1;
            if !mtu.silent {
                let error = icmp::too_big(&packet, mtu.bytes);
                self.errors.extend(error.map(|error| (end, error)));
            }
            return;
        }

        let translated = match (&mut self.nat, end) {
            (None, _) => true,
            (Some(nat), End::Left) => nat.translate_out(&mut packet),
            (Some(nat), End::Right) => nat.translate_back(&mut packet),
        };
        if !translated {
            pipe.counts.untranslated += 1;
            return;
        }

        match exceeded {
            None => pipe.handle(packet, now),
            Some(mtu) => {
                for piece in fragment::cut(&packet, mtu.bytes) {
                    pipe.handle(piece, now);
                }
            }
        }
    }

    /// Returns the next packet that is due by `now`, and the end at which it leaves.
    pub fn poll(&mut self, now: Duration) -> Option<(End, Packet)> {
        if let Some(error) = self.errors.pop_front() {
            return Some(error);
        }

        if due(&self.out) <= due(&self.back) {
            self.out.poll(now).map(|packet| (End::Right, packet))
        } else {
            self.back.poll(now).map(|packet| (End::Left, packet))
        }
    }

    /// When [`Link::poll`] will return a packet; `None` if none is under way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.errors.is_empty() {
            return Some(Duration::ZERO);
        }
        self.out
            .poll_timeout()
            .into_iter()
            .chain(self.back.poll_timeout())
            .min()
    }
}

fn due(pipe: &Pipe) -> Duration {
    pipe.poll_timeout().unwrap_or(Duration::MAX)
}

/// True for packets that a kernel sends on every device and that no router forwards: multicast
/// reports, router solicitations.
fn is_link_local(packet: &Packet) -> bool {
    match (
        packet.address(Side::Source),
        packet.address(Side::Destination),
    ) {
        (IpAddr::V6(from), IpAddr::V6(to)) => from.is_unicast_link_local() || to.is_multicast(),
        (_, to) => to.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{is_sound, udp};
    use super::*;

    const LEFT: &str = "203.0.113.2:4600";
    const RIGHT: &str = "203.0.113.6:4600";

    fn link(lines: &[&str]) -> Link {
        let mut link = Link::new(1);
        for line in lines {
            link.apply(&line.parse().unwrap());
        }
        link
    }

    fn drain(link: &mut Link) -> Vec<(End, Packet)> {
        std::iter::from_fn(|| link.poll(Duration::MAX)).collect()
    }

    fn pass(link: &mut Link, end: End, packet: Packet) -> Vec<(End, Packet)> {
        link.handle(end, packet, Duration::ZERO);
        drain(link)
    }

    #[test]
    fn a_packet_leaves_at_the_other_end() {
        let there = udp(LEFT, RIGHT, b"there");
        let back = udp(RIGHT, LEFT, b"back");
        let mut link = link(&[]);
        assert_eq!(
            pass(&mut link, End::Left, there.clone()),
            [(End::Right, there)]
        );
        assert_eq!(
            pass(&mut link, End::Right, back.clone()),
            [(End::Left, back)]
        );
    }

    #[test]
    fn packets_of_both_directions_leave_when_they_are_due() {
        let mut link = link(&["out delay 30ms", "back delay 10ms"]);
        link.handle(End::Left, udp(LEFT, RIGHT, b"there"), Duration::ZERO);
        link.handle(End::Right, udp(RIGHT, LEFT, b"back"), Duration::ZERO);
        let ms = Duration::from_millis;
        assert_eq!(link.poll_timeout(), Some(ms(10)));
        assert_eq!(link.poll(ms(9)), None);
        assert!(matches!(link.poll(ms(10)), Some((End::Left, _))));
        assert_eq!(link.poll_timeout(), Some(ms(30)));
        assert_eq!(link.poll(ms(29)), None);
        assert!(matches!(link.poll(ms(30)), Some((End::Right, _))));
        assert_eq!(link.poll_timeout(), None);
    }

    #[test]
    fn a_packet_that_is_too_long_causes_an_icmp_error_or_is_dropped_silently() {
        for (from, to) in [(LEFT, RIGHT), ("[2001:db8::2]:1", "[2001:db8::6]:1")] {
            let packet = udp(from, to, &[0; 1390]);
            let errors = pass(&mut link(&["out mtu 1400"]), End::Left, packet.clone());
            assert!(
                matches!(&errors[..], [(End::Left, icmp)] if icmp.socket(Side::Source).is_none()),
                "{errors:?}"
            );
            assert_eq!(
                pass(
                    &mut link(&["out mtu 1400 silent"]),
                    End::Left,
                    packet.clone()
                ),
                []
            );
            assert_eq!(
                pass(&mut link(&["back mtu 1400"]), End::Left, packet.clone()),
                [(End::Right, packet)]
            );
        }
    }

    #[test]
    fn a_packet_that_may_be_fragmented_is_fragmented_also_by_a_silent_link() {
        let mut bytes = udp(LEFT, RIGHT, &[0; 1390]).bytes().to_vec();
        bytes[6] = 0;
        let packet = Packet::new(bytes).unwrap();
        let pieces = pass(&mut link(&["both mtu 1400 silent"]), End::Left, packet);
        assert_eq!(
            pieces.iter().map(|(end, _)| *end).collect::<Vec<_>>(),
            [End::Right; 2]
        );
    }

    #[test]
    fn translation_is_at_the_left_end_and_rebinding_assigns_another_port() {
        let mut link = link(&["nat 198.51.100.1"]);
        let first = translated_until_rebinding(&mut link);
        let second = translated_until_rebinding(&mut link);
        assert_ne!(first, second);
        assert_eq!(first.ip(), second.ip());

        let counts = link.apply(&Command::Counts).unwrap();
        assert_eq!(counts["back"]["untranslated"], 2);
        assert_eq!(counts["out"]["delivered"], 2);
    }

    /// Sends a packet and an answer, then rebinds: another answer to the same port is dropped.
    /// Returns the external socket.
    fn translated_until_rebinding(link: &mut Link) -> std::net::SocketAddr {
        let out = pass(link, End::Left, udp(LEFT, RIGHT, b"x"));
        let external = out[0].1.socket(Side::Source).unwrap().1;
        let answer = udp(RIGHT, &external.to_string(), b"x");

        let back = pass(link, End::Right, answer.clone());
        let [(End::Left, packet)] = &back[..] else {
            panic!("{back:?}");
        };
        assert!(is_sound(packet));
        let (_, destination) = packet.socket(Side::Destination).unwrap();
        assert_eq!(destination, LEFT.parse().unwrap());

        link.apply(&Command::Rebind);
        assert_eq!(pass(link, End::Right, answer), []);
        external
    }

    #[test]
    fn link_local_packets_are_not_forwarded() {
        let report = udp("[fe80::1]:1", "[ff02::16]:1", b"x");
        assert_eq!(pass(&mut link(&[]), End::Left, report), []);
    }
}
