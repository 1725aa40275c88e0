//! Sealed packets over a link that loses, repeats, delays and damages: what is opened is what was
//! sealed, each once.
//!
//! Keys, phases and replay window are the real ones; the link is a list. The model that judges is a
//! set.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use ringway_dataplane::*;

/// What the link does to the packets that are under way.
#[derive(Debug, Clone)]
enum Deed {
    /// One more packet of so many bytes is sealed.
    Seal(usize),
    /// One of them arrives; the others stay under way.
    Deliver(Index),
    /// One of them arrives, and stays under way as well.
    Repeat(Index),
    Lose(Index),
    /// A bit of one of them changes.
    Damage(Index, Index, u8),
    /// Part of one of them is cut off.
    Cut(Index, Index),
    /// The head of one of them stands before the rest of another.
    Splice(Index, Index),
    /// Everything that ever was under way arrives again.
    Replay,
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let index = any::<Index>;
    prop_oneof![
        8 => (0usize..200).prop_map(Deed::Seal),
        6 => index().prop_map(Deed::Deliver),
        2 => index().prop_map(Deed::Repeat),
        1 => index().prop_map(Deed::Lose),
        1 => (index(), index(), 0u8..8).prop_map(|(which, byte, bit)| Deed::Damage(which, byte, 1 << bit)),
        1 => (index(), index()).prop_map(|(which, len)| Deed::Cut(which, len)),
        1 => (index(), index()).prop_map(|(head, tail)| Deed::Splice(head, tail)),
        1 => Just(Deed::Replay),
    ]
}

/// Both ends and the link between.
struct World {
    outgoing: Outgoing,
    incoming: Incoming,
    /// What was sealed, by packet number.
    sealed: Vec<Vec<u8>>,
    under_way: Vec<Vec<u8>>,
    seen: Vec<Vec<u8>>,
    opened: BTreeSet<u64>,
}

impl World {
    fn new(aead: Aead) -> World {
        // Phases so short that a course has several of them.
        const PHASE: u64 = 20;
        let (secret, peer) = (Secret::new([7; 48]), Arc::new(Peer::new()));
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let outgoing = Outgoing::new(9, aead, &secret, path, peer.clone())
            .with_phase_len(aead, &secret, PHASE);
        let incoming =
            Incoming::new(9, aead, &secret, SiteNo(1), peer).with_phase_len(aead, &secret, PHASE);
        let (sealed, under_way, seen) = (Vec::new(), Vec::new(), Vec::new());
        World {
            outgoing,
            incoming,
            sealed,
            under_way,
            seen,
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
        self.seen.push(datagram.clone());
        self.under_way.push(datagram);
    }

    /// What opens must be what was sealed under that number, for the first time.
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

    fn happen(&mut self, deed: Deed) -> Result<(), TestCaseError> {
        let at = |which: Index| which.index(self.under_way.len());
        match deed {
            Deed::Seal(len) => self.seal(len),
            _ if self.under_way.is_empty() => {}
            Deed::Deliver(which) => {
                let at = at(which);
                let datagram = self.under_way.swap_remove(at);
                self.arrive(datagram)?;
            }
            Deed::Repeat(which) => self.arrive(self.under_way[at(which)].clone())?,
            Deed::Lose(which) => _ = self.under_way.swap_remove(at(which)),
            Deed::Damage(which, byte, bit) => {
                let mut datagram = self.under_way[at(which)].clone();
                let byte = byte.index(datagram.len());
                datagram[byte] ^= bit;
                self.arrive(datagram)?;
            }
            Deed::Cut(which, len) => {
                let mut datagram = self.under_way[at(which)].clone();
                datagram.truncate(len.index(datagram.len()));
                self.arrive(datagram)?;
            }
            Deed::Splice(head, tail) => {
                let (head, tail) = (&self.under_way[at(head)], &self.under_way[at(tail)]);
                let spliced = [&head[..HEADER_LEN], &tail[HEADER_LEN..]].concat();
                self.arrive(spliced)?;
            }
            Deed::Replay => {
                for datagram in self.seen.clone() {
                    self.arrive(datagram)?;
                }
                self.under_way.clear();
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_opened_twice_and_nothing_that_was_not_sealed(
        deeds in proptest::collection::vec(any_deed(), 1..400),
        aead in proptest::sample::select(vec![Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305]),
    ) {
        let mut world = World::new(aead);
        for deed in deeds {
            world.happen(deed)?;
        }
    }
}

#[test]
fn an_honest_link_delivers_everything() {
    let mut world = World::new(Aead::Aes128Gcm);
    for len in 0..1000 {
        world.seal(len % 200);
        let datagram = world.under_way.pop().unwrap();
        world.arrive(datagram).unwrap();
    }
    assert_eq!(world.opened.len(), 1000);
}
