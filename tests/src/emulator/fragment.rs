//! Fragments an IPv4 packet as a router does (RFC 791, 3.2).

use super::checksum;
use super::packet::Packet;

/// The bit "more fragments" in the field of flags and offset.
const MORE: u16 = 0x2000;
/// The offset in that field, in units of eight bytes.
const OFFSET: u16 = 0x1fff;

/// Fragments of `packet` with at most `mtu` bytes each. Options are copied to every fragment.
///
/// `mtu` must leave room for eight bytes of payload.
pub fn cut(packet: &Packet, mtu: u16) -> Vec<Packet> {
    let (header, body) = packet.bytes().split_at(packet.header_len());
    let room = (usize::from(mtu).saturating_sub(header.len()) / 8).max(1) * 8;
    let field = u16::from_be_bytes([header[6], header[7]]);
    let last = body.len().div_ceil(room) - 1;

    body.chunks(room)
        .enumerate()
        .filter_map(|(number, piece)| {
            // The packet may be a fragment itself: only the last piece of its last fragment is
            // last.
            let more = if number < last { MORE } else { field & MORE };
            let offset = (field & OFFSET) + (number * room / 8) as u16;
            fragment(header, piece, more | offset)
        })
        .collect()
}

fn fragment(header: &[u8], piece: &[u8], field: u16) -> Option<Packet> {
    let mut bytes = [header, piece].concat();
    let total = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[6..8].copy_from_slice(&field.to_be_bytes());

    // The checksum covers itself as zero.
    bytes[10..12].fill(0);
    let sum = !checksum::sum(&bytes[..header.len()]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::udp;
    use super::*;

    #[test]
    fn fragments_of_fragments_make_up_the_packet() {
        let body: Vec<u8> = (0..3000u16).map(|n| n as u8).collect();
        let packet = udp("192.0.2.1:1", "192.0.2.2:2", &body);
        let pieces: Vec<_> = cut(&packet, 1400)
            .iter()
            .flat_map(|piece| cut(piece, 576))
            .collect();

        let mut joined = vec![None; packet.bytes().len() - 20];
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.bytes().len() <= 576);
            assert_eq!(checksum::sum(&piece.bytes()[..20]), 0xffff);
            let field = u16::from_be_bytes([piece.bytes()[6], piece.bytes()[7]]);
            assert_eq!(field & MORE != 0, number + 1 < pieces.len());

            let at = usize::from(field & OFFSET) * 8;
            for (place, byte) in joined[at..].iter_mut().zip(&piece.bytes()[20..]) {
                assert_eq!(place.replace(*byte), None, "two fragments overlap");
            }
        }
        let joined: Vec<u8> = joined.into_iter().map(Option::unwrap).collect();
        assert_eq!(joined, packet.bytes()[20..]);
    }
}
