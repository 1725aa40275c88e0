//! Sealed packets over a link that loses, repeats, delays and damages them: what is opened is what
//! was sealed, each packet once.
//!
//! Keys, phases and replay window are the real ones; the link is a list. The model that judges is a
//! set.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use ringway_dataplane::*;

/// What happens on the link.
#[derive(Debug, Clone)]
enum Step {
    /// A packet of so many bytes is sealed and sent.
    Seal(usize),
    /// A packet in flight arrives.
    Deliver(Index),
    /// A packet arrives, and stays in flight.
    Repeat(Index),
    Lose(Index),
    /// A packet arrives with one bit changed.
    Damage(Index, Index, u8),
    /// A packet arrives without its end.
    Cut(Index, Index),
    /// The header of one packet arrives before the payload of another.
    Splice(Index, Index),
    /// Every packet that was ever sent arrives again.
    Replay,
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        8 => (0usize..200).prop_map(Step::Seal),
        6 => index().prop_map(Step::Deliver),
        2 => index().prop_map(Step::Repeat),
        1 => index().prop_map(Step::Lose),
        1 => (index(), index(), 0u8..8)
            .prop_map(|(which, byte, bit)| Step::Damage(which, byte, 1 << bit)),
        1 => (index(), index()).prop_map(|(which, len)| Step::Cut(which, len)),
        1 => (index(), index()).prop_map(|(head, tail)| Step::Splice(head, tail)),
        1 => Just(Step::Replay),
    ]
}

/// Both ends and the link between.
struct World {
    outgoing: Outgoing,
    incoming: Incoming,
    /// Payloads, by packet number.
    sealed: Vec<Vec<u8>>,
    in_flight: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    opened: BTreeSet<u64>,
}

impl World {
    fn new(aead: Aead) -> World {
        // So short that a test goes through several phases.
        const PHASE: u64 = 20;
        let secret = Secret::new([7; 48]);
        let peer = Arc::new(Peer::new());
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let outgoing = Outgoing::new(9, aead, &secret, path, peer.clone())
            .with_phase_len(aead, &secret, PHASE);
        let incoming =
            Incoming::new(9, aead, &secret, SiteNo(1), peer).with_phase_len(aead, &secret, PHASE);
        World {
            outgoing,
            incoming,
            sealed: Vec::new(),
            in_flight: Vec::new(),
            sent: Vec::new(),
            opened: BTreeSet::new(),
        }
    }

    fn seal(&mut self, len: usize) {
        let number = self.outgoing.reserve(1).unwrap();
        let payload: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + number) as u8).collect();
        let mut datagram = vec![0; len + OVERHEAD];
        datagram[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&payload);
        self.outgoing
            .seal(Kind::Packet(Checksum::Complete), number, &mut datagram)
            .unwrap();
        self.sealed.push(payload);
        self.sent.push(datagram.clone());
        self.in_flight.push(datagram);
    }

    /// A packet that opens must have the payload that was sealed under its number, and open once.
    fn arrive(&mut self, mut datagram: Vec<u8>) -> Result<(), TestCaseError> {
        let Ok(header) = Header::decode(&datagram) else {
            return Ok(());
        };
        if header.index != 9 || self.incoming.open(&header, &mut datagram).is_err() {
            return Ok(());
        }
        let payload = &datagram[HEADER_LEN..datagram.len() - TAG_LEN];
        prop_assert_eq!(
            Some(payload),
            self.sealed.get(header.number as usize).map(Vec::as_slice)
        );
        prop_assert!(
            self.opened.insert(header.number),
            "packet {} twice",
            header.number
        );
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let at = |which: Index| which.index(self.in_flight.len());
        match step {
            Step::Seal(len) => self.seal(len),
            _ if self.in_flight.is_empty() => {}
            Step::Deliver(which) => {
                let at = at(which);
                let datagram = self.in_flight.swap_remove(at);
                self.arrive(datagram)?;
            }
            Step::Repeat(which) => self.arrive(self.in_flight[at(which)].clone())?,
            Step::Lose(which) => _ = self.in_flight.swap_remove(at(which)),
            Step::Damage(which, byte, bit) => {
                let mut datagram = self.in_flight[at(which)].clone();
                let byte = byte.index(datagram.len());
                datagram[byte] ^= bit;
                self.arrive(datagram)?;
            }
            Step::Cut(which, len) => {
                let mut datagram = self.in_flight[at(which)].clone();
                datagram.truncate(len.index(datagram.len()));
                self.arrive(datagram)?;
            }
            Step::Splice(head, tail) => {
                let (head, tail) = (&self.in_flight[at(head)], &self.in_flight[at(tail)]);
                let spliced = [&head[..HEADER_LEN], &tail[HEADER_LEN..]].concat();
                self.arrive(spliced)?;
            }
            Step::Replay => {
                for datagram in self.sent.clone() {
                    self.arrive(datagram)?;
                }
                self.in_flight.clear();
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_opened_twice_and_nothing_that_was_not_sealed(
        steps in proptest::collection::vec(any_step(), 1..400),
        aead in proptest::sample::select(vec![
            Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305,
        ]),
    ) {
        let mut world = World::new(aead);
        for step in steps {
            world.take(step)?;
        }
    }
}

#[test]
fn an_honest_link_delivers_everything() {
    let mut world = World::new(Aead::Aes128Gcm);
    for len in 0..1000 {
        world.seal(len % 200);
        let datagram = world.in_flight.pop().unwrap();
        world.arrive(datagram).unwrap();
    }
    assert_eq!(world.opened.len(), 1000);
}
