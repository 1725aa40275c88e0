//! The API server's objects, reduced to the few fields from which names are made.
//!
//! Each type is read from the JSON of the API: `Service` (core/v1), `EndpointSlice`
//! (discovery.k8s.io/v1), `Node` (core/v1). A field that the API leaves out or writes as `null`
//! counts as empty.

mod node;
mod service;
mod slice;

use std::fmt;

use ringway_config::Escaped;
use serde::{Deserialize, Deserializer};

pub use node::Node;
pub use service::{Annotated, Ingress, Kind, Service};
pub use slice::{Endpoint, Slice};

/// Namespace and name. A node's namespace is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Escaped(&self.namespace), Escaped(&self.name))
    }
}

/// An object of any kind that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// A part of a Service's endpoints.
    Slice(Slice),
    /// A node.
    Node(Node),
}

impl Object {
    /// Namespace and name.
    pub fn key(&self) -> &Key {
        match self {
            Object::Service(service) => &service.key,
            Object::Slice(slice) => &slice.key,
            Object::Node(node) => &node.key,
        }
    }

    /// How much of [`WEIGHT`](crate::limits::WEIGHT) it takes; 0 if there is no use for it.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Object::Service(service) => usize::from(service.annotated.is_some()),
            Object::Slice(slice) if slice.service.is_empty() => 0,
            Object::Slice(slice) => 1 + slice.endpoints.len(),
            Object::Node(_) => 1,
        }
    }
}

/// `metadata` of every object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    #[serde(deserialize_with = "or_empty")]
    name: String,
    #[serde(deserialize_with = "or_empty")]
    namespace: String,
    #[serde(deserialize_with = "or_empty")]
    creation_timestamp: String,
    #[serde(deserialize_with = "or_empty")]
    resource_version: String,
    #[serde(deserialize_with = "or_empty")]
    labels: Labels,
    #[serde(deserialize_with = "or_empty")]
    annotations: Annotations,
}

/// Other labels are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name")]
    service: String,
    /// Its presence counts, whatever its value.
    #[serde(rename = "node.kubernetes.io/exclude-from-external-load-balancers")]
    excluded: Option<String>,
}

/// Other annotations are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "ringway.io/name")]
    name: Option<String>,
    #[serde(rename = "ringway.io/address")]
    address: Option<String>,
    #[serde(rename = "ringway.io/from")]
    from: Option<String>,
}

impl Meta {
    fn key(&mut self) -> Key {
        Key {
            namespace: std::mem::take(&mut self.namespace),
            name: std::mem::take(&mut self.name),
        }
    }
}

/// `null` is what the API writes for some empty values.
fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let value = Option::<T>::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}
