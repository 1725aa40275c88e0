//! The chain of IPv6 extension headers (RFC 8200, section 4): the header behind it decides.

use super::{Bits, Fragment, Header, V6_HEADER, u16_at};
use crate::verdict::Reason;

/// Extension headers in one packet. A longer chain only costs time to walk (RFC 7112, section 1).
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
const EXPERIMENTS: [u8; 2] = [253, 254];

/// Reads the header of a packet. The packet's end may be missing, as in the quote of an ICMP error.
#[inline]
pub(super) fn parse_v6(packet: &[u8]) -> Result<Header<'_>, Reason> {
    let mut header = Header {
        v6: true,
        source: bits_v6(packet, 8),
        destination: bits_v6(packet, 24),
        protocol: packet[6],
        fragment: None,
        payload: &packet[V6_HEADER..],
    };

    // Almost no packet has extension headers.
    if is_extension(header.protocol) {
        walk(&mut header)?;
    }
    Ok(header)
}

/// True for what is an extension header with IPv6 and no protocol of its own with IPv4 either: no
/// rule can allow it by number. ESP (50) hides what is behind it, and counts as a protocol.
#[inline]
pub(crate) fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION_OPTIONS
            | MOBILITY
            | HIP
            | SHIM6
    ) || EXPERIMENTS.contains(&protocol)
}

fn walk(header: &mut Header<'_>) -> Result<(), Reason> {
    let mut fragmentable: Option<Fragment> = None;

    for seen in 0..=MAX_EXTENSIONS {
        let rest = header.payload;
        let len = match header.protocol {
            // Only directly behind the fixed header (RFC 8200, section 4.1).
            HOP_BY_HOP if seen == 0 => extension(rest, |units| (units + 1) * 8)?,
            DESTINATION_OPTIONS => extension(rest, |units| (units + 1) * 8)?,
            ROUTING => routing(rest)?,
            AUTHENTICATION => extension(rest, |units| (units + 2) * 4)?,
            FRAGMENT if fragmentable.is_none() => {
                let (fragment, more) = read_fragment(rest)?;
                fragmentable = Some(fragment);

                // An atomic fragment is a whole packet; it stands here only so that a second
                // fragment header is refused.
                if more || !fragment.is_first() {
                    header.fragment = Some(fragment);
                }
                FRAGMENT_HEADER
            }
            protocol if is_extension(protocol) => return Err(Reason::Extension),
            _ => return Ok(()),
        };

        if let Some(fragment) = &mut header.fragment
            && header.protocol != FRAGMENT
        {
            fragment.skipped += len;
        }
        header.protocol = rest[0];
        header.payload = &rest[len..];

        // What follows in a later fragment is data.
        if header.fragment.is_some_and(|fragment| !fragment.is_first()) {
            return Ok(());
        }
    }

    Err(Reason::Extension)
}

const FRAGMENT_HEADER: usize = 8;

/// Identification and offset, and whether more fragments follow (RFC 8200, section 4.5).
fn read_fragment(rest: &[u8]) -> Result<(Fragment, bool), Reason> {
    let header = rest.get(..FRAGMENT_HEADER).ok_or(Reason::Malformed)?;
    let field = u16_at(header, 2);

    let fragment = Fragment {
        id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        offset: field & 0xfff8,
        skipped: 0,
    };
    Ok((fragment, field & 1 != 0))
}

/// The length of the extension header at the front of `rest`, which follows from its second byte.
fn extension(rest: &[u8], len: impl Fn(usize) -> usize) -> Result<usize, Reason> {
    let [_, units, ..] = rest else {
        return Err(Reason::Malformed);
    };

    let len = len(usize::from(*units));
    if len <= rest.len() {
        Ok(len)
    } else {
        Err(Reason::Malformed)
    }
}

/// A routing header, harmless only when there is nowhere left to go (RFC 8200, section 4.4).
fn routing(rest: &[u8]) -> Result<usize, Reason> {
    let len = extension(rest, |units| (units + 1) * 8)?;
    if rest[3] == 0 {
        Ok(len)
    } else {
        Err(Reason::Extension)
    }
}

#[inline]
fn bits_v6(packet: &[u8], at: usize) -> Bits {
    let mut octets = [0; 16];
    octets.copy_from_slice(&packet[at..at + 16]);
    Bits::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::super::protocol::UDP;
    use super::*;
    use crate::craft::v6;

    fn parse(first: u8, chain: &[u8]) -> Result<(u8, usize, Option<Fragment>), Reason> {
        let packet = v6("fd02::1", "fd01::1").raw(first, chain);
        Header::parse(&packet)
            .map(|header| (header.protocol, header.payload.len(), header.fragment))
    }

    #[test]
    fn the_header_behind_the_chain_decides() {
        let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
        let udp = [0, 5, 0, 7, 0, 8, 0, 0];
        for first in [HOP_BY_HOP, DESTINATION_OPTIONS] {
            let chain = [options, udp].concat();
            assert_eq!(parse(first, &chain), Ok((UDP, 8, None)));
        }

        let routed = |left| [[UDP, 0, 4, left, 0, 0, 0, 0], udp].concat();
        assert_eq!(parse(ROUTING, &routed(0)), Ok((UDP, 8, None)));
        assert_eq!(parse(ROUTING, &routed(1)), Err(Reason::Extension));
    }

    #[test]
    fn chains_that_are_cut_misplaced_or_too_long_are_refused() {
        assert_eq!(parse(DESTINATION_OPTIONS, &[UDP]), Err(Reason::Malformed));
        assert_eq!(
            parse(DESTINATION_OPTIONS, &[UDP, 1, 0, 0, 0, 0, 0, 0]),
            Err(Reason::Malformed)
        );
        let late = [
            [HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0],
            [UDP, 0, 1, 4, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(parse(DESTINATION_OPTIONS, &late), Err(Reason::Extension));
        let long = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(9);
        assert_eq!(parse(DESTINATION_OPTIONS, &long), Err(Reason::Extension));
        for never in [MOBILITY, HIP, SHIM6, 253, 254] {
            assert_eq!(
                parse(never, &[UDP, 0, 0, 0, 0, 0, 0, 0]),
                Err(Reason::Extension)
            );
        }
    }

    #[test]
    fn an_atomic_fragment_is_a_whole_packet_and_a_second_fragment_header_none() {
        let udp = [0, 5, 0, 7, 0, 8, 0, 0];
        let atomic = [UDP, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(parse(FRAGMENT, &[atomic, udp].concat()), Ok((UDP, 8, None)));
        let twice = [[FRAGMENT, 0, 0, 0, 0, 0, 0, 9], atomic, udp].concat();
        assert_eq!(parse(FRAGMENT, &twice), Err(Reason::Extension));
    }

    #[test]
    fn extension_headers_of_the_fragmentable_part_are_skipped() {
        let udp = [0, 5, 0, 7, 0, 8, 0, 0];
        let first = [
            [DESTINATION_OPTIONS, 0, 0, 1, 0, 0, 0, 9],
            [UDP, 0, 1, 4, 0, 0, 0, 0],
            udp,
        ]
        .concat();
        let (protocol, _, fragment) = parse(FRAGMENT, &first).unwrap();
        assert_eq!((protocol, fragment.unwrap().skipped), (UDP, 8));

        let later = [[DESTINATION_OPTIONS, 0, 0, 17, 0, 0, 0, 9], udp].concat();
        let (protocol, len, fragment) = parse(FRAGMENT, &later).unwrap();
        assert_eq!((protocol, len), (DESTINATION_OPTIONS, 8));
        assert_eq!(fragment.unwrap().offset, 16);
    }
}
