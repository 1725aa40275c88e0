//! [`Link`]: both directions, what is too big for them, and the translation at the left end. Pure.

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

/// Where a packet enters or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The end with the address translation.
    Left,
    /// The other one.
    Right,
}

/// The emulated link.
#[derive(Debug)]
pub struct Link {
    out: Pipe,
    back: Pipe,
    nat: Option<Nat>,
    /// Answers of the link itself, which leave at once.
    answers: VecDeque<(End, Packet)>,
}

impl Link {
    /// A perfect one; `seed` decides what chance will do.
    pub fn new(seed: u64) -> Link {
        // Two directions of one seed must not lose the same packets.
        let (out, back) = (Pipe::new(seed), Pipe::new(seed ^ 0x5555_5555_5555_5555));
        Link {
            out,
            back,
            nat: None,
            answers: VecDeque::new(),
        }
    }

    /// Does what `command` says; answers with the counts if it asks for them.
    pub fn apply(&mut self, command: &Command) -> Option<Value> {
        match command {
            Command::Set(directions, setting) => {
                for (set, pipe) in [
                    (directions.out, &mut self.out),
                    (directions.back, &mut self.back),
                ] {
                    if set {
                        setting.apply(&mut pipe.conditions);
                    }
                }
            }
            Command::Nat(external) => self.nat = external.map(Nat::new),
            Command::Rebind => self.nat.iter_mut().for_each(Nat::rebind),
            Command::Counts => {
                return Some(
                    json!({ "out": self.out.counts.as_json(), "back": self.back.counts.as_json() }),
                );
            }
        }
        None
    }

    /// A packet comes in at `end`.
    pub fn handle(&mut self, end: End, mut packet: Packet, now: Duration) {
        if is_of_the_device(&packet) {
            return;
        }
        let pipe = if end == End::Left {
            &mut self.out
        } else {
            &mut self.back
        };
        pipe.counts.arrived += 1;
        let mtu = pipe
            .conditions
            .mtu
            .filter(|mtu| packet.bytes().len() > mtu.bytes.into());
        if let Some(mtu) = mtu.filter(|_| !packet.may_be_fragmented()) {
            pipe.counts.too_big += 1;
            // RFC 792, RFC 4443: the sender is told, unless this is a black hole.
            let told = (!mtu.silent)
                .then(|| icmp::too_big(&packet, mtu.bytes))
                .flatten();
            self.answers.extend(told.map(|told| (end, told)));
            return;
        }
        let translated = match (&mut self.nat, end) {
            (None, _) => true,
            (Some(nat), End::Left) => nat.translate_out(&mut packet),
            (Some(nat), End::Right) => nat.translate_back(&mut packet),
        };
        match mtu {
            _ if !translated => pipe.counts.untranslated += 1,
            Some(mtu) => fragment::cut(&packet, mtu.bytes)
                .into_iter()
                .for_each(|piece| pipe.handle(piece, now)),
            None => pipe.handle(packet, now),
        }
    }

    /// The next packet that is due by `now`, and where it leaves.
    pub fn poll(&mut self, now: Duration) -> Option<(End, Packet)> {
        let out = |link: &mut Link| link.out.poll(now).map(|packet| (End::Right, packet));
        let back = |link: &mut Link| link.back.poll(now).map(|packet| (End::Left, packet));
        let out_is_first = due(&self.out) <= due(&self.back);
        self.answers
            .pop_front()
            .or_else(|| if out_is_first { out(self) } else { back(self) })
    }

    /// When [`Link::poll`] will give something; `None` if nothing is on its way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.answers.is_empty() {
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

/// What a kernel says on every device by itself (multicast reports, router solicitations) crosses no router.
fn is_of_the_device(packet: &Packet) -> bool {
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
    fn what_enters_at_one_end_leaves_at_the_other() {
        let (there, back) = (udp(LEFT, RIGHT, b"there"), udp(RIGHT, LEFT, b"back"));
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
        assert_eq!(
            (link.poll_timeout(), link.poll(ms(9))),
            (Some(ms(10)), None)
        );
        assert!(matches!(link.poll(ms(10)), Some((End::Left, _))));
        assert_eq!(
            (link.poll_timeout(), link.poll(ms(29))),
            (Some(ms(30)), None)
        );
        assert!(matches!(link.poll(ms(30)), Some((End::Right, _))));
        assert_eq!(link.poll_timeout(), None);
    }

    #[test]
    fn a_packet_that_is_too_big_comes_back_as_icmp_or_vanishes() {
        for (from, to) in [(LEFT, RIGHT), ("[2001:db8::2]:1", "[2001:db8::6]:1")] {
            let packet = udp(from, to, &[0; 1390]);
            let told = pass(&mut link(&["out mtu 1400"]), End::Left, packet.clone());
            assert!(
                matches!(&told[..], [(End::Left, icmp)] if icmp.socket(Side::Source).is_none()),
                "{told:?}"
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
    fn a_packet_that_may_be_cut_is_cut_also_where_nobody_is_told() {
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
    fn translation_is_the_left_ends_and_rebinding_moves_it() {
        let mut link = link(&["nat 198.51.100.1"]);
        let mut seen = || {
            let out = pass(&mut link, End::Left, udp(LEFT, RIGHT, b"x"));
            let outside = out[0].1.socket(Side::Source).unwrap().1;
            let back = pass(
                &mut link,
                End::Right,
                udp(RIGHT, &outside.to_string(), b"x"),
            );
            assert!(
                matches!(&back[..], [(End::Left, packet)] if is_sound(packet)
                && packet.socket(Side::Destination).unwrap().1 == LEFT.parse().unwrap())
            );
            link.apply(&Command::Rebind);
            assert_eq!(
                pass(
                    &mut link,
                    End::Right,
                    udp(RIGHT, &outside.to_string(), b"x")
                ),
                []
            );
            outside
        };
        let (first, second) = (seen(), seen());
        assert!(first != second && first.ip() == second.ip());
        let counts = link.apply(&Command::Counts).unwrap();
        assert_eq!(
            (&counts["back"]["untranslated"], &counts["out"]["delivered"]),
            (&json!(2), &json!(2))
        );
    }

    #[test]
    fn what_the_kernel_says_on_every_device_is_not_carried() {
        let report = udp("[fe80::1]:1", "[ff02::16]:1", b"x");
        assert_eq!(pass(&mut link(&[]), End::Left, report), []);
    }
}
