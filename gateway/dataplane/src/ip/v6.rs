//! IPv6 (RFC 8200): header, the chain of extension headers, fragments.

use std::net::Ipv6Addr;

use super::{Addresses, u16_at};
use crate::counters::DropReason;

const HEADER: usize = 40;

/// Extension headers in one packet. A longer chain only costs time to walk (RFC 7112, section 1).
const MAX_EXTENSIONS: usize = 8;

// Next-header values (IANA protocol numbers) that are not the end of the chain.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
const EXPERIMENTS: [u8; 2] = [253, 254];

/// Reads a packet whose first four bits say 6.
pub(super) fn parse(packet: &[u8]) -> Result<Addresses, DropReason> {
    // A jumbogram (RFC 2675) has payload length 0 and fails here: no tunnel has room for one.
    if packet.len() < HEADER || HEADER + u16_at(packet, 4) != packet.len() {
        return Err(DropReason::Malformed);
    }

    check_extensions(packet[6], &packet[HEADER..])?;

    Ok(Addresses {
        source: address_at(packet, 8).into(),
        destination: address_at(packet, 24).into(),
    })
}

fn address_at(packet: &[u8], at: usize) -> Ipv6Addr {
    let bits = packet[at..at + 16]
        .iter()
        .fold(0, |bits, byte| bits << 8 | u128::from(*byte));
    Ipv6Addr::from_bits(bits)
}

/// Walks the chain from the first next-header value to the first that is no extension header.
fn check_extensions(mut next: u8, mut rest: &[u8]) -> Result<(), DropReason> {
    let mut fragmented = false;
    for seen in 0..=MAX_EXTENSIONS {
        let header = match next {
            // Only directly behind the fixed header (RFC 8200, section 4.1).
            HOP_BY_HOP if seen == 0 => options(rest)?,
            DESTINATION_OPTIONS => options(rest)?,
            ROUTING => routing(rest)?,
            AUTHENTICATION => extension(rest, |len| (len + 2) * 4)?,
            FRAGMENT if !fragmented => {
                fragmented = true;
                match fragment(rest)? {
                    0 => &rest[..8],
                    // The chain continues in the first fragment, which must hold all of it (RFC
                    // 7112).
                    _ => return Ok(()),
                }
            }
            // A second fragment header, headers out of their place, and those that carry addresses.
            HOP_BY_HOP | FRAGMENT | MOBILITY | HIP | SHIM6 => return Err(DropReason::Options),
            next if EXPERIMENTS.contains(&next) => return Err(DropReason::Options),
            // An upper-layer protocol, or No Next Header (59): the end of the chain.
            _ => return Ok(()),
        };

        next = header[0];
        rest = &rest[header.len()..];
    }

    Err(DropReason::Options)
}

/// The extension header at the front of `rest`, whose length follows from its second byte.
fn extension(rest: &[u8], len: impl Fn(usize) -> usize) -> Result<&[u8], DropReason> {
    let [_, units, ..] = rest else {
        return Err(DropReason::Malformed);
    };
    rest.get(..len(usize::from(*units)))
        .ok_or(DropReason::Malformed)
}

/// A header of options (RFC 8200, section 4.2): each must fit; none may replace the source.
fn options(rest: &[u8]) -> Result<&[u8], DropReason> {
    const PAD1: u8 = 0;
    const HOME_ADDRESS: u8 = 201;

    let header = extension(rest, |len| (len + 1) * 8)?;
    let mut options = &header[2..];

    while let [kind, tail @ ..] = options {
        options = match (*kind, tail) {
            // RFC 8200, section 4.2: the only option without a length.
            (PAD1, tail) => tail,
            // RFC 6275, section 6.3: the receiver takes its address for the source, and nobody has
            // checked that one.
            (HOME_ADDRESS, _) => return Err(DropReason::Options),
            (_, [len, tail @ ..]) => tail.get(usize::from(*len)..).ok_or(DropReason::Malformed)?,
            _ => return Err(DropReason::Malformed),
        };
    }

    Ok(header)
}

/// A routing header, harmless only when there is nowhere left to go (RFC 8200, section 4.4).
fn routing(rest: &[u8]) -> Result<&[u8], DropReason> {
    let header = extension(rest, |len| (len + 1) * 8)?;
    if header[3] != 0 {
        Err(DropReason::Options)
    } else {
        Ok(header)
    }
}

/// The offset in bytes of a fragment (RFC 8200, section 4.5): all but the last end on a multiple of
/// 8 and none reaches beyond the largest packet.
fn fragment(rest: &[u8]) -> Result<usize, DropReason> {
    let header = rest.get(..8).ok_or(DropReason::Malformed)?;
    let offset = u16_at(header, 2) & 0xfff8;
    let more = header[3] & 1 != 0;
    if !more && offset == 0 {
        // An atomic fragment (RFC 6946) is a whole packet.
        return Ok(offset);
    }

    let payload = rest.len() - header.len();
    let sane = payload > 0 && (!more || payload.is_multiple_of(8)) && offset + payload <= 0xffff;
    if sane {
        Ok(offset)
    } else {
        Err(DropReason::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: u8 = 17;

    /// A packet fd00::1 → fd00::2 whose first next-header value is `next`.
    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        packet[6] = next;
        packet[8..24].copy_from_slice(&"fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        packet[24..40].copy_from_slice(&"fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(payload);
        packet
    }

    fn check(next: u8, payload: &[u8]) -> Result<(), DropReason> {
        parse(&packet(next, payload)).map(|_| ())
    }

    #[test]
    fn reads_both_addresses() {
        let addresses = parse(&packet(UDP, &[0; 8])).unwrap();
        assert_eq!(
            (
                addresses.source.to_string(),
                addresses.destination.to_string()
            ),
            ("fd00::1".into(), "fd00::2".into())
        );
        assert_eq!(check(59, &[]), Ok(()));
    }

    #[test]
    fn lengths_must_agree() {
        let good = packet(UDP, &[0; 8]);
        assert_eq!(parse(&good[..47]), Err(DropReason::Malformed));
        assert_eq!(
            parse(&[&good[..], &[0]].concat()),
            Err(DropReason::Malformed)
        );
        assert_eq!(parse(&good[..39]), Err(DropReason::Malformed));
        let mut jumbo = packet(HOP_BY_HOP, &[UDP, 0, 0xc2, 4, 0, 1, 0, 0]);
        jumbo[4..6].fill(0);
        assert_eq!(parse(&jumbo), Err(DropReason::Malformed));
    }

    #[test]
    fn known_extension_headers_are_walked() {
        let padded = |next| vec![next, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(check(HOP_BY_HOP, &padded(UDP)), Ok(()));
        assert_eq!(
            check(
                HOP_BY_HOP,
                &[padded(DESTINATION_OPTIONS), padded(UDP)].concat()
            ),
            Ok(())
        );
        assert_eq!(check(ROUTING, &[UDP, 0, 2, 0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(
            check(AUTHENTICATION, &[&[UDP, 4][..], &[0; 22]].concat()),
            Ok(())
        );
    }

    #[test]
    fn headers_that_are_cut_off_are_refused() {
        assert_eq!(check(HOP_BY_HOP, &[]), Err(DropReason::Malformed));
        assert_eq!(
            check(DESTINATION_OPTIONS, &[UDP, 1, 1, 4, 0, 0, 0, 0]),
            Err(DropReason::Malformed)
        );
        assert_eq!(
            check(DESTINATION_OPTIONS, &[UDP, 0, 1, 5, 0, 0, 0, 0]),
            Err(DropReason::Malformed)
        );
        assert_eq!(
            check(DESTINATION_OPTIONS, &[UDP, 0, 0, 0, 0, 0, 0, 5]),
            Err(DropReason::Malformed)
        );
        assert_eq!(
            check(AUTHENTICATION, &[UDP, 4, 0, 0]),
            Err(DropReason::Malformed)
        );
        assert_eq!(check(FRAGMENT, &[UDP, 0, 0, 1]), Err(DropReason::Malformed));
    }

    #[test]
    fn headers_that_lead_past_the_checks_are_refused() {
        assert_eq!(
            check(ROUTING, &[UDP, 0, 0, 1, 0, 0, 0, 0]),
            Err(DropReason::Options)
        );
        assert_eq!(
            check(
                DESTINATION_OPTIONS,
                &[&[UDP, 2, 201, 16][..], &[0; 20]].concat()
            ),
            Err(DropReason::Options)
        );
        assert_eq!(
            check(DESTINATION_OPTIONS, &[HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0]),
            Err(DropReason::Options)
        );
        for unknown in [MOBILITY, HIP, SHIM6, 253, 254] {
            assert_eq!(check(unknown, &[0; 8]), Err(DropReason::Options));
        }
        let bomb: Vec<u8> = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(MAX_EXTENSIONS + 1);
        assert_eq!(check(DESTINATION_OPTIONS, &bomb), Err(DropReason::Options));
    }

    #[test]
    fn fragments_pass_if_their_offsets_are_sane() {
        let piece = |field: u16, payload: usize| {
            let [high, low] = field.to_be_bytes();
            check(
                FRAGMENT,
                &[&[UDP, 0, high, low, 0, 0, 0, 7][..], &vec![0; payload]].concat(),
            )
        };
        assert_eq!(piece(0, 5), Ok(()));
        assert_eq!(piece(1, 16), Ok(()));
        assert_eq!(piece(16, 5), Ok(()));
        assert_eq!(piece(1, 15), Err(DropReason::Malformed));
        assert_eq!(piece(17, 0), Err(DropReason::Malformed));
        assert_eq!(piece(0xfff8, 8), Err(DropReason::Malformed));
        let twice = [
            &[FRAGMENT, 0, 0, 0, 0, 0, 0, 7][..],
            &[UDP, 0, 0, 0, 0, 0, 0, 7],
        ]
        .concat();
        assert_eq!(check(FRAGMENT, &twice), Err(DropReason::Options));
    }
}
