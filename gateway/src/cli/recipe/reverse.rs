//! The reverse zones of a prefix (RFC 1035, section 3.5; RFC 3596, section 2.5).

use std::net::IpAddr;

use ringway_config::Prefix;

/// A reverse zone ends at an octet, or at a nibble for IPv6. A prefix in between has several zones.
pub(super) fn zones(prefix: &Prefix) -> Vec<String> {
    let (labels, width, suffix) = match prefix.address() {
        IpAddr::V4(v4) => (v4.octets().to_vec(), 8, "in-addr.arpa"),
        IpAddr::V6(v6) => {
            let nibbles = v6
                .octets()
                .into_iter()
                .flat_map(|byte| [byte >> 4, byte & 15]);
            (nibbles.collect(), 4, "ip6.arpa")
        }
    };
    let len = prefix.len();
    let count = usize::from(len.div_ceil(width));
    // Number of values of the last label.
    let values = 1u16 << (count as u8 * width - len);

    let is_ipv4 = prefix.is_ipv4();
    (0..values)
        .map(|value| {
            let mut zone = String::from(suffix);
            for (index, label) in labels[..count].iter().enumerate() {
                let last = index + 1 == count;
                let label = u16::from(*label) + if last { value } else { 0 };
                zone = if is_ipv4 {
                    format!("{label}.{zone}")
                } else {
                    format!("{label:x}.{zone}")
                };
            }
            zone
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_between_two_labels_have_several_zones() {
        let zones = |text: &str| zones(&text.parse().unwrap());
        assert_eq!(zones("10.1.0.0/16"), ["1.10.in-addr.arpa"]);
        assert_eq!(zones("10.1.2.3/32"), ["3.2.1.10.in-addr.arpa"]);
        let several = zones("10.1.16.0/20");
        assert_eq!(several.len(), 16);
        assert_eq!(
            (several[0].as_str(), several[15].as_str()),
            ("16.1.10.in-addr.arpa", "31.1.10.in-addr.arpa")
        );
        assert_eq!(zones("fd00:1::/48"), ["0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"]);
        assert_eq!(zones("fd00::/10").len(), 4);
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa"]);
    }
}
