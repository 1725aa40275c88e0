//! Type-3 packets: what the gateways of one site tell each other about the flows that hosts of the
//! site have opened. A reply may come back through another gateway than the one its request left
//! by.
//!
//! Owns their payload and how they are sent. Which flows there are is the filter's; that only a
//! gateway of our own site is believed, the receiver's.
//!
//! ```text
//!  0       1       2       4       8       10       12
//!  +-------+-------+-------+-------+-------+--------+---------------+----------------+
//!  | what  | flags | idle  | ack   | local | remote | local address | remote address |  next ...
//!  |       |       | s     |       | port  | port   | 4 or 16 bytes | 4 or 16 bytes  |
//!  +-------+-------+-------+-------+-------+--------+---------------+----------------+
//!   what: IP version × 16 + 1 TCP, 2 UDP, 3 echo (the local port is its id)
//!   flags: 1 = the acknowledgement is there; others are zero
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ringway_filter::{FlowProtocol, FlowRecord};

use crate::counters::DropReason;
use crate::header::{HEADER_LEN, Kind, TAG_LEN};
use crate::session::Outgoing;
use crate::traffic_class::TrafficClass;
use crate::udp::{self, Udp};

/// Bytes of records in one packet: what the smallest path MTU carries.
const MAX_PAYLOAD: usize = 1200;

/// Bytes of a record in front of its addresses.
const FIXED: usize = 12;

/// Bytes of the longest record.
const LONGEST: usize = FIXED + 2 * 16;

const HAS_ACK: u8 = 1;

/// Records that are collected and sent together, to every session in turn.
pub struct FlowRecords {
    /// Header, records, tag.
    datagram: [u8; HEADER_LEN + MAX_PAYLOAD + TAG_LEN],
    /// Bytes of records.
    len: usize,
}

impl FlowRecords {
    /// No records.
    pub fn new() -> FlowRecords {
        FlowRecords {
            datagram: [0; HEADER_LEN + MAX_PAYLOAD + TAG_LEN],
            len: 0,
        }
    }

    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if another record may not fit: send first.
    pub fn is_full(&self) -> bool {
        self.len + LONGEST > MAX_PAYLOAD
    }

    /// Adds a record; one whose ends are of two families is left out.
    pub fn push(&mut self, record: &FlowRecord) {
        let start = HEADER_LEN + self.len;
        if let Some(len) = encode(record, &mut self.datagram[start..HEADER_LEN + MAX_PAYLOAD]) {
            self.len += len;
        }
    }

    /// Sends what was collected to each of these sessions, and forgets it. What a socket has no
    /// room for is lost: records are repeated.
    pub fn send<'s, U: Udp>(
        &mut self,
        udp: &U,
        sessions: impl IntoIterator<Item = &'s Outgoing>,
    ) -> io::Result<()> {
        let len = HEADER_LEN + std::mem::take(&mut self.len) + TAG_LEN;
        let mut result = Ok(());

        for session in sessions {
            // Sealing overwrites the records, and the next session needs them too.
            let mut datagram = self.datagram;
            let sealed = session
                .reserve(1)
                .and_then(|number| session.seal(Kind::Flows, number, &mut datagram[..len]));

            let sent = match sealed {
                Ok(()) => {
                    let class = TrafficClass::default();
                    udp::send_along(udp, session, &datagram[..len], None, class)
                }
                Err(reason) => Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason)),
            };
            // One peer's trouble is not another's.
            result = result.and(sent);
        }
        result
    }
}

impl Default for FlowRecords {
    fn default() -> FlowRecords {
        FlowRecords::new()
    }
}

/// Writes a record, and gives its length.
fn encode(record: &FlowRecord, out: &mut [u8]) -> Option<usize> {
    let protocol = match record.protocol {
        FlowProtocol::Tcp => 1,
        FlowProtocol::Udp => 2,
        FlowProtocol::Echo => 3,
    };

    let (fixed, addresses) = out.split_at_mut_checked(FIXED)?;
    let (version, len) = match (record.local.ip(), record.remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            addresses.get_mut(..4)?.copy_from_slice(&local.octets());
            addresses.get_mut(4..8)?.copy_from_slice(&remote.octets());
            (4, 8)
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            addresses.get_mut(..16)?.copy_from_slice(&local.octets());
            addresses.get_mut(16..32)?.copy_from_slice(&remote.octets());
            (6, 32)
        }
        _ => return None,
    };

    fixed[0] = version << 4 | protocol;
    fixed[1] = if record.ack.is_some() { HAS_ACK } else { 0 };
    fixed[2..4].copy_from_slice(&record.idle.to_be_bytes());
    fixed[4..8].copy_from_slice(&record.ack.unwrap_or(0).to_be_bytes());
    fixed[8..10].copy_from_slice(&record.local.port().to_be_bytes());
    fixed[10..12].copy_from_slice(&record.remote.port().to_be_bytes());
    Some(FIXED + len)
}

/// Reads every record of a payload. Error: [`DropReason::Malformed`], also if what follows some
/// records is none; `visit` has seen those.
pub(crate) fn decode(
    mut payload: &[u8],
    mut visit: impl FnMut(&FlowRecord),
) -> Result<(), DropReason> {
    while !payload.is_empty() {
        let (record, rest) = next(payload).ok_or(DropReason::Malformed)?;
        visit(&record);
        payload = rest;
    }
    Ok(())
}

/// The first record, and what follows it.
fn next(payload: &[u8]) -> Option<(FlowRecord, &[u8])> {
    let (fixed, rest) = payload.split_first_chunk::<FIXED>()?;
    let [what, flags, i0, i1, a0, a1, a2, a3, l0, l1, r0, r1] = *fixed;

    let (local, remote, rest) = match what >> 4 {
        4 => {
            let (local, rest) = rest.split_first_chunk::<4>()?;
            let (remote, rest) = rest.split_first_chunk::<4>()?;
            let [local, remote] =
                [local, remote].map(|octets| IpAddr::from(Ipv4Addr::from(*octets)));
            (local, remote, rest)
        }
        6 => {
            let (local, rest) = rest.split_first_chunk::<16>()?;
            let (remote, rest) = rest.split_first_chunk::<16>()?;
            let [local, remote] =
                [local, remote].map(|octets| IpAddr::from(Ipv6Addr::from(*octets)));
            (local, remote, rest)
        }
        // Only the version says how long a record is: behind an unknown one nothing can be read.
        _ => return None,
    };
    let protocol = match what & 15 {
        1 => FlowProtocol::Tcp,
        2 => FlowProtocol::Udp,
        3 => FlowProtocol::Echo,
        _ => return None,
    };
    // An unknown flag may change what the record says, so that it is not ignored.
    let ack = match flags {
        0 => None,
        HAS_ACK => Some(u32::from_be_bytes([a0, a1, a2, a3])),
        _ => return None,
    };

    let record = FlowRecord {
        protocol,
        local: SocketAddr::new(local, u16::from_be_bytes([l0, l1])),
        remote: SocketAddr::new(remote, u16::from_be_bytes([r0, r1])),
        ack,
        idle: u16::from_be_bytes([i0, i1]),
    };
    Some((record, rest))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::keys::{Aead, Secret};
    use crate::peer::Peer;
    use crate::session::Path;
    use crate::udp::recording::Recording;

    fn any_record() -> impl Strategy<Value = FlowRecord> {
        let protocols = vec![FlowProtocol::Tcp, FlowProtocol::Udp, FlowProtocol::Echo];
        let addresses = prop_oneof![
            any::<[Ipv4Addr; 2]>().prop_map(|pair| pair.map(IpAddr::from)),
            any::<[Ipv6Addr; 2]>().prop_map(|pair| pair.map(IpAddr::from)),
        ];
        let numbers = any::<([u16; 2], Option<u32>, u16)>();
        (proptest::sample::select(protocols), addresses, numbers).prop_map(
            |(protocol, [local, remote], ([local_port, remote_port], ack, idle))| FlowRecord {
                protocol,
                local: SocketAddr::new(local, local_port),
                remote: SocketAddr::new(remote, remote_port),
                ack,
                idle,
            },
        )
    }

    fn payload(records: &FlowRecords) -> &[u8] {
        &records.datagram[HEADER_LEN..HEADER_LEN + records.len]
    }

    proptest! {
        #[test]
        fn records_read_back_until_the_packet_is_full(
            records in proptest::collection::vec(any_record(), 0..100),
        ) {
            let mut packet = FlowRecords::new();
            let mut expected = Vec::new();
            for record in records {
                if packet.is_full() {
                    break;
                }
                packet.push(&record);
                expected.push(record);
            }
            let mut read = Vec::new();
            prop_assert_eq!(decode(payload(&packet), |record| read.push(*record)), Ok(()));
            prop_assert_eq!(read, expected);
            prop_assert!(packet.len <= MAX_PAYLOAD);
        }

        #[test]
        fn a_record_that_is_cut_off_is_malformed(record in any_record(), cut in 1usize..12) {
            let mut packet = FlowRecords::new();
            packet.push(&record);
            let payload = payload(&packet);
            let result = decode(&payload[..payload.len() - cut], |_| panic!("it is not whole"));
            prop_assert_eq!(result, Err(DropReason::Malformed));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decode(&payload, |_| {});
        }
    }

    #[test]
    fn flow_records_of_a_later_version_are_refused() {
        let mut packet = FlowRecords::new();
        packet.push(&FlowRecord {
            protocol: FlowProtocol::Tcp,
            local: "10.1.0.1:40000".parse().unwrap(),
            remote: "10.2.0.1:7051".parse().unwrap(),
            ack: Some(1),
            idle: 0,
        });
        let good = payload(&packet).to_vec();
        for (at, value) in [(0, 0x51), (0, 0x40), (0, 0x44), (1, 2), (1, 3)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(decode(&bad, |_| {}).is_err(), "byte {at} = {value}");
        }
        assert_eq!(decode(&good, |_| {}), Ok(()));
    }

    #[test]
    fn a_session_that_cannot_be_sent_to_takes_nothing_from_the_others() {
        let session = |remote: &str, numbers| {
            let secret = Secret::new([7; 48]);
            let path = Path::new(remote.parse().unwrap(), None);
            let session = Outgoing::new(9, Aead::Aes128Gcm, &secret, path, Arc::new(Peer::new()));
            session.with_phase_len(Aead::Aes128Gcm, &secret, numbers)
        };
        let used_up = session("192.0.2.1:1", 1);
        used_up.reserve(256).unwrap();
        let sessions = [
            used_up,
            session("192.0.2.2:2", 1000),
            session("192.0.2.3:3", 1000),
            session("192.0.2.4:4", 1000),
        ];
        let udp = Recording::new(|sent| (sent.remote.port() == 3).then_some(libc::EPERM));
        let mut packet = FlowRecords::new();
        packet.push(&FlowRecord {
            protocol: FlowProtocol::Udp,
            local: "10.1.0.1:40000".parse().unwrap(),
            remote: "10.2.0.1:7051".parse().unwrap(),
            ack: None,
            idle: 0,
        });

        let error = packet.send(&udp, &sessions).unwrap_err();
        // The caller learns of the first error.
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        let sent = udp.take();
        let ports: Vec<u16> = sent.iter().map(|sent| sent.remote.port()).collect();
        assert_eq!(ports, [2, 4]);
        for sent in &sent {
            assert_eq!(sent.bytes.len(), HEADER_LEN + FIXED + 8 + TAG_LEN);
        }
        assert!(packet.is_empty(), "what was sent is forgotten");
    }
}
