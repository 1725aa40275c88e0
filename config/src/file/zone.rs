//! [`Zone`]: how names in `[[dns.host]]`, `[[dns.record]]` and annotations become absolute.

use crate::dns_name::DnsNameError;
use crate::{DnsName, OrgId, ZoneName};

/// This organization's zone and the consortium's domain above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The zone's own name.
    pub apex: ZoneName,
    domain: ZoneName,
}

impl Zone {
    /// The zone of `org` below the consortium's `domain`.
    pub fn new(org: &OrgId, domain: &ZoneName) -> Zone {
        Zone {
            apex: domain.zone_of(org),
            domain: domain.clone(),
        }
    }

    /// Reads a name as an operator writes it: `@` is the zone itself; a name with a final dot or
    /// below the consortium's domain is absolute; any other is relative to the zone.
    pub fn absolute(&self, text: &str) -> Result<DnsName, DnsNameError> {
        if text == "@" {
            return Ok(DnsName::from(&self.apex));
        }

        // Errors quote what was written, not the name that it was completed to.
        let name: DnsName = text.parse().map_err(|_| DnsNameError::of(text))?;
        if text.ends_with('.') || name.is_within(&self.domain) {
            return Ok(name);
        }

        format!("{name}.{}", self.apex)
            .parse()
            .map_err(|_| DnsNameError::of(text))
    }

    /// True if `name` is the zone itself or below it.
    pub fn holds(&self, name: &DnsName) -> bool {
        name.is_within(&self.apex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_relative_unless_it_says_where_it_ends() {
        let zone = Zone::new(
            &"acme".parse().unwrap(),
            &"consortium.example".parse().unwrap(),
        );
        for (text, name) in [
            ("@", "acme.consortium.example"),
            ("Peer0", "peer0.acme.consortium.example"),
            ("peer0.west", "peer0.west.acme.consortium.example"),
            (
                "peer0.acme.consortium.example",
                "peer0.acme.consortium.example",
            ),
            (
                "peer0.beta.consortium.example",
                "peer0.beta.consortium.example",
            ),
            ("www.example.org.", "www.example.org"),
        ] {
            assert_eq!(zone.absolute(text).unwrap().as_str(), name, "{text}");
        }
        let long = "x.".repeat(126) + "x";
        for bad in ["", ".", "a..b", "-a", "a b", "ä", &long] {
            assert!(zone.absolute(bad).is_err(), "{bad:?}");
        }
    }
}
