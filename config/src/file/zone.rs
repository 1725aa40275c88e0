//! [`Zone`]: how names in `[[dns.host]]` and `[[dns.record]]` become absolute.

use crate::{OrgId, ZoneName};

/// The own zone and the consortium's domain.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) apex: String,
    domain: String,
}

impl Zone {
    pub(crate) fn new(org: &OrgId, domain: &ZoneName) -> Zone {
        Zone {
            apex: domain.zone_of(org).to_string(),
            domain: domain.to_string(),
        }
    }

    /// `@` is the zone itself; a name with a final dot or below the consortium's domain is absolute, any
    /// other stands below the zone. Lowercase, without the final dot.
    pub(crate) fn absolute(&self, text: &str) -> Result<String, String> {
        let name = text.to_ascii_lowercase();
        let name = match name.strip_suffix('.') {
            Some(absolute) => absolute.to_owned(),
            None if name == "@" => self.apex.clone(),
            None if is_below(&name, &self.domain) => name,
            None => format!("{name}.{}", self.apex),
        };
        match name.len() <= 253 && name.split('.').all(is_label) {
            true => Ok(name),
            false => Err(format!(
                "{text:?} is no name of labels of 1 to 63 letters, digits, '-' and '_'"
            )),
        }
    }

    /// True if `name` is the zone itself or below it.
    pub(crate) fn holds(&self, name: &str) -> bool {
        is_below(name, &self.apex)
    }
}

/// True if `name` is `suffix` or below it.
pub(crate) fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// RFC 1035, section 2.3.1, and the underscore of service names (RFC 8552).
pub(crate) fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let ends = !label.starts_with('-') && !label.ends_with('-');
    (1..=63).contains(&label.len()) && ends && label.bytes().all(inner)
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
        let absolute = |text: &str| zone.absolute(text).unwrap();
        assert_eq!(absolute("@"), "acme.consortium.example");
        assert_eq!(absolute("Peer0"), "peer0.acme.consortium.example");
        assert_eq!(absolute("peer0.west"), "peer0.west.acme.consortium.example");
        assert_eq!(
            absolute("peer0.acme.consortium.example"),
            "peer0.acme.consortium.example"
        );
        assert_eq!(
            absolute("peer0.beta.consortium.example"),
            "peer0.beta.consortium.example"
        );
        assert_eq!(absolute("www.example.org."), "www.example.org");
        assert!(zone.holds("acme.consortium.example") && !zone.holds("xacme.consortium.example"));
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a b",
            "ä",
            &"x".repeat(64),
            &"x.".repeat(130),
        ] {
            assert!(zone.absolute(bad).is_err(), "{bad:?}");
        }
    }
}
