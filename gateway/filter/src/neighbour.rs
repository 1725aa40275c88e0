//! [`Neighbour`]: the last packet that passed, for those right behind it.
//!
//! Most packets of a batch continue the flow of the one before. Their verdict is known if all that
//! it depends on is the same: rules, time, sending site, addresses, protocol and ports; of TCP only
//! segments with ACK and without SYN, FIN or RST, which change nothing. Fragments, ICMP and what
//! grace lets in are always judged.

use std::time::Instant;

use crate::cache::FilterCache;
use crate::filter::Filter;
use crate::packet::{protocol, tcp_flags};
use crate::rules::Rules;

/// Longest key: two IPv6 addresses and two ports.
const KEY: usize = 36;

/// What the next packet may share with the last one. For one thread.
pub struct Neighbour<'r> {
    pub(crate) cache: FilterCache,
    last: Option<Last<'r>>,
}

struct Last<'r> {
    rules: &'r Rules,
    at: Instant,
    from: u32,
    protocol: u8,
    key: [u8; KEY],
    len: usize,
}

impl<'r> Neighbour<'r> {
    /// Nothing has passed `filter`.
    pub fn new(filter: &Filter) -> Neighbour<'r> {
        Neighbour {
            cache: filter.cache(),
            last: None,
        }
    }

    /// True if the packet gets the verdict of the last one, which passed.
    pub(crate) fn covers(&self, rules: &Rules, from: u32, packet: &[u8], now: Instant) -> bool {
        let Some(last) = &self.last else {
            return false;
        };
        // The rules of before are borrowed here: others cannot have their place.
        let is_same_world = std::ptr::eq(last.rules, rules) && last.at == now && last.from == from;

        is_same_world
            && key(packet).is_some_and(|(protocol, key)| {
                protocol == last.protocol && key == &last.key[..last.len]
            })
    }

    pub(crate) fn remember(&mut self, rules: &'r Rules, from: u32, packet: &[u8], at: Instant) {
        self.last = key(packet).map(|(protocol, bytes)| {
            let mut key = [0; KEY];
            key[..bytes.len()].copy_from_slice(bytes);
            Last {
                rules,
                at,
                from,
                protocol,
                key,
                len: bytes.len(),
            }
        });
    }
}

/// Protocol, and addresses with ports, of a plain packet: whole, without options or extensions.
fn key(packet: &[u8]) -> Option<(u8, &[u8])> {
    const FRAGMENT: u8 = 0x3f;

    let (protocol, start, addresses) = match packet.first()? {
        // Version 4, and a header of five words: no options.
        0x45 => {
            let fixed = packet.first_chunk::<20>()?;
            let len = u16::from_be_bytes([fixed[2], fixed[3]]);
            let is_plain =
                usize::from(len) == packet.len() && fixed[6] & FRAGMENT == 0 && fixed[7] == 0;
            is_plain.then_some((fixed[9], 20, 8))?
        }
        first if first >> 4 == 6 => {
            let fixed = packet.first_chunk::<40>()?;
            let len = u16::from_be_bytes([fixed[4], fixed[5]]);
            (usize::from(len) + 40 == packet.len()).then_some((fixed[6], 40, 32))?
        }
        _ => return None,
    };

    let transport = &packet[start..];
    let is_steady = match protocol {
        protocol::TCP => is_steady_tcp(transport),
        protocol::UDP => transport.len() >= 8,
        // With extension headers, the number is that of the first one.
        _ => false,
    };
    // TCP and UDP both begin with the ports, so that addresses and ports are one piece.
    is_steady.then(|| (protocol, &packet[start - addresses..start + 4]))
}

fn is_steady_tcp(transport: &[u8]) -> bool {
    const DECIDING: u8 = tcp_flags::FIN | tcp_flags::SYN | tcp_flags::RST | tcp_flags::ACK;

    let Some(fixed) = transport.first_chunk::<20>() else {
        return false;
    };
    let len = usize::from(fixed[12] >> 4) * 4;
    fixed[13] & DECIDING == tcp_flags::ACK && (20..=transport.len()).contains(&len)
}
