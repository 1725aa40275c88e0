//! [`DnsName`]: the owner or the target of a DNS record.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::ZoneName;

/// An absolute DNS name in lowercase, without the final dot: `_peer._tcp.peer0.acme.example`.
///
/// Unlike a [`HostName`](crate::HostName) it may have underscores, as service names do (RFC 8552).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

/// Why a text is not a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of labels of 1 to 63 letters, digits, '-' and '_'")]
pub struct DnsNameError(String);

impl DnsNameError {
    pub(crate) fn of(text: &str) -> DnsNameError {
        DnsNameError(text.into())
    }
}

impl DnsName {
    /// The name in lowercase, without the final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this name is `apex` or below it.
    pub fn is_within(&self, apex: &ZoneName) -> bool {
        // A suffix counts only from the start of a label.
        self.0
            .strip_suffix(apex.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

/// The name of an address (RFC 1035, section 3.5; RFC 3596, section 2.5):
/// `11.0.1.10.in-addr.arpa`.
pub fn reverse_name(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(v4) => {
            for octet in v4.octets().iter().rev() {
                name.push_str(&format!("{octet}."));
            }
            name + "in-addr.arpa"
        }
        IpAddr::V6(v6) => {
            for octet in v6.octets().iter().rev() {
                // RFC 3596, section 2.5: the low half of an octet comes first.
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

impl FromStr for DnsName {
    type Err = DnsNameError;

    fn from_str(text: &str) -> Result<DnsName, DnsNameError> {
        // RFC 4343: names are compared without regard to case.
        let name = text.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);

        // RFC 1035, section 2.3.4: 255 octets on the wire, which are 253 characters in text.
        if name.len() <= 253 && name.split('.').all(is_label) {
            Ok(DnsName(name.into()))
        } else {
            Err(DnsNameError::of(text))
        }
    }
}

impl From<&ZoneName> for DnsName {
    fn from(name: &ZoneName) -> DnsName {
        DnsName(name.as_str().into())
    }
}

fn is_label(label: &str) -> bool {
    // Underscores are for service labels (RFC 2782); names of hosts have none.
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_reverse_name() {
        let name = |text: &str| reverse_name(text.parse().unwrap());
        assert_eq!(name("10.1.0.11"), "11.0.1.10.in-addr.arpa");
        assert_eq!(
            name("fd00:1::11"),
            "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"
        );
    }

    #[test]
    fn accepts_service_names_and_drops_the_final_dot() {
        let name: DnsName = "_Peer._tcp.peer0.Acme.example.".parse().unwrap();
        assert_eq!(name.as_str(), "_peer._tcp.peer0.acme.example");
    }

    #[test]
    fn refuses_labels_that_are_empty_too_long_or_have_other_characters() {
        let long_label = "x".repeat(64);
        let long_name = "x.".repeat(130);
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "ä",
            "*.a",
            &long_label,
            &long_name,
        ] {
            assert!(bad.parse::<DnsName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_within_its_apex_and_not_within_a_longer_label() {
        let apex: ZoneName = "acme.example".parse().unwrap();
        let is_within = |name: &str| name.parse::<DnsName>().unwrap().is_within(&apex);
        assert!(is_within("acme.example") && is_within("a.b.acme.example"));
        assert!(!is_within("xacme.example") && !is_within("example"));
    }
}
