//! [`Packet`]: a buffer that an opened packet is put into and that the TUN device may append others to.

use tun_rs::{ExpandBuffer, VIRTIO_NET_HDR_LEN};

/// Bytes in front of the packet, for the header that the TUN device takes.
pub(crate) const HEADROOM: usize = VIRTIO_NET_HDR_LEN;

/// The largest IP packet, and twice the headroom, which tun-rs asks for when it coalesces.
const CAPACITY: usize = 0xffff + 2 * HEADROOM;

/// Headroom and one IP packet. Its memory is touched as far as packets have filled it.
pub(crate) struct Packet {
    bytes: Box<[u8]>,
    len: usize,
}

impl Packet {
    pub(crate) fn new() -> Packet {
        Packet { bytes: vec![0; CAPACITY].into(), len: HEADROOM }
    }

    /// Room for a packet of `len` bytes; what it holds is what was there before.
    pub(crate) fn make_room(&mut self, len: usize) -> &mut [u8] {
        self.len = HEADROOM + len;
        &mut self.bytes[HEADROOM..HEADROOM + len]
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsMut<[u8]> for Packet {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl ExpandBuffer for Packet {
    fn buf_capacity(&self) -> usize {
        CAPACITY
    }

    fn buf_resize(&mut self, new_len: usize, value: u8) {
        let old = self.len.min(new_len);
        self.bytes[old..new_len].fill(value);
        self.len = new_len;
    }

    fn buf_extend_from_slice(&mut self, extend: &[u8]) {
        let end = self.len + extend.len();
        self.bytes[self.len..end].copy_from_slice(extend);
        self.len = end;
    }
}
