//! Names of organizations, sites, gateways and zones, checked once, when they are parsed.
//!
//! Every name is also a DNS label or name (RFC 1123, section 2.1, lowercase only), so that it needs
//! no escaping in a SPIFFE id, a zone apex and a file name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The label is empty or longer than 63 octets (RFC 1035, section 2.3.4).
    #[error("{0:?} must have 1 to 63 characters")]
    Length(String),
    /// The label has a character outside `a-z`, `0-9` and `-`, or a hyphen at an end.
    #[error("{0:?} may use only a-z, 0-9 and inner hyphens")]
    Character(String),
    /// The name has more than 253 characters or fewer than two labels.
    #[error("{0:?} is not a domain name such as consortium.example")]
    Domain(String),
    /// The text is not `<gateway>.<org>`.
    #[error("{0:?} is not <gateway>.<org>")]
    Gateway(String),
}

fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > 63 {
        return Err(NameError::Length(text.into()));
    }
    let is_allowed = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_allowed || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Character(text.into()));
    }

    Ok(())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_label(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label! {
    /// A member organization: one lowercase DNS label, 1 to 63 characters.
    OrgId
}
label! {
    /// A site (VPC, cluster network, data centre) of one organization: one lowercase DNS label.
    SiteId
}
label! {
    /// A gateway's name inside its organization: one lowercase DNS label.
    GatewayName
}
label! {
    /// An attached node's name inside its organization: one lowercase DNS label.
    NodeName
}
label! {
    /// A service that rules of the policy can name: one lowercase DNS label.
    ServiceName
}

/// What the names of an attached node begin with where those of a gateway and of its site stand. No
/// label has a colon, so that no file, certificate or message can give a gateway such a name.
const NODE: &str = "node:";

impl GatewayName {
    /// What stands for the gateway where an attached node is meant.
    pub fn of_node(node: &NodeName) -> GatewayName {
        GatewayName(format!("{NODE}{node}").into())
    }

    /// The attached node's name; `None` for a gateway's.
    pub fn node(&self) -> Option<&str> {
        self.0.strip_prefix(NODE)
    }
}

impl SiteId {
    /// What stands for the site where an attached node is meant.
    pub fn of_node(node: &NodeName) -> SiteId {
        SiteId(format!("{NODE}{node}").into())
    }

    /// True for an attached node's.
    pub fn is_node(&self) -> bool {
        self.0.starts_with(NODE)
    }
}

/// An absolute DNS name in lowercase, without the final dot: `consortium.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(Box<str>);

impl ZoneName {
    /// The name without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The zone of `org` under this domain: `<org>.<domain>`.
    pub fn zone_of(&self, org: &OrgId) -> ZoneName {
        ZoneName(format!("{org}.{self}").into())
    }

    /// True if `self` is `suffix` or a name below it.
    pub fn is_within(&self, suffix: &ZoneName) -> bool {
        match self.0.strip_suffix(suffix.as_str()) {
            // A suffix counts only from the start of a label.
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }
}

impl FromStr for ZoneName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        // RFC 1035, section 2.3.4. A single label would be a top-level domain.
        if text.len() > 253 || !text.contains('.') {
            return Err(NameError::Domain(text.into()));
        }
        for label in text.split('.') {
            check_label(label)?;
        }

        Ok(Self(text.into()))
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gateway of the consortium, written `<gateway>.<org>`, or an attached node of an organization,
/// written `node:<node>.<org>`.
///
/// Ordered bytewise by organization, then by name. Of two gateways that dial each other, the lower
/// one keeps its session (gateway/PROTOCOL.md).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId {
    /// The organization that runs it.
    pub org: OrgId,
    /// Its name inside the organization.
    pub name: GatewayName,
}

impl GatewayId {
    /// The attached node `node` of `org`.
    pub fn of_node(node: &NodeName, org: &OrgId) -> GatewayId {
        GatewayId {
            org: org.clone(),
            name: GatewayName::of_node(node),
        }
    }

    /// True for an attached node.
    pub fn is_node(&self) -> bool {
        self.name.node().is_some()
    }

    /// The SPIFFE id (SPIFFE-ID, section 2): `spiffe://<org>.<domain>/gateway/<name>`, or
    /// `spiffe://<org>.<domain>/node/<name>`.
    pub fn spiffe(&self, domain: &ZoneName) -> String {
        let (kind, name) = match self.name.node() {
            Some(node) => ("node", node),
            None => ("gateway", self.name.as_str()),
        };

        format!("spiffe://{}.{domain}/{kind}/{name}", self.org)
    }

    /// Reads a SPIFFE id of this consortium; `None` for anything that is not, byte for byte,
    /// what [`GatewayId::spiffe`] writes.
    pub fn from_spiffe(uri: &str, domain: &ZoneName) -> Option<GatewayId> {
        // Nothing is normalized: a URI that another parser would read as the same is refused, so
        // that two parts of a system cannot disagree about an identity.
        let (trust_domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        let org = trust_domain
            .strip_suffix(domain.as_str())?
            .strip_suffix('.')?;
        let name = match path.split_once('/')? {
            ("gateway", name) => name.parse().ok()?,
            ("node", name) => GatewayName::of_node(&name.parse().ok()?),
            _ => return None,
        };

        Some(GatewayId {
            org: org.parse().ok()?,
            name,
        })
    }
}

impl FromStr for GatewayId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, org) = text
            .split_once('.')
            .ok_or_else(|| NameError::Gateway(text.into()))?;
        Ok(Self {
            org: org.parse()?,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.org)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_labels_that_dns_would_refuse() {
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<OrgId>().is_err(), "{bad:?}");
        }
        assert!("org-1".parse::<OrgId>().is_ok());
    }

    #[test]
    fn a_spiffe_id_reads_back_only_as_it_was_written() {
        let domain: ZoneName = "consortium.example".parse().unwrap();
        let id: GatewayId = "gw.org1".parse().unwrap();
        let uri = "spiffe://org1.consortium.example/gateway/gw";
        assert_eq!(id.spiffe(&domain), uri);
        assert_eq!(GatewayId::from_spiffe(uri, &domain), Some(id));
        for bad in [
            "spiffe://ORG1.consortium.example/gateway/gw",
            "spiffe://org1.consortium.example:443/gateway/gw",
            "spiffe://org1.consortium.example/gateway/gw/",
            "spiffe://org1.consortium.example/gateway/%67w",
            "spiffe://org1.consortium.example/gateway/gw?x",
            "spiffe://org1consortium.example/gateway/gw",
            "spiffe://a.org1.consortium.example/gateway/gw",
            "https://org1.consortium.example/gateway/gw",
        ] {
            assert_eq!(GatewayId::from_spiffe(bad, &domain), None, "{bad}");
        }
    }

    #[test]
    fn a_node_is_never_taken_for_a_gateway() {
        let domain: ZoneName = "consortium.example".parse().unwrap();
        let org = "org1".parse().unwrap();
        let node = GatewayId::of_node(&"gw".parse().unwrap(), &org);
        let uri = "spiffe://org1.consortium.example/node/gw";
        assert_eq!(node.spiffe(&domain), uri);
        assert_eq!(GatewayId::from_spiffe(uri, &domain), Some(node.clone()));
        assert!(node.is_node());

        let gateway: GatewayId = "gw.org1".parse().unwrap();
        assert_ne!(node, gateway);
        assert!(!gateway.is_node());
        assert_eq!(node.to_string(), "node:gw.org1");
        assert!("node:gw.org1".parse::<GatewayId>().is_err());
        assert!("node:gw".parse::<SiteId>().is_err());
        for bad in ["gateway/node:gw", "node/node:gw", "node/gw/x", "nodes/gw"] {
            let uri = format!("spiffe://org1.consortium.example/{bad}");
            assert_eq!(GatewayId::from_spiffe(&uri, &domain), None, "{bad}");
        }
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below_it() {
        let zone: ZoneName = "org1.consortium.example.".parse().unwrap();
        let within = |name: &str| name.parse::<ZoneName>().unwrap().is_within(&zone);
        assert!(within("org1.consortium.example") && within("peer0.org1.consortium.example"));
        assert!(!within("xorg1.consortium.example") && !within("consortium.example"));
    }
}
