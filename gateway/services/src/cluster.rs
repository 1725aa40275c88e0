//! [`Cluster`]: the known objects of a cluster. Each source lists its objects and then reports
//! changes. A new list replaces the known objects only once it is complete, so that names stay
//! while an API server lists again.

use std::collections::BTreeMap;

use crate::limits;
use crate::object::{Key, Node, Object, Service, Slice};

/// Where objects come from: the objects of one kind, in one namespace.
pub type Source = usize;

/// What a source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A list begins.
    Listing,
    /// An object of the list.
    Listed(Object),
    /// The list is complete: whatever is not in it is gone.
    Complete,
    /// An object is there, or has changed.
    Applied(Object),
    /// An object is gone.
    Deleted(Key),
}

/// The objects of all sources.
#[derive(Debug)]
pub struct Cluster {
    sources: Vec<Collection>,
    has_nodes: bool,
}

/// The objects of one source.
#[derive(Debug, Default)]
struct Collection {
    /// `None` before the first list is complete.
    current: Option<Objects>,
    /// The list that is under way.
    next: Objects,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<Key, Object>,
    weight: usize,
    /// Some did not fit.
    is_cut: bool,
}

impl Cluster {
    /// Nothing is known of any of `sources`. Nodes are among them if `has_nodes`.
    pub fn new(sources: usize, has_nodes: bool) -> Cluster {
        Cluster {
            sources: (0..sources).map(|_| Collection::default()).collect(),
            has_nodes,
        }
    }

    /// `source` says this. True if names may be others now.
    pub fn apply(&mut self, source: Source, change: Change) -> bool {
        let Some(collection) = self.sources.get_mut(source) else {
            return false;
        };

        collection.apply(change)
    }

    /// True once every source has been listed: before, names would be missing.
    pub fn is_complete(&self) -> bool {
        let mut sources = self.sources.iter();
        sources.all(|source| source.current.is_some())
    }

    /// True if there are more objects than are kept.
    pub fn is_cut(&self) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| {
            source
                .current
                .as_ref()
                .is_some_and(|objects| objects.is_cut)
        })
    }

    /// The Services that ask for names.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.objects().filter_map(|object| match object {
            Object::Service(service) => Some(service),
            _ => None,
        })
    }

    pub(crate) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.objects().filter_map(|object| match object {
            Object::Slice(slice) => Some(slice),
            _ => None,
        })
    }

    /// `None` if nodes are not watched.
    pub(crate) fn nodes(&self) -> Option<impl Iterator<Item = &Node>> {
        self.has_nodes.then(|| {
            self.objects().filter_map(|object| match object {
                Object::Node(node) => Some(node),
                _ => None,
            })
        })
    }

    fn objects(&self) -> impl Iterator<Item = &Object> {
        let current = self
            .sources
            .iter()
            .filter_map(|source| source.current.as_ref());
        current.flat_map(|objects| objects.by_key.values())
    }
}

impl Collection {
    fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Listing => {
                self.next = Objects::default();
                false
            }
            Change::Listed(object) => {
                self.next.insert(object);
                false
            }
            Change::Complete => {
                self.current = Some(std::mem::take(&mut self.next));
                true
            }
            Change::Applied(object) => self
                .current
                .as_mut()
                .is_some_and(|objects| objects.insert(object)),
            Change::Deleted(key) => self
                .current
                .as_mut()
                .is_some_and(|objects| objects.remove(&key)),
        }
    }
}

impl Objects {
    /// True if something has changed.
    fn insert(&mut self, object: Object) -> bool {
        let known = self.by_key.get(object.key());
        if known == Some(&object) {
            return false;
        }

        let had_it = self.remove(&object.key().clone());
        let weight = object.weight();
        if weight == 0 {
            return had_it;
        }
        if self.weight + weight > limits::WEIGHT {
            self.is_cut = true;
            return had_it;
        }
        self.weight += weight;
        self.by_key.insert(object.key().clone(), object);
        true
    }

    fn remove(&mut self, key: &Key) -> bool {
        let Some(object) = self.by_key.remove(key) else {
            return false;
        };

        self.weight -= object.weight();
        true
    }
}
