//! [`FlowKey`]: what makes two packets one flow, seen from our side.

use std::net::SocketAddr;

use crate::packet::{Bits, address, bits};
use crate::record::FlowProtocol;
use crate::sip::{self, Tail};

/// Addresses, ports and protocol; `local` is the host of our site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    pub(crate) v6: bool,
    pub(crate) protocol: FlowProtocol,
    pub(crate) local: Bits,
    pub(crate) remote: Bits,
    /// For echo: the identifier.
    pub(crate) local_port: u16,
    /// For echo: 0.
    pub(crate) remote_port: u16,
}

/// The words of a key as the table keeps them. The last one leaves room for an owner.
pub(super) type KeyWords = [u64; 5];

/// Bits of the last word that are the owner's: its lowest.
const OWNER_BITS: u32 = 24;
pub(super) const OWNER: u64 = (1 << OWNER_BITS) - 1;

const V6: u64 = 0x80;

impl FlowKey {
    /// The key of a pair of sockets; `None` if they are of two families.
    pub(crate) fn of(
        protocol: FlowProtocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Self> {
        let (v6, local_bits) = bits(local.ip());
        let (remote_v6, remote_bits) = bits(remote.ip());
        (v6 == remote_v6).then_some(FlowKey {
            v6,
            protocol,
            local: local_bits,
            remote: remote_bits,
            local_port: local.port(),
            remote_port: remote.port(),
        })
    }

    pub(crate) fn local_socket(&self) -> SocketAddr {
        (address(self.v6, self.local), self.local_port).into()
    }

    pub(crate) fn remote_socket(&self) -> SocketAddr {
        (address(self.v6, self.remote), self.remote_port).into()
    }

    #[inline(always)]
    pub(super) fn words(&self) -> KeyWords {
        [
            (self.local >> 64) as u64,
            self.local as u64,
            (self.remote >> 64) as u64,
            self.remote as u64,
            u64::from(self.local_port) << 48
                | u64::from(self.remote_port) << 32
                | self.kind() << 24,
        ]
    }

    pub(super) fn from_words(words: &KeyWords) -> Option<FlowKey> {
        let kind = words[4] >> 24 & 0xff;
        let protocol = match kind & !V6 {
            1 => FlowProtocol::Tcp,
            2 => FlowProtocol::Udp,
            3 => FlowProtocol::Echo,
            // No key has kind 0: the place is empty.
            _ => return None,
        };

        Some(FlowKey {
            v6: kind & V6 != 0,
            protocol,
            local: Bits::from(words[0]) << 64 | Bits::from(words[1]),
            remote: Bits::from(words[2]) << 64 | Bits::from(words[3]),
            local_port: (words[4] >> 48) as u16,
            remote_port: (words[4] >> 32) as u16,
        })
    }

    /// Never 0, so that an empty place matches no key.
    #[inline(always)]
    fn kind(&self) -> u64 {
        let protocol = match self.protocol {
            FlowProtocol::Tcp => 1,
            FlowProtocol::Udp => 2,
            FlowProtocol::Echo => 3,
        };
        protocol | if self.v6 { V6 } else { 0 }
    }

    /// A number for the local address, by which its places are counted.
    pub(super) fn local_owner(&self, secret: &[u64; 2]) -> u32 {
        let words = self.words();
        (sip::hash(secret, &[words[0], words[1]], Tail::NONE) & OWNER) as u32
    }
}

/// A hash that nobody can predict without the secret.
#[inline(always)]
pub(super) fn hash(v6: bool, words: &KeyWords, secret: &[u64; 2]) -> u64 {
    // Ports and kind; the kind says the family.
    let tail = Tail {
        bytes: words[4] >> OWNER_BITS,
        len: 5,
    };

    if v6 {
        sip::hash(secret, &[words[0], words[1], words[2], words[3]], tail)
    } else {
        // Both addresses fit one word.
        sip::hash(secret, &[words[1] << 32 | words[3]], tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_all_of_a_key() {
        let local: SocketAddr = "10.1.0.1:40000".parse().unwrap();
        let remote: SocketAddr = "10.2.0.9:7051".parse().unwrap();
        let local6: SocketAddr = "[::ffff:10.1.0.1]:40000".parse().unwrap();
        let remote6: SocketAddr = "[::10.2.0.9]:7051".parse().unwrap();

        let mut hashes = Vec::new();
        for protocol in [FlowProtocol::Tcp, FlowProtocol::Udp, FlowProtocol::Echo] {
            for (local, remote) in [(local, remote), (remote, local), (local6, remote6)] {
                let key = FlowKey::of(protocol, local, remote).unwrap();
                assert_eq!(FlowKey::from_words(&key.words()), Some(key));
                assert_eq!((key.local_socket(), key.remote_socket()), (local, remote));
                hashes.push(hash(key.v6, &key.words(), &[1; 2]));
                hashes.push(hash(key.v6, &key.words(), &[2; 2]));
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 18);
        assert_eq!(FlowKey::of(FlowProtocol::Tcp, local, remote6), None);
    }
}
