//! [`Member`]: one organization as the consortium agreed on it, read from `<org>.member.toml`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::{Endpoint, GatewayName, OrgId, Place, Prefix, SiteId, Transit, Via, ZoneName};

/// A checked member record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The organization.
    pub org: OrgId,
    /// The consortium's domain; the organization's zone is `<org>.<domain>`.
    pub domain: ZoneName,
    /// Grows with each change of the record; 0 for a record of version 1, which has none.
    pub serial: u64,
    /// The organization's CA certificates, never empty. The gateway decodes them.
    pub roots: Vec<Root>,
    /// Its sites, in file order.
    pub sites: Vec<Site>,
    /// Its gateways, in file order.
    pub gateways: Vec<Gateway>,
    /// Sites of other organizations that its gateways may serve.
    pub transit: Vec<Transit>,
    /// Gateways and keys that it revoked.
    pub revoked: Revoked,
    /// SHA-256 of the file's bytes: the fingerprint that operators compare and `Hello` carries.
    pub digest: Digest,
    /// The whole file.
    pub place: Place,
}

impl Member {
    /// The site of that name.
    pub fn site(&self, name: &SiteId) -> Option<&Site> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// True if it lets its gateways serve `site` of `org`.
    pub fn consents_to(&self, org: &OrgId, site: &SiteId) -> bool {
        let mut transit = self.transit.iter();
        transit.any(|transit| transit.org == *org && transit.site == *site)
    }

    /// The gateway of that name.
    pub fn gateway(&self, name: &GatewayName) -> Option<&Gateway> {
        self.gateways.iter().find(|gateway| gateway.name == *name)
    }
}

/// One CA certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// One PEM block (RFC 7468).
    pub pem: String,
    /// Where the PEM block begins.
    pub place: Place,
}

impl Root {
    /// The digest of the certificate, as `openssl x509 -fingerprint -sha256` computes it. That of
    /// the text, if it is no PEM block.
    pub fn fingerprint(&self) -> Digest {
        let lines = self.pem.lines().filter(|line| !line.starts_with("-----"));
        let body: String = lines.map(str::trim).collect();

        match BASE64.decode(body.as_bytes()) {
            Ok(der) => Digest::of(&der),
            Err(_) => Digest::of(self.pem.as_bytes()),
        }
    }
}

/// One VPC, cluster network or data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name in the organization.
    pub name: SiteId,
    /// Its address ranges. Its gateways may announce no others but those of sites that are served
    /// via it.
    pub prefixes: Vec<PlacedPrefix>,
    /// The site whose gateways serve this one too; `None`: it has gateways of its own.
    pub via: Option<Via>,
}

/// A prefix and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedPrefix {
    /// The range.
    pub prefix: Prefix,
    /// Where it was written.
    pub place: Place,
}

/// One gateway that the organization runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name in the organization.
    pub name: GatewayName,
    /// The site it serves.
    pub site: SiteId,
    /// Where it can be dialled; without any, it only dials.
    pub endpoints: Vec<Endpoint>,
}

/// Gateways and keys that are no longer accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Gateways by name.
    pub gateways: BTreeSet<GatewayName>,
    /// Keys by the SHA-256 of their SubjectPublicKeyInfo.
    pub keys: BTreeSet<Digest>,
}

/// A SHA-256 digest, written `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not sha256: and 64 hexadecimal digits")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        parse_digest(text).ok_or_else(|| DigestError(text.into()))
    }
}

impl Digest {
    /// Reads the digest in a line of `sha256sum`, or a digest without `sha256:`.
    pub fn from_sum(line: &str) -> Result<Digest, DigestError> {
        let hex = line.split_whitespace().next().unwrap_or_default();
        // A file name with a backslash or a line break: the line begins with a backslash.
        let hex = hex.strip_prefix('\\').unwrap_or(hex);

        parse_hex(hex).ok_or_else(|| DigestError(line.into()))
    }
}

fn parse_digest(text: &str) -> Option<Digest> {
    parse_hex(text.strip_prefix("sha256:")?)
}

fn parse_hex(hex: &str) -> Option<Digest> {
    // `from_str_radix` alone would accept a sign.
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }

    let mut digest = [0; 32];
    for (i, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }

    Some(Digest(digest))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }

        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
