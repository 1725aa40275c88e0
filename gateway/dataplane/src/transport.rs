//! [`Transport`]: the position of the TCP or UDP header in a packet, if that header can be found.
//!
//! Owns the one parse that sender and receiver of a partial checksum must agree on. A packet in
//! which it finds nothing is not bad: it only travels alone, and with a complete checksum.

use crate::ip::u16_at;
use crate::offload::ChecksumPlace;

/// The protocols whose packets the kernel segments and coalesces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// IANA protocol number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// Offset of the checksum in the header (RFC 9293, section 3.1; RFC 768).
    pub(crate) fn checksum_at(self) -> usize {
        match self {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        }
    }
}

/// Flags in byte 13 of a TCP header (RFC 9293, section 3.1; RFC 3168, section 6.1).
pub(crate) mod tcp_flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const ECE: u8 = 0x40;
    pub(crate) const CWR: u8 = 0x80;
}

/// Where the parts of a packet lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transport {
    pub(crate) v6: bool,
    pub(crate) protocol: Protocol,
    /// Offset of the TCP or UDP header.
    pub(crate) start: usize,
    /// Offset of what follows it.
    pub(crate) payload: usize,
}

impl Transport {
    /// Where the packet's checksum lies.
    pub(crate) fn checksum_place(&self) -> ChecksumPlace {
        ChecksumPlace {
            start: self.start,
            field: self.start + self.protocol.checksum_at(),
        }
    }

    /// The flags of TCP, which was found in this packet.
    pub(crate) fn tcp_flags(&self, packet: &[u8]) -> u8 {
        packet[self.start + 13]
    }

    /// The sequence number of TCP, which was found in this packet.
    pub(crate) fn tcp_sequence(&self, packet: &[u8]) -> u32 {
        packet[self.start + 4..self.start + 8]
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// Finds TCP or UDP in a packet that `ip` has let through: whole, not behind extension headers,
    /// and as long as it says itself.
    pub(crate) fn locate(packet: &[u8]) -> Option<Transport> {
        let (v6, number, start) = match packet.first()? >> 4 {
            // Neither More Fragments nor an offset (RFC 791, section 3.1).
            4 if u16_at(packet, 6) & 0x3fff == 0 => {
                (false, *packet.get(9)?, usize::from(packet[0] & 15) * 4)
            }
            // Extension headers are not walked: kernels do not segment behind all of them.
            6 => (true, *packet.get(6)?, 40),
            _ => return None,
        };

        let segment = packet.get(start..)?;
        let (protocol, header_len) = match number {
            6 => (Protocol::Tcp, usize::from(segment.get(12)? >> 4) * 4),
            // A length of 0 or less than the packet's would leave bytes that no checksum covers.
            17 if u16_at(segment, 4) == segment.len() => (Protocol::Udp, 8),
            _ => return None,
        };

        let least = if protocol == Protocol::Tcp { 20 } else { 8 };
        let fits = start >= 20 && (least..=segment.len()).contains(&header_len);

        fits.then_some(Transport {
            v6,
            protocol,
            start,
            payload: start + header_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn udp_v4(payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 28 + payload];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[24..26].copy_from_slice(&(8 + payload as u16).to_be_bytes());
        packet
    }

    #[test]
    fn finds_tcp_and_udp_directly_behind_the_ip_header() {
        let found = Transport {
            v6: false,
            protocol: Protocol::Udp,
            start: 20,
            payload: 28,
        };
        assert_eq!(Transport::locate(&udp_v4(5)), Some(found));
        let mut tcp = vec![0; 80];
        tcp[0] = 0x60;
        tcp[6] = 6;
        tcp[52] = 0x80;
        let found = Transport {
            v6: true,
            protocol: Protocol::Tcp,
            start: 40,
            payload: 72,
        };
        assert_eq!(Transport::locate(&tcp), Some(found));
    }

    #[test]
    fn finds_nothing_in_fragments_and_in_packets_that_contradict_themselves() {
        for (at, value) in [
            (6, 0x20),
            (7, 1),
            (9, 1),
            (24, 1),
            (25, 12),
            (0, 0x46),
            (0, 0x55),
            (0, 0x44),
        ] {
            let mut packet = udp_v4(5);
            packet[at] = value;
            assert_eq!(Transport::locate(&packet), None, "byte {at} = {value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_located_in_bounds(
            mut packet in proptest::collection::vec(any::<u8>(), 0..120),
            first in proptest::sample::select(vec![0x45u8, 0x4f, 0x60]), tcp: bool,
        ) {
            if packet.len() > 20 {
                packet[0] = first;
                packet[if first == 0x60 { 6 } else { 9 }] = if tcp { 6 } else { 17 };
            }
            if let Some(found) = Transport::locate(&packet) {
                prop_assert!(found.start + 8 <= found.payload && found.payload <= packet.len());
            }
        }
    }
}
