//! The classes of packets, good and bad.

use std::net::IpAddr;

use ringway_dataplane::DropReason;

use crate::craft::{Crafted, Rng, address_in, packet};
use crate::model::{NEVER, Net};
use crate::world::World;

macro_rules! classes {
    ($($class:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Class {
            $($class),+
        }

        impl Class {
            pub(crate) const ALL: &[Class] = &[$(Class::$class),+];
        }
    };
}

classes! {
    // Good ones, from the sender's site to the receiver's.
    Plain, WithHarmlessOptions, Fragment,
    // Wrong source.
    SourceOfAThirdSite, SourceOfTheReceiver, SourceHeldByNoSite, SourceNestedInAnothers,
    SourceNeverCarried, SourceConnectedLocally, SourceOfARefusedSite,
    // Wrong destination.
    DestinationOfTheSender, DestinationOfAThirdSite, DestinationHeldByNoSite,
    DestinationNestedInAnothers, DestinationNeverCarried, DestinationConnectedLocally,
    DestinationOfARefusedSite,
    // Wrong shape.
    Empty, Truncated, Trailing, WrongVersion, WrongHeaderLength, WrongTotalLength, SourceRoute,
    BrokenOptions, HeaderBomb, InsaneFragment,
    // Wrong seal.
    Tampered, AnothersSession, Replayed,
    // Any addresses at all.
    AnyPair,
}

const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

impl Class {
    /// A packet of this class that gateway `from` could send to gateway `to`.
    pub(crate) fn craft(
        self,
        world: &World,
        from: usize,
        to: usize,
        v6: bool,
        rng: &mut Rng,
    ) -> Crafted {
        let source = self.source(world, from, to, v6, rng);
        let destination = self.destination(world, from, to, v6, rng);
        let plain = packet(source, destination, UDP, &[], 8 + rng.below(120));
        match self {
            Class::WithHarmlessOptions => {
                packet(source, destination, harmless(v6).0, harmless(v6).1, 40)
            }
            Class::Fragment => fragment(
                source,
                destination,
                rng.below(2) == 0,
                8 * rng.below(180),
                64,
            ),
            Class::InsaneFragment => {
                let (more, offset, payload) =
                    *rng.pick(&[(true, 0, 63), (true, 64, 0), (false, 0xfff0, 64)]);
                refuse(
                    fragment(source, destination, more, offset, payload),
                    DropReason::Malformed,
                )
            }
            Class::Empty => refuse(cut(plain, rng.below(8)), DropReason::Malformed),
            Class::Truncated => {
                let len = plain.packet.len() - 1 - rng.below(plain.packet.len() - 1);
                refuse(cut(plain, len), DropReason::Malformed)
            }
            Class::Trailing => refuse(with(plain, |packet| packet.push(0)), DropReason::Malformed),
            Class::WrongVersion => {
                let version = *rng.pick(&[0, 5, 7, 15]);
                refuse(
                    with(plain, |packet| packet[0] = version << 4 | packet[0] & 15),
                    DropReason::Malformed,
                )
            }
            Class::WrongHeaderLength | Class::WrongTotalLength => self.wrong_length(plain, v6, rng),
            Class::SourceRoute => {
                let (next, middle) = routing(v6, rng);
                refuse(
                    packet(source, destination, next, &middle, 40),
                    DropReason::Options,
                )
            }
            Class::BrokenOptions => {
                let (next, middle): (u8, &[u8]) = if v6 {
                    (DESTINATION_OPTIONS, &[UDP, 9, 1, 4, 0, 0, 0, 0])
                } else {
                    (UDP, &[68, 9, 0, 0])
                };
                refuse(
                    packet(source, destination, next, middle, 20),
                    DropReason::Malformed,
                )
            }
            Class::HeaderBomb => bomb(source, destination, v6, rng),
            _ => plain,
        }
    }

    fn source(self, world: &World, from: usize, to: usize, v6: bool, rng: &mut Rng) -> IpAddr {
        let (site, peer) = (world.site(from), world.site(to));
        match self {
            Class::SourceOfAThirdSite => of_a_third_site(world, site, peer, v6, rng),
            Class::SourceOfTheReceiver => of(world, peer, v6, rng),
            Class::SourceHeldByNoSite => held_by_no_site(v6, rng),
            Class::SourceNestedInAnothers => nested(v6, rng),
            Class::SourceNeverCarried => never(v6, rng),
            Class::SourceConnectedLocally => connected(v6, rng),
            Class::SourceOfARefusedSite => address_in(rng.pick(&World::refused(v6)), rng),
            Class::AnyPair => any(world, v6, rng),
            _ => of(world, site, v6, rng),
        }
    }

    fn destination(self, world: &World, from: usize, to: usize, v6: bool, rng: &mut Rng) -> IpAddr {
        let (site, peer) = (world.site(from), world.site(to));
        match self {
            Class::DestinationOfTheSender => of(world, site, v6, rng),
            Class::DestinationOfAThirdSite => of_a_third_site(world, site, peer, v6, rng),
            Class::DestinationHeldByNoSite => held_by_no_site(v6, rng),
            Class::DestinationNestedInAnothers => nested(v6, rng),
            Class::DestinationNeverCarried => never(v6, rng),
            Class::DestinationConnectedLocally => connected(v6, rng),
            Class::DestinationOfARefusedSite => address_in(rng.pick(&World::refused(v6)), rng),
            Class::AnyPair => any(world, v6, rng),
            _ => of(world, peer, v6, rng),
        }
    }

    /// A length field that disagrees with the packet.
    fn wrong_length(self, plain: Crafted, v6: bool, rng: &mut Rng) -> Crafted {
        let by = 1 + rng.below(7) as u8;
        let crafted = with(plain, |packet| match (self, v6) {
            (Class::WrongHeaderLength, false) => packet[0] = 0x40 | *rng.pick(&[0, 1, 4]),
            (_, false) => packet[3] = packet[3].wrapping_add(by),
            (_, true) => packet[5] = packet[5].wrapping_add(by),
        });
        refuse(crafted, DropReason::Malformed)
    }
}

/// An address that the site itself holds, or one that is served via it.
fn of(world: &World, site: usize, v6: bool, rng: &mut Rng) -> IpAddr {
    let prefixes = world.prefixes(site, v6);
    loop {
        let address = address_in(rng.pick(&prefixes), rng);
        if world.model.holder(address) == Some(site) {
            return address;
        }
    }
}

fn of_a_third_site(world: &World, site: usize, peer: usize, v6: bool, rng: &mut Rng) -> IpAddr {
    let third: Vec<usize> = (0..world.sites())
        .filter(|third| ![site, peer].contains(third))
        .collect();
    of(world, *rng.pick(&third), v6, rng)
}

fn held_by_no_site(v6: bool, rng: &mut Rng) -> IpAddr {
    const UNHELD: &str = "10.9.0.0/16 192.168.0.0/16 8.8.8.0/24 198.51.100.0/24 172.16.0.0/16 \
                           fd00:9::/32 2001:db8::/48 fc00::/16 2620:fe::/48 fec0::/10";
    in_one_of(UNHELD, v6, rng)
}

/// An address in a site's prefix that lies within another site's.
fn nested(v6: bool, rng: &mut Rng) -> IpAddr {
    const NESTED: &str = "10.2.128.0/24 10.4.200.0/24 10.1.77.0/24 10.3.99.0/24 \
                          fd00:2:8000::/48 fd00:4:200::/48 fd00:1:77::/48 fd00:3:99::/48";
    in_one_of(NESTED, v6, rng)
}

fn never(v6: bool, rng: &mut Rng) -> IpAddr {
    if rng.below(4) == 0 {
        return rng.pick(&of_family(NEVER, v6)).first;
    }
    in_one_of(NEVER, v6, rng)
}

fn connected(v6: bool, rng: &mut Rng) -> IpAddr {
    in_one_of(
        "203.0.113.0/24 172.17.5.0/24 2001:db8:ffff::/64 fd17:5::/32",
        v6,
        rng,
    )
}

fn in_one_of(nets: &str, v6: bool, rng: &mut Rng) -> IpAddr {
    address_in(rng.pick(&of_family(nets, v6)), rng)
}

fn of_family(nets: &str, v6: bool) -> Vec<Net> {
    nets.split_whitespace()
        .map(Net::new)
        .filter(|net| net.first.is_ipv6() == v6)
        .collect()
}

fn any(world: &World, v6: bool, rng: &mut Rng) -> IpAddr {
    match rng.below(8) {
        0 => held_by_no_site(v6, rng),
        1 => nested(v6, rng),
        2 => never(v6, rng),
        3 => connected(v6, rng),
        _ => of(world, rng.below(world.sites()), v6, rng),
    }
}

/// Router alert and padding, or hop-by-hop, destination options and a spent routing header.
fn harmless(v6: bool) -> (u8, &'static [u8]) {
    if v6 {
        let chain = &[
            60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 2, 0, 0, 0, 0, 0,
        ];
        (0, chain)
    } else {
        (UDP, &[148, 4, 0, 0, 1, 1, 1, 0])
    }
}

/// A source route with somewhere left to go, or a home address that replaces the source.
fn routing(v6: bool, rng: &mut Rng) -> (u8, Vec<u8>) {
    if !v6 {
        return (UDP, vec![*rng.pick(&[131, 137]), 7, 4, 10, 9, 0, 1, 0]);
    }
    let tail = [0xfd; 20];
    match rng.below(2) {
        0 => (
            ROUTING,
            [&[UDP, 2, *rng.pick(&[0, 2, 4]), 1][..], &tail].concat(),
        ),
        _ => (
            DESTINATION_OPTIONS,
            [&[UDP, 2, 201, 16][..], &tail].concat(),
        ),
    }
}

/// A chain of too many IPv6 headers, or an IPv4 header longer than the packet.
fn bomb(source: IpAddr, destination: IpAddr, v6: bool, rng: &mut Rng) -> Crafted {
    if !v6 {
        let short = packet(source, destination, UDP, &[], 8);
        return refuse(
            with(short, |packet| packet[0] = 0x4f),
            DropReason::Malformed,
        );
    }
    let (next, chain) = match rng.below(3) {
        0 => (
            DESTINATION_OPTIONS,
            [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(9 + rng.below(100)),
        ),
        1 => (FRAGMENT, [FRAGMENT, 0, 0, 0, 0, 0, 0, 1].repeat(2)),
        _ => (
            *rng.pick(&[135, 139, 140, 253, 254]),
            vec![UDP, 0, 0, 0, 0, 0, 0, 0],
        ),
    };
    refuse(
        packet(source, destination, next, &chain, 16),
        DropReason::Options,
    )
}

fn fragment(
    source: IpAddr,
    destination: IpAddr,
    more: bool,
    offset: usize,
    payload: usize,
) -> Crafted {
    if source.is_ipv6() {
        let [high, low] = ((offset & 0xfff8) as u16 | u16::from(more)).to_be_bytes();
        return packet(
            source,
            destination,
            FRAGMENT,
            &[UDP, 0, high, low, 0, 0, 0, 9],
            payload,
        );
    }
    let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    with(packet(source, destination, UDP, &[], payload), |packet| {
        packet[6..8].copy_from_slice(&field.to_be_bytes())
    })
}

fn with(mut crafted: Crafted, change: impl FnOnce(&mut Vec<u8>)) -> Crafted {
    change(&mut crafted.packet);
    crafted
}

fn cut(crafted: Crafted, len: usize) -> Crafted {
    with(crafted, |packet| packet.truncate(len))
}

fn refuse(crafted: Crafted, reason: DropReason) -> Crafted {
    Crafted {
        shape: Err(reason),
        ..crafted
    }
}
