//! [`Slice`]: an EndpointSlice, a part of a Service's endpoints.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Key, Meta, or_empty};

/// An EndpointSlice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct Slice {
    /// Namespace and name.
    pub key: Key,
    /// The version of this object.
    pub version: String,
    /// The Service that it belongs to; empty if it belongs to none.
    pub service: String,
    /// The endpoints with an address.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// It takes connections.
    pub is_ready: bool,
    /// The node that it is on, if one is named.
    pub node: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "or_empty")]
    endpoints: Vec<RawEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(default, deserialize_with = "or_empty")]
    addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    conditions: Conditions,
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

impl From<Raw> for Slice {
    fn from(raw: Raw) -> Slice {
        let mut meta = raw.metadata;

        Slice {
            key: meta.key(),
            version: meta.resource_version,
            service: meta.labels.service,
            endpoints: raw.endpoints.into_iter().filter_map(endpoint).collect(),
        }
    }
}

/// `None` without an address: of a slice of names (`addressType: FQDN`), for instance.
fn endpoint(raw: RawEndpoint) -> Option<Endpoint> {
    // All addresses of an endpoint lead to the same; the API has clients use the first.
    let address = raw.addresses.first()?.parse().ok()?;

    Some(Endpoint {
        address,
        // discovery.k8s.io/v1: left out, it means true. An endpoint that ends is not ready,
        // although it may serve for some time.
        is_ready: raw.conditions.ready.unwrap_or(true),
        node: raw.node_name,
    })
}
