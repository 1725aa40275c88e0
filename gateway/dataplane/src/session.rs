//! The two directions of a session: [`Outgoing`] seals, [`Incoming`] opens.
//!
//! Both are shared between the snapshot, the threads and the control plane, and hold what outlives
//! a snapshot: packet numbers, replay window, keys of the phases, the peer's address. Nothing here
//! locks.
//!
//! Phases follow from the packet number: phase p carries the numbers p·2²⁶ to (p+1)·2²⁶ − 1, so
//! that both ends know which key a packet belongs to, and the phase byte is a check. The key of the
//! previous phase is held for at least 10 s and dropped by the next call of `expire_keys`, which
//! the session's owner makes regularly.

mod incoming;
mod outgoing;
mod phases;

pub use incoming::Incoming;
pub use outgoing::{Outgoing, Path};

/// Packets sealed under one key.
const PACKETS_PER_PHASE: u64 = 1 << 26;

/// Phases of a session. Nothing is sealed after the last.
const PHASES: u64 = 256;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::phases::KEPT;
    use super::*;
    use crate::counters::DropReason;
    use crate::header::{Checksum, HEADER_LEN, Header, Kind, OVERHEAD};
    use crate::keys::{Aead, Secret};
    use crate::peer::Peer;
    use crate::snapshot::SiteNo;

    const PAYLOAD: &[u8] = b"ringway";
    const PACKET: Kind = Kind::Packet(Checksum::Complete);

    fn pair() -> (Outgoing, Incoming) {
        let (secret, peer) = (Secret::new([7; 48]), Arc::new(Peer::new()));
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let outgoing = Outgoing::new(9, Aead::Aes128Gcm, &secret, path, peer.clone());
        (
            outgoing,
            Incoming::new(9, Aead::Aes128Gcm, &secret, SiteNo(1), peer),
        )
    }

    /// Skips to packet `number` and seals it.
    fn seal(outgoing: &Outgoing, number: u64) -> Vec<u8> {
        outgoing
            .reserve((number - outgoing.packets()) as usize)
            .unwrap();
        let mut buffer = vec![0; PAYLOAD.len() + OVERHEAD];
        buffer[HEADER_LEN..][..PAYLOAD.len()].copy_from_slice(PAYLOAD);
        outgoing
            .seal(PACKET, outgoing.reserve(1).unwrap(), &mut buffer)
            .unwrap();
        buffer
    }

    fn open(incoming: &Incoming, datagram: &[u8]) -> Result<bool, DropReason> {
        let mut datagram = datagram.to_vec();
        let header = Header::decode(&datagram)?;
        let newest = incoming.open(&header, &mut datagram)?;
        assert_eq!(&datagram[HEADER_LEN..][..PAYLOAD.len()], PAYLOAD);
        Ok(newest)
    }

    #[test]
    fn a_packet_opens_once_and_only_unchanged() {
        let (outgoing, incoming) = pair();
        let (first, second) = (seal(&outgoing, 0), seal(&outgoing, 1));
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 1;
            assert!(open(&incoming, &changed).is_err(), "byte {at}");
        }
        assert_eq!(open(&incoming, &second), Ok(true));
        assert_eq!(open(&incoming, &first), Ok(false));
        assert_eq!(open(&incoming, &first), Err(DropReason::Replay));
    }

    #[test]
    fn phases_follow_the_packet_number_on_both_sides() {
        let (outgoing, incoming) = pair();
        let edge = |phase: u64| phase * PACKETS_PER_PHASE;
        let late = seal(&outgoing, edge(1) - 1);
        assert_eq!(late[2], 0);
        for phase in 1..=255 {
            let first = seal(&outgoing, edge(phase));
            assert_eq!(u64::from(first[2]), phase);
            assert_eq!(open(&incoming, &first), Ok(true), "phase {phase}");
            if phase == 1 {
                assert_eq!(open(&incoming, &late), Ok(false));
            }
        }
    }

    #[test]
    fn a_phase_that_is_not_next_is_refused_and_changes_nothing() {
        let (outgoing, incoming) = pair();
        assert_eq!(open(&incoming, &seal(&outgoing, 0)), Ok(true));
        let honest = seal(&outgoing, 1);
        let mut forged = honest.clone();
        forged[2] = 1;
        assert_eq!(open(&incoming, &forged), Err(DropReason::Phase));
        let far = Header {
            kind: PACKET,
            phase: 2,
            index: 9,
            number: 2 * PACKETS_PER_PHASE,
        };
        assert_eq!(
            open(&incoming, &[&far.encode()[..], &[0; 32]].concat()),
            Err(DropReason::Phase)
        );
        let next = Header {
            kind: PACKET,
            phase: 1,
            index: 9,
            number: PACKETS_PER_PHASE,
        };
        assert_eq!(
            open(&incoming, &[&next.encode()[..], &[0; 32]].concat()),
            Err(DropReason::Auth)
        );
        assert_eq!(open(&incoming, &honest), Ok(true));
    }

    #[test]
    fn sealing_stops_at_the_last_packet_number() {
        const PACKETS: u64 = PHASES * PACKETS_PER_PHASE;
        let (outgoing, _) = pair();
        assert_eq!(outgoing.reserve(PACKETS as usize), Ok(0));
        assert_eq!(outgoing.reserve(1), Err(DropReason::Exhausted));
        assert_eq!(
            outgoing.seal(PACKET, PACKETS, &mut [0; OVERHEAD]),
            Err(DropReason::Exhausted)
        );
    }

    #[test]
    fn the_keys_of_a_passed_phase_are_forgotten_after_a_while_and_no_others() {
        let (outgoing, incoming) = pair();
        let (early, late) = (
            seal(&outgoing, PACKETS_PER_PHASE - 2),
            seal(&outgoing, PACKETS_PER_PHASE - 1),
        );
        assert_eq!(
            open(&incoming, &seal(&outgoing, PACKETS_PER_PHASE)),
            Ok(true)
        );
        let passed = Instant::now();
        incoming.expire_keys(passed + KEPT - Duration::from_secs(1));
        assert_eq!(open(&incoming, &early), Ok(false), "still held");
        incoming.expire_keys(passed + KEPT + Duration::from_secs(1));
        outgoing.expire_keys(passed + KEPT + Duration::from_secs(1));
        assert_eq!(open(&incoming, &late), Err(DropReason::Phase));
        assert_eq!(
            open(&incoming, &seal(&outgoing, PACKETS_PER_PHASE + 1)),
            Ok(true)
        );
        assert_eq!(
            open(&incoming, &seal(&outgoing, 2 * PACKETS_PER_PHASE)),
            Ok(true),
            "phases go on"
        );
    }

    #[test]
    fn strangers_have_a_small_budget() {
        let (outgoing, incoming) = pair();
        let (peer, stranger) = (
            "192.0.2.1:4600".parse().unwrap(),
            "192.0.2.1:4601".parse().unwrap(),
        );
        let at = Instant::now();
        let expect = |from, kind| incoming.expect_from(from, kind, at);
        assert_eq!(expect(stranger, PACKET), Ok(true));
        incoming.pair_with(Arc::new(outgoing));
        assert_eq!(expect(peer, PACKET), Ok(true));
        let opened = (0..1000)
            .filter(|_| expect(stranger, PACKET) == Ok(false))
            .count();
        assert!((1..100).contains(&opened), "{opened}");
        assert_eq!(expect(stranger, PACKET), Err(DropReason::OffPath));
        assert_eq!(expect(peer, PACKET), Ok(true));

        // No flood of data from a new address keeps away the echo that proves it.
        assert_eq!(expect(stranger, Kind::Probe), Ok(false));
        let opened = (0..1000)
            .filter(|_| expect(stranger, Kind::Probe) == Ok(false))
            .count();
        assert!((1..100).contains(&opened), "{opened}");
    }

    #[test]
    fn a_path_is_kept_in_its_plain_form() {
        let mapped = Path::new(
            "[::ffff:192.0.2.1]:4600".parse().unwrap(),
            Some("::ffff:192.0.2.9".parse().unwrap()),
        );
        assert_eq!(
            mapped,
            Path::new(
                "192.0.2.1:4600".parse().unwrap(),
                Some("192.0.2.9".parse().unwrap())
            )
        );
    }
}
