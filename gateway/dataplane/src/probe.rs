//! Type-2 packets: a probe and its echo. They measure whether, and how fast, the data path works,
//! and prove that the peer receives at an address (a challenge).
//!
//! Owns their payload and how they are sent. When to probe, and what silence means, the control
//! plane decides.
//!
//! ```text
//!  0      1 .. 7      8                16
//!  +------+-----------+----------------+------------------+
//!  | kind | zero      | token (BE)     | padding, zeros   |     kind 0 = probe, 1 = echo
//!  +------+-----------+----------------+------------------+
//! ```
//! An echo repeats the token and never the padding, so that it is not longer than its probe.

use std::io;
use std::net::SocketAddr;

use crate::counters::DropReason;
use crate::header::{HEADER_LEN, Kind, OVERHEAD};
use crate::session::{Outgoing, Path};
use crate::traffic_class::TrafficClass;
use crate::udp::{self, Udp};

/// Bytes of the payload without padding.
const PAYLOAD_LEN: usize = 16;

/// The payload of a type-2 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Asks for an echo of this token.
    Request(u64),
    /// Answers the probe that had this token.
    Echo(u64),
}

impl Probe {
    pub(crate) fn encode(self) -> [u8; PAYLOAD_LEN] {
        let (kind, token) = match self {
            Probe::Request(token) => (0, token),
            Probe::Echo(token) => (1, token),
        };

        let mut payload = [0; PAYLOAD_LEN];
        payload[0] = kind;
        payload[8..].copy_from_slice(&token.to_be_bytes());
        payload
    }

    /// Error: [`DropReason::Malformed`].
    pub(crate) fn decode(payload: &[u8]) -> Result<Probe, DropReason> {
        let (fixed, _padding) = payload
            .split_first_chunk::<PAYLOAD_LEN>()
            .ok_or(DropReason::Malformed)?;

        let [kind, 0, 0, 0, 0, 0, 0, 0, token @ ..] = fixed else {
            return Err(DropReason::Malformed);
        };

        let token = u64::from_be_bytes(*token);
        match kind {
            0 => Ok(Probe::Request(token)),
            1 => Ok(Probe::Echo(token)),
            _ => Err(DropReason::Malformed),
        }
    }
}

/// Sends a probe with this token to the peer, or as a challenge to the address `to`. Any thread
/// may.
///
/// The echo arrives as [`crate::Event::Echo`] of the opposite direction. Errors: the socket's, and
/// `QuotaExceeded` when the session has used up its packet numbers.
pub fn send_probe<U: Udp>(
    udp: &U,
    outgoing: &Outgoing,
    token: u64,
    to: Option<SocketAddr>,
) -> io::Result<()> {
    let probe = Probe::Request(token);

    match to {
        Some(remote) => send(udp, outgoing, probe, &Path::new(remote, None)),
        None => {
            let datagram = seal(outgoing, probe, PAYLOAD_LEN + OVERHEAD)?;
            udp::send_along(udp, outgoing, &datagram, None, TrafficClass::default())
        }
    }
}

/// Sends a probe that makes an outer IP packet of `size` bytes, which reaches the peer whole or not
/// at all. Any thread may. Errors: as of [`send_probe`], and `EMSGSIZE` if this host's link takes
/// less.
pub fn send_padded_probe<U: Udp>(
    udp: &U,
    outgoing: &Outgoing,
    token: u64,
    size: u16,
) -> io::Result<()> {
    let path = outgoing.path();

    // The padding is zeros behind the token, sealed with it.
    let len = usize::from(size)
        .saturating_sub(path.headers())
        .max(PAYLOAD_LEN + OVERHEAD);

    let datagram = seal(outgoing, Probe::Request(token), len)?;
    udp.send_unfragmented(&path, &datagram)
}

/// Seals and sends one type-2 packet.
pub(crate) fn send<U: Udp>(
    udp: &U,
    outgoing: &Outgoing,
    probe: Probe,
    path: &Path,
) -> io::Result<()> {
    let datagram = seal(outgoing, probe, PAYLOAD_LEN + OVERHEAD)?;

    udp.send(path, &datagram, None)
}

/// A sealed type-2 packet of `len` bytes.
fn seal(outgoing: &Outgoing, probe: Probe, len: usize) -> io::Result<Vec<u8>> {
    let mut datagram = vec![0; len];
    datagram[HEADER_LEN..HEADER_LEN + PAYLOAD_LEN].copy_from_slice(&probe.encode());

    let number = outgoing.reserve(1).map_err(exhausted)?;
    outgoing
        .seal(Kind::Probe, number, &mut datagram)
        .map_err(exhausted)?;

    Ok(datagram)
}

fn exhausted(reason: DropReason) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_reads_back_and_may_be_padded() {
        for probe in [Probe::Request(0x0102_0304_0506_0708), Probe::Echo(u64::MAX)] {
            let mut payload = probe.encode().to_vec();
            assert_eq!(Probe::decode(&payload), Ok(probe));
            payload.resize(1400, 0);
            assert_eq!(Probe::decode(&payload), Ok(probe));
        }
    }

    #[test]
    fn a_payload_that_is_no_probe_is_refused() {
        let good = Probe::Request(7).encode();
        assert_eq!(Probe::decode(&good[..15]), Err(DropReason::Malformed));
        for at in 0..8 {
            let mut bad = good;
            bad[at] = 2;
            assert_eq!(Probe::decode(&bad), Err(DropReason::Malformed), "byte {at}");
        }
    }
}
