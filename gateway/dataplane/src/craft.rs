//! Packets for the tests of `split` and `coalesce`, with checksums taken word by word: nothing of
//! the code under test is used to make or to judge one.

use proptest::prelude::*;

/// What a packet is made of, besides its payload.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) v6: bool,
    pub(crate) tcp: bool,
    /// Of TCP, a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) id: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) traffic_class: u8,
    pub(crate) port: u16,
}

pub(crate) fn any_shape() -> impl Strategy<Value = Shape> {
    let options = prop_oneof![Just(0usize), Just(12), Just(40)]
        .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len));
    let sequence = prop_oneof![any::<u32>(), Just(u32::MAX - 5000)];
    let id = prop_oneof![any::<u16>(), Just(u16::MAX - 1)];
    (
        any::<(bool, bool, bool)>(),
        options,
        any::<(u8, u8, u16)>(),
        sequence,
        id,
    )
        .prop_map(
            |((v6, tcp, dont_fragment), options, (flags, traffic_class, port), sequence, id)| {
                Shape {
                    v6,
                    tcp,
                    options,
                    flags,
                    sequence,
                    id,
                    dont_fragment,
                    traffic_class,
                    port,
                }
            },
        )
}

impl Shape {
    /// Bytes of all headers.
    pub(crate) fn headers(&self) -> usize {
        self.start() + if self.tcp { 20 + self.options.len() } else { 8 }
    }

    fn start(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    /// The packet with this payload and complete checksums.
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let segment = (self.headers() - self.start() + payload.len()) as u16;
        let [high, low] = segment.to_be_bytes();
        let mut packet = if self.v6 {
            let [first, second] = [0x60 | self.traffic_class >> 4, self.traffic_class << 4 | 7];
            let next = if self.tcp { 6 } else { 17 };
            let fixed = [first, second, 1, 2, high, low, next, 64];
            [
                &fixed[..],
                &[0xfd, 0, 0, 1],
                &[9; 12],
                &[0xfd, 0, 0, 2],
                &[1; 12],
            ]
            .concat()
        } else {
            let [high, low] = (20 + segment).to_be_bytes();
            let [id_high, id_low] = self.id.to_be_bytes();
            let next = if self.tcp { 6 } else { 17 };
            let fragment = if self.dont_fragment { 0x40 } else { 0 };
            let fixed = [
                0x45,
                self.traffic_class,
                high,
                low,
                id_high,
                id_low,
                fragment,
                0,
                64,
                next,
                0,
                0,
            ];
            [&fixed[..], &[10, 1, 0, 1, 10, 2, 0, 1]].concat()
        };
        packet.extend([&self.port.to_be_bytes()[..], &[0x1b, 0x8a]].concat());
        if self.tcp {
            let words = (5 + self.options.len() / 4) as u8;
            packet.extend([&self.sequence.to_be_bytes()[..], &[1, 2, 3, 4]].concat());
            packet.extend([words << 4, self.flags, 0x12, 0x34, 0, 0, 0, 0]);
            packet.extend(&self.options);
        } else {
            packet.extend([high, low, 0, 0]);
        }
        packet.extend(payload);
        complete(&mut packet);
        packet
    }
}

/// The one's complement sum of RFC 1071, modulo 0xffff.
pub(crate) fn sum(bytes: impl IntoIterator<Item = u8>) -> u16 {
    let words = bytes
        .into_iter()
        .enumerate()
        .map(|(at, byte)| u32::from(byte) << if at % 2 == 0 { 8 } else { 0 });
    words.fold(0u32, |sum, word| (sum + word) % 0xffff) as u16
}

/// Puts the right checksums into a packet of [`Shape::packet`]'s kind.
pub(crate) fn complete(packet: &mut [u8]) {
    let (start, field) = fields(packet);
    if start == 20 {
        packet[10..12].fill(0);
        // What is not all zero has no sum of zero but of all ones (RFC 1624, section 3).
        let checksum = Some(!sum(packet[..20].iter().copied()))
            .filter(|sum| *sum != 0xffff)
            .unwrap_or(0);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    packet[field..field + 2].fill(0);
    let checksum = Some(!covered(packet))
        .filter(|checksum| *checksum != 0)
        .unwrap_or(0xffff);
    packet[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Leaves the sum of the pseudo-header in place of the checksum.
pub(crate) fn make_partial(packet: &mut [u8]) {
    let (_, field) = fields(packet);
    let partial = sum(pseudo(packet));
    packet[field..field + 2].copy_from_slice(&partial.to_be_bytes());
}

/// True if both checksums are right.
pub(crate) fn is_right(packet: &[u8]) -> bool {
    let header = fields(packet).0 != 20 || sum(packet[..20].iter().copied()) == 0;
    header && covered(packet) == 0
}

/// Pseudo-header, header and payload, modulo 0xffff.
fn covered(packet: &[u8]) -> u16 {
    let segment = packet[fields(packet).0..].iter().copied();
    sum(pseudo(packet).into_iter().chain(segment))
}

fn pseudo(packet: &[u8]) -> Vec<u8> {
    let (start, _) = fields(packet);
    let len = ((packet.len() - start) as u16).to_be_bytes();
    let (addresses, next) = if start == 40 {
        (8..40, packet[6])
    } else {
        (12..20, packet[9])
    };
    [&packet[addresses], &[0, next], &len].concat()
}

/// Where the transport header starts, and where its checksum lies.
fn fields(packet: &[u8]) -> (usize, usize) {
    let (start, next) = if packet[0] >> 4 == 6 {
        (40, packet[6])
    } else {
        (20, packet[9])
    };
    (start, start + if next == 6 { 16 } else { 6 })
}
