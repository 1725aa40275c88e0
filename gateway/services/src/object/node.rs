//! [`Node`]: a node, at whose addresses a Service of type NodePort is reached.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Key, Meta, or_empty};

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Node {
    /// Its name.
    pub key: Key,
    /// The version of this object.
    pub version: String,
    /// Its kubelet says that it works.
    pub is_ready: bool,
    /// Load balancers are to leave it out.
    pub is_excluded: bool,
    /// Its addresses inside the site (`InternalIP`).
    pub addresses: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "or_empty")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_empty")]
    addresses: Vec<Address>,
    #[serde(deserialize_with = "or_empty")]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<Raw> for Node {
    fn from(raw: Raw) -> Node {
        let mut meta = raw.metadata;
        let conditions = &raw.status.conditions;
        let addresses = raw.status.addresses.iter();

        Node {
            key: meta.key(),
            version: meta.resource_version,
            is_ready: conditions
                .iter()
                .any(|condition| condition.kind == "Ready" && condition.status == "True"),
            is_excluded: meta.labels.excluded.is_some(),
            addresses: addresses
                .filter(|address| address.kind == "InternalIP")
                .filter_map(|address| address.address.parse().ok())
                .collect(),
        }
    }
}
