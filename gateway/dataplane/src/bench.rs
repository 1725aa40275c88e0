//! Entrances for benches/packets.rs to what is not public otherwise. Nothing else uses them.

use std::io::IoSlice;

use crate::coalesce::Coalesce;
use crate::counters::DropReason;
use crate::header::Checksum;
use crate::offload::{Cut, OFFLOAD_LEN, Pieces};
use crate::split::Split;
use crate::transport::Transport;

/// Bytes in front of each packet that [`join`] takes.
pub const HEADROOM: usize = OFFLOAD_LEN;

/// Cuts a TCP/IPv4 super-packet into pieces of `size` bytes of payload, written behind each other into `out`; gives how
/// many. Error: as the sending thread would drop it.
pub fn cut(packet: &mut [u8], size: usize, out: &mut [u8]) -> Result<usize, DropReason> {
    let cut = Cut {
        pieces: Pieces::TcpV4,
        header_len: 0,
        size,
    };
    let mut split = Split::new(packet, &cut, usize::MAX)?;
    let mut rest = out;
    for at in 0..split.count() {
        let (piece, behind) = rest.split_at_mut(split.len(at));
        split.write(at, piece);
        rest = behind;
    }
    Ok(split.count())
}

/// Joins packets that lie behind each other, each of `len` bytes with [`HEADROOM`] in front, and gives how many writes
/// to the TUN device it took.
pub fn join(packets: &mut [u8], len: usize, checksum: Checksum) -> usize {
    let mut writes = 0;
    let mut joined = Coalesce::new(true, |_: &[IoSlice<'_>], _| writes += 1);
    for packet in packets.chunks_exact_mut(HEADROOM + len) {
        let transport = Transport::locate(&packet[HEADROOM..]);
        joined.push(packet, checksum, transport);
    }
    joined.flush();
    writes
}
