//! [`Service`]: a Service, and what its annotations ask for.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Key, Meta, or_empty};

/// How a Service is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// At an address inside the cluster, or at its endpoints (headless).
    #[default]
    ClusterIp,
    /// At a port of the nodes.
    NodePort,
    /// At an address that the cloud gives it.
    LoadBalancer,
    /// It is an alias of a name elsewhere.
    ExternalName,
}

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Service {
    /// Namespace and name.
    pub key: Key,
    /// The version of this object.
    pub version: String,
    /// When it was created: a time of RFC 3339 in UTC, which sorts as text.
    pub created: String,
    /// What its annotations say; `None` unless they give it a name.
    pub annotated: Option<Annotated>,
    /// How it is reached.
    pub kind: Kind,
    /// Nodes without an endpoint do not pass its packets on (`externalTrafficPolicy: Local`).
    pub is_local: bool,
    /// What the cloud gave it.
    pub ingress: Vec<Ingress>,
}

/// The annotations of a Service, as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotated {
    /// `ringway.io/name`.
    pub name: String,
    /// `ringway.io/address`.
    pub address: Option<String>,
    /// `ringway.io/from`.
    pub from: Option<String>,
}

/// One address of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingress {
    /// An address.
    Address(IpAddr),
    /// A name instead, or no address that can be read.
    Other(String),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "or_empty")]
    spec: Spec,
    #[serde(default, deserialize_with = "or_empty")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "type", deserialize_with = "or_empty")]
    kind: String,
    #[serde(deserialize_with = "or_empty")]
    external_traffic_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(deserialize_with = "or_empty")]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_empty")]
    ingress: Vec<RawIngress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawIngress {
    #[serde(deserialize_with = "or_empty")]
    ip: String,
    #[serde(deserialize_with = "or_empty")]
    hostname: String,
}

impl From<Raw> for Service {
    fn from(raw: Raw) -> Service {
        let mut meta = raw.metadata;
        let annotations = std::mem::take(&mut meta.annotations);
        let annotated = annotations.name.map(|name| Annotated {
            name,
            address: annotations.address,
            from: annotations.from,
        });
        let ingress = raw.status.load_balancer.ingress;

        Service {
            key: meta.key(),
            version: meta.resource_version,
            created: meta.creation_timestamp,
            annotated,
            kind: match raw.spec.kind.as_str() {
                "NodePort" => Kind::NodePort,
                "LoadBalancer" => Kind::LoadBalancer,
                "ExternalName" => Kind::ExternalName,
                // Left out, it is this one.
                _ => Kind::ClusterIp,
            },
            is_local: raw.spec.external_traffic_policy == "Local",
            ingress: ingress.into_iter().map(Ingress::from).collect(),
        }
    }
}

impl From<RawIngress> for Ingress {
    fn from(raw: RawIngress) -> Ingress {
        match raw.ip.parse() {
            Ok(address) => Ingress::Address(address),
            Err(_) if raw.ip.is_empty() => Ingress::Other(raw.hostname),
            Err(_) => Ingress::Other(raw.ip),
        }
    }
}
