//! [`Kind`]: what is asked of the API server, and how its objects are read.

use kube::core::{Request, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::Change;
use crate::object::{Key, Node, Object, Service, Slice};

/// A kind of objects.
pub(crate) trait Kind: DeserializeOwned + Clone + Send + Sync + 'static {
    /// The path of its objects in `namespace`.
    fn path(namespace: &str) -> String;

    fn key(&self) -> &Key;

    fn version(&self) -> &str;

    fn into_object(self) -> Object;
}

impl Kind for Service {
    fn path(namespace: &str) -> String {
        format!("/api/v1/namespaces/{namespace}/services")
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn into_object(self) -> Object {
        Object::Service(self)
    }
}

impl Kind for Slice {
    fn path(namespace: &str) -> String {
        format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn into_object(self) -> Object {
        Object::Slice(self)
    }
}

impl Kind for Node {
    /// Nodes are in no namespace.
    fn path(_: &str) -> String {
        "/api/v1/nodes".to_owned()
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn into_object(self) -> Object {
        Object::Node(self)
    }
}

/// Requests for objects of kind `K` in `namespace`.
pub(crate) fn requests<K: Kind>(namespace: &str) -> Request {
    Request::new(K::path(namespace))
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<K> {
    #[serde(default)]
    pub(crate) metadata: PageMeta,
    // `null` stands for an empty list.
    pub(crate) items: Option<Vec<K>>,
}

/// Where a list goes on, and which version it shows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMeta {
    #[serde(rename = "continue")]
    pub(crate) next: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// What an event of a watch says, and the version after it.
pub(crate) enum Heard {
    Changed(Box<Change>, String),
    Bookmark(String),
    Failed(Box<kube::core::Status>),
}

impl Heard {
    pub(crate) fn of<K: Kind>(event: WatchEvent<K>) -> Heard {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = object.version().to_owned();
                Heard::Changed(Box::new(Change::Applied(object.into_object())), version)
            }
            WatchEvent::Deleted(object) => {
                let version = object.version().to_owned();
                Heard::Changed(Box::new(Change::Deleted(object.key().clone())), version)
            }
            WatchEvent::Bookmark(bookmark) => Heard::Bookmark(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => Heard::Failed(status),
        }
    }
}
