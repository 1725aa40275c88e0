//! IPv4 (RFC 791): header, options, fragment offsets.

use std::net::Ipv4Addr;

use super::{Addresses, u16_at};
use crate::counters::DropReason;

const MIN_HEADER: usize = 20;
const MORE_FRAGMENTS: usize = 0x2000;
const FRAGMENT_OFFSET: usize = 0x1fff;

/// Reads a packet whose first four bits say 4.
pub(super) fn parse(packet: &[u8]) -> Result<Addresses, DropReason> {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let total_len = u16_at(packet, 2);
    // Bytes behind the stated length would travel unseen by every check.
    if header_len < MIN_HEADER || packet.len() < header_len || total_len != packet.len() {
        return Err(DropReason::Malformed);
    }

    check_fragment(u16_at(packet, 6), packet.len() - header_len)?;
    check_options(&packet[MIN_HEADER..header_len])?;

    Ok(Addresses {
        source: address_at(packet, 12).into(),
        destination: address_at(packet, 16).into(),
    })
}

fn address_at(packet: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

/// A fragment must hold something, end on a multiple of 8 unless it is the last (RFC 791, section
/// 3.2), and stay within the largest packet there is.
fn check_fragment(field: usize, payload: usize) -> Result<(), DropReason> {
    let more = field & MORE_FRAGMENTS != 0;
    let offset = (field & FRAGMENT_OFFSET) * 8;
    if !more && offset == 0 {
        return Ok(());
    }

    // The reassembled packet must fit the length field, or reassembly overflows ("ping of death").
    let sane = payload > 0
        && (!more || payload.is_multiple_of(8))
        && MIN_HEADER + offset + payload <= 0xffff;
    if sane {
        Ok(())
    } else {
        Err(DropReason::Malformed)
    }
}

/// Options must fit each other and the header (RFC 791, section 3.1); none may route.
fn check_options(mut options: &[u8]) -> Result<(), DropReason> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;

    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            // Nothing behind it is an option (RFC 791, section 3.1).
            (END, _) => return Ok(()),
            (NO_OPERATION, rest) => rest,
            (LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, _) => return Err(DropReason::Options),
            // The length counts kind and length, and must be within what is left.
            (_, [len, ..]) if *len >= 2 && usize::from(*len) <= options.len() => {
                &options[usize::from(*len)..]
            }
            _ => return Err(DropReason::Malformed),
        };
    }

    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet 10.0.0.1 → 10.0.0.2 with these options and this many bytes of payload.
    fn packet(options: &[u8], payload: usize) -> Vec<u8> {
        let len = MIN_HEADER + options.len() + payload;
        let mut packet = vec![0; len];
        packet[0] = 0x40 | ((MIN_HEADER + options.len()) / 4) as u8;
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[MIN_HEADER..MIN_HEADER + options.len()].copy_from_slice(options);
        packet
    }

    fn fragment(field: u16, payload: usize) -> Result<Addresses, DropReason> {
        let mut packet = packet(&[], payload);
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        parse(&packet)
    }

    #[test]
    fn reads_both_addresses() {
        let addresses = parse(&packet(&[], 8)).unwrap();
        assert_eq!(addresses.source.to_string(), "10.0.0.1");
        assert_eq!(addresses.destination.to_string(), "10.0.0.2");
        assert!(parse(&packet(&[], 0)).is_ok());
    }

    #[test]
    fn lengths_must_agree() {
        let good = packet(&[], 20);
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            parse(&bad)
        };
        for bad in [
            with(0, 0x44),
            with(0, 0x4f),
            with(3, 39),
            with(3, 41),
            parse(&good[..19]),
            parse(&[0x45]),
        ] {
            assert_eq!(bad, Err(DropReason::Malformed));
        }
    }

    #[test]
    fn options_must_fit_and_must_not_route() {
        for fine in [
            &[0, 0, 0, 0][..],
            &[1, 1, 1, 1],
            &[7, 3, 4, 0],
            &[1, 148, 3, 0],
            &[0, 131, 3, 4],
        ] {
            assert!(parse(&packet(fine, 4)).is_ok(), "{fine:?}");
        }
        for cut in [
            &[7, 1, 0, 0][..],
            &[7, 0, 0, 0],
            &[7, 5, 0, 0],
            &[1, 1, 1, 7],
        ] {
            assert_eq!(
                parse(&packet(cut, 4)),
                Err(DropReason::Malformed),
                "{cut:?}"
            );
        }
        for route in [&[131, 3, 4, 0][..], &[1, 137, 3, 4]] {
            assert_eq!(
                parse(&packet(route, 4)),
                Err(DropReason::Options),
                "{route:?}"
            );
        }
    }

    #[test]
    fn fragments_pass_if_their_offsets_are_sane() {
        assert!(fragment(0x2000, 16).is_ok());
        assert!(fragment(0x0002, 3).is_ok());
        assert!(fragment(0x4000, 3).is_ok());
        assert_eq!(fragment(0x2000, 15), Err(DropReason::Malformed));
        assert_eq!(fragment(0x2001, 0), Err(DropReason::Malformed));
        assert_eq!(fragment(0x1fff, 8), Err(DropReason::Malformed));
    }
}
