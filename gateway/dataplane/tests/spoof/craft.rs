//! Packets made byte by byte, together with what is right or wrong about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_dataplane::DropReason;

use crate::model::Net;

/// A packet, and what is known about it without parsing it.
#[derive(Debug, Clone)]
pub(crate) struct Crafted {
    pub(crate) packet: Vec<u8>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Whether its shape is right, or how it must be refused.
    pub(crate) shape: Result<(), DropReason>,
}

/// A packet of either family. `middle` stands between the fixed header and the payload: options of
/// IPv4 (padded by the caller), or extension headers of IPv6, the first of which is of type `next`.
pub(crate) fn packet(
    source: IpAddr,
    destination: IpAddr,
    next: u8,
    middle: &[u8],
    payload: usize,
) -> Crafted {
    let rest = middle.len() + payload;
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = ((20 + rest) as u16).to_be_bytes();
            let first = 0x40 | ((20 + middle.len()) / 4) as u8;
            let fixed = [first, 0, high, low, 0, 0, 0, 0, 64, next, 0, 0];
            [&fixed[..], &source.octets(), &destination.octets()].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = (rest as u16).to_be_bytes();
            [
                &[0x60, 0, 0, 0, high, low, next, 64][..],
                &source.octets(),
                &destination.octets(),
            ]
            .concat()
        }
        _ => panic!("a packet has one family"),
    };
    packet.extend_from_slice(middle);
    packet.resize(packet.len() + payload, 0x5a);
    Crafted {
        packet,
        source,
        destination,
        shape: Ok(()),
    }
}

/// An address in the range.
pub(crate) fn address_in(net: &Net, rng: &mut Rng) -> IpAddr {
    match net.first {
        IpAddr::V4(first) => {
            let host = random_bits(32 - net.len, rng) as u32;
            Ipv4Addr::from_bits(first.to_bits() | host).into()
        }
        IpAddr::V6(first) => {
            let host = random_bits(128 - net.len, rng);
            Ipv6Addr::from_bits(first.to_bits() | host).into()
        }
    }
}

fn random_bits(count: u32, rng: &mut Rng) -> u128 {
    (0..count).fold(0, |bits, at| bits | (rng.below(2) as u128) << at)
}

/// A pseudo-random generator with a fixed seed (xorshift64*).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
