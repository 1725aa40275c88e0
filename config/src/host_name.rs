//! [`HostName`]: the name of a host as it is looked up in the DNS or in `/etc/hosts`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One or more labels of letters, digits and inner hyphens (RFC 1123, section 2.1), in lowercase.
///
/// An address in dotted form is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name: labels of 1 to 63 letters, digits and inner hyphens")]
pub struct HostNameError(String);

impl HostName {
    /// The name in lowercase.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<HostName, HostNameError> {
        // RFC 1123, section 2.1: the last label is never all digits, so that a name and an IPv4
        // address can be told apart. 203.0.113.999 is a mistyped address.
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|b| b.is_ascii_digit());

        // RFC 1035, section 2.3.4: 255 octets on the wire, which are 253 characters in text.
        if text.len() <= 253 && text.split('.').all(is_label) && !is_number {
            // RFC 4343: names are compared without regard to case.
            Ok(HostName(text.to_ascii_lowercase().into()))
        } else {
            Err(HostNameError(text.into()))
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_and_keeps_them_in_lowercase() {
        for (text, name) in [
            ("GW.Example.org", "gw.example.org"),
            ("gateway", "gateway"),
            ("1and1.example", "1and1.example"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_labels_that_no_host_has_and_mistyped_addresses() {
        let long_label = "x".repeat(64);
        let long_name = "x.".repeat(127) + "x";
        for bad in [
            "",
            "-a",
            "a-",
            "a_b",
            "a..b",
            "a.",
            "a b",
            "203.0.113.999",
            "7",
            &long_label,
            &long_name,
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }
}
