//! [`TrafficClass`]: the DSCP and ECN bits of an inner packet, copied to the outer header, and what
//! the outer ECN bits mean for the inner packet (RFC 6040, normal mode; RFC 2983, uniform outward).
//! Pure.
//!
//! ```text
//!   inner at egress │ outer: Not-ECT   ECT(0)    ECT(1)    CE
//!   ────────────────┼─────────────────────────────────────────────
//!   Not-ECT         │       Not-ECT    Not-ECT   Not-ECT   dropped
//!   ECT(0)          │       ECT(0)     ECT(0)    ECT(1)    CE
//!   ECT(1)          │       ECT(1)     ECT(1)    ECT(1)    CE
//!   CE              │       CE         CE        CE        CE
//! ```
//! The inner DSCP stays as its sender made it: the networks between may use the outer one as they
//! like.

use crate::checksum::add;
use crate::counters::DropReason;
use crate::ip::u16_at;

// The ECN field (RFC 3168, section 5).
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const CE: u8 = 3;
const ECN: u8 = 3;

/// The second byte of an IPv4 header, or IPv6's traffic class: DSCP and ECN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficClass(pub u8);

impl TrafficClass {
    /// That of an IP packet; bytes that are none have the default.
    pub(crate) fn of(packet: &[u8]) -> TrafficClass {
        match packet {
            [first, second, ..] if first >> 4 == 6 => TrafficClass(first << 4 | second >> 4),
            [_, second, ..] => TrafficClass(*second),
            _ => TrafficClass::default(),
        }
    }

    /// The two ECN bits.
    pub fn ecn(self) -> u8 {
        self.0 & ECN
    }
}

/// Gives `packet`, which `ip` has let through, the ECN bits that it must leave the tunnel with;
/// `outer` are those that it arrived with. Error: [`DropReason::Congestion`].
pub(crate) fn combine(packet: &mut [u8], outer: u8) -> Result<(), DropReason> {
    // RFC 6040, section 4.2.
    let inner = TrafficClass::of(packet).ecn();
    let combined = match (inner, outer & ECN) {
        (NOT_ECT, CE) => return Err(DropReason::Congestion),
        (NOT_ECT, _) => NOT_ECT,
        (CE, _) | (_, CE) => CE,
        (_, ECT_1) => ECT_1,
        (inner, _) => inner,
    };

    if combined != inner {
        set(packet, combined);
    }
    Ok(())
}

fn set(packet: &mut [u8], ecn: u8) {
    if packet[0] >> 4 == 6 {
        packet[1] = packet[1] & !(ECN << 4) | ecn << 4;
        return;
    }

    let before = u16_at(packet, 0) as u16;
    packet[1] = packet[1] & !ECN | ecn;
    let after = u16_at(packet, 0) as u16;

    // RFC 1624, section 3: a wrong checksum stays wrong.
    let old = !(u16_at(packet, 10) as u16);
    let new = !add(add(old, !before), after);
    packet[10..12].copy_from_slice(&new.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::craft::{any_shape, is_right};

    /// RFC 6040, figure 4: rows are inner, columns outer; `None` is a drop. Written down in its
    /// order of codepoints: Not-ECT, ECT(0), ECT(1), CE.
    const TABLE: [[Option<u8>; 4]; 4] = [
        [Some(0), Some(0), Some(0), None],
        [Some(2), Some(2), Some(1), Some(3)],
        [Some(1), Some(1), Some(1), Some(3)],
        [Some(3), Some(3), Some(3), Some(3)],
    ];

    /// Not-ECT, ECT(0), ECT(1), CE.
    const CODEPOINTS: [u8; 4] = [0, 2, 1, 3];

    proptest! {
        #[test]
        fn ecn_is_combined_by_the_table_and_nothing_else_changes(
            mut shape in any_shape(), dscp in 0u8..64, inner in 0usize..4, outer in 0usize..4,
            junk: u8,
        ) {
            shape.traffic_class = dscp << 2 | CODEPOINTS[inner];
            let before = shape.packet(b"payload");
            prop_assert_eq!(TrafficClass::of(&before), TrafficClass(shape.traffic_class));

            let mut packet = before.clone();
            // Only the ECN bits of the outer header count.
            let result = combine(&mut packet, junk & !3 | CODEPOINTS[outer]);
            let Some(expected) = TABLE[inner][outer] else {
                prop_assert_eq!(result, Err(DropReason::Congestion));
                return Ok(());
            };
            prop_assert_eq!(result, Ok(()));
            prop_assert!(is_right(&packet), "a wrong checksum");

            shape.traffic_class = dscp << 2 | expected;
            prop_assert_eq!(packet, shape.packet(b"payload"));
        }

        #[test]
        fn any_bytes_have_a_class(packet in proptest::collection::vec(any::<u8>(), 0..3)) {
            let _ = TrafficClass::of(&packet);
        }
    }
}
