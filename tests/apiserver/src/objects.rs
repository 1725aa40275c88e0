//! [`Objects`]: what the server stores, and what has happened to it, in versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Plural, namespace and name.
type Id = (&'static str, String, String);

#[derive(Default)]
pub(crate) struct Objects {
    version: u64,
    /// Versions before are too old to be watched from.
    oldest: u64,
    by_id: BTreeMap<Id, Value>,
    history: Vec<Happened>,
}

/// One event of a watch.
#[derive(Clone)]
pub(crate) struct Happened {
    pub(crate) version: u64,
    /// `None`: a bookmark, for every watch.
    pub(crate) of: Option<Id>,
    pub(crate) event: Option<Value>,
}

impl Objects {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn is_too_old(&self, version: u64) -> bool {
        version < self.oldest
    }

    pub(crate) fn put(&mut self, mut object: Value) {
        let id = id(&object);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());

        let before = self.by_id.insert(id.clone(), object.clone());
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.note(Some(id), Some(json!({"type": kind, "object": object})));
    }

    pub(crate) fn delete(&mut self, object: &Value) {
        let id = id(object);
        let Some(mut object) = self.by_id.remove(&id) else {
            return;
        };

        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.note(Some(id), Some(json!({"type": "DELETED", "object": object})));
    }

    pub(crate) fn bookmark(&mut self) {
        self.version += 1;

        self.note(None, None);
    }

    pub(crate) fn compact(&mut self) {
        self.oldest = self.version;
        self.history.clear();
    }

    fn note(&mut self, of: Option<Id>, event: Option<Value>) {
        self.history.push(Happened {
            version: self.version,
            of,
            event,
        });
    }

    /// The objects of a kind, of one namespace or all, with these labels, in order.
    pub(crate) fn list(&self, plural: &str, namespace: &str, selector: &str) -> Vec<Value> {
        let here = self
            .by_id
            .iter()
            .filter(|((of, at, _), _)| *of == plural && at == namespace);
        here.map(|(_, object)| object)
            .filter(|object| has_label(object, selector))
            .cloned()
            .collect()
    }

    /// What has happened after `version`.
    pub(crate) fn since(&self, version: u64, plural: &str, namespace: &str) -> Vec<Happened> {
        let later = self
            .history
            .iter()
            .filter(|happened| happened.version > version);
        later
            .filter(|happened| match &happened.of {
                Some((of, at, _)) => *of == plural && at == namespace,
                None => true,
            })
            .cloned()
            .collect()
    }
}

/// `key=value`, or nothing, which all objects have.
pub(crate) fn has_label(object: &Value, selector: &str) -> bool {
    let Some((key, value)) = selector.split_once('=') else {
        return true;
    };

    object["metadata"]["labels"][key] == value
}

fn id(object: &Value) -> Id {
    let plural = match object["kind"].as_str() {
        Some("Service") => "services",
        Some("EndpointSlice") => "endpointslices",
        _ => "nodes",
    };
    let text = |key: &str| {
        object["metadata"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };

    (plural, text("namespace"), text("name"))
}
