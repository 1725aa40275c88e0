//! The messages `Announce` and `Withdraw`, and the encoding of a prefix: `family u8 | length u8 |
//! address`, of which only the bytes that the length covers are written.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | serial | u64 |
//! | 2 | prefixes | prefix* |

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::Prefix;

use super::field::{FieldError, Fields, Writer};
use super::wire::{Cursor, Wire};

/// Most prefixes in one message.
pub const MAX_PREFIXES: usize = 1024;

const SERIAL: u16 = 1;
const PREFIXES: u16 = 2;

pub(super) fn put(serial: u64, prefixes: &BTreeSet<Prefix>, out: &mut Writer<'_>) {
    out.required(SERIAL, &serial);
    out.list(PREFIXES, prefixes.iter().copied());
}

pub(super) fn get(body: &[u8]) -> Result<(u64, BTreeSet<Prefix>), FieldError> {
    let fields = Fields::split(body, &[SERIAL, PREFIXES])?;
    let serial = fields.required(SERIAL)?;
    let prefixes = fields.list(PREFIXES, MAX_PREFIXES)?;
    Ok((serial, prefixes.into_iter().collect()))
}

impl Wire for Prefix {
    fn put(&self, out: &mut Vec<u8>) {
        // The bytes that the length covers: all others are zero.
        let kept = usize::from(self.len()).div_ceil(8);

        match self.address() {
            IpAddr::V4(address) => {
                out.extend_from_slice(&[4, self.len()]);
                out.extend_from_slice(&address.octets()[..kept]);
            }
            IpAddr::V6(address) => {
                out.extend_from_slice(&[6, self.len()]);
                out.extend_from_slice(&address.octets()[..kept]);
            }
        }
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        let family = u8::get(cursor)?;
        let len = u8::get(cursor)?;
        let octets = cursor.take(usize::from(len).div_ceil(8))?;
        let address: IpAddr = match family {
            4 => padded::<4>(octets)?.into(),
            6 => padded::<16>(octets)?.into(),
            _ => return None,
        };

        // One range has one encoding: host bits are refused, not cleared.
        Prefix::holding(address, len).filter(|prefix| prefix.address() == address)
    }
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut address = [0; N];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Prefix> {
        Prefix::get(&mut Cursor(bytes))
    }

    #[test]
    fn a_prefix_takes_only_the_bytes_that_its_length_covers() {
        let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
        let mut out = Vec::new();
        prefix.put(&mut out);
        assert_eq!(out, [4, 16, 10, 1]);
        assert_eq!(read(&out), Some(prefix));
        assert_eq!(read(&[6, 0]), Some("::/0".parse().unwrap()));
    }

    #[test]
    fn refuses_host_bits_and_lengths_beyond_those_of_the_family() {
        assert_eq!(read(&[4, 15, 10, 1]), None);
        assert_eq!(read(&[4, 33, 10, 0, 0, 0, 0]), None);
        assert_eq!(read(&[5, 8, 10]), None);
        assert_eq!(read(&[4, 16, 10]), None);
        assert_eq!(read(&[6, 255, 0]), None);
    }
}
