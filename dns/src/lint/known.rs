//! [`Known`]: what is known of the consortium's names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::name::Name;
use crate::rdata::kind;
use crate::tree::{Found, Node};
use crate::zone::Zone;

/// What is known of the consortium's names.
#[derive(Debug, Default)]
pub struct Known {
    /// Names below it that are in no zone belong to nobody; `None`: they may be anybody's.
    domain: Option<Name>,
    /// By the apex in wire form.
    zones: HashMap<Box<[u8]>, Content>,
}

#[derive(Debug)]
enum Content {
    /// All names.
    Whole(Arc<Zone>),
    /// Those that others contribute are missing; who that is.
    Part(Arc<Zone>, String),
    Unknown,
}

/// What is known of one name.
pub(super) enum Lookup<'k> {
    Node(&'k Node),
    /// The zone does not have it.
    Missing {
        /// Who may have it all the same, to be written after the statement; may be empty.
        unless: String,
    },
    /// It is in the consortium's domain, and in no member's zone.
    NoMember {
        domain: &'k Name,
    },
    Unknown,
}

impl Known {
    /// Nothing is known but that names below `domain` are in the zones that follow.
    pub fn new(domain: Option<Name>) -> Known {
        Known {
            domain,
            zones: HashMap::new(),
        }
    }

    /// `zone` has all names below its apex.
    pub fn add(&mut self, zone: Arc<Zone>) {
        let apex = zone.apex().as_wire().into();
        self.zones.insert(apex, Content::Whole(zone));
    }

    /// `zone` has the names below its apex but for what `others` may contribute.
    pub fn add_part(&mut self, zone: Arc<Zone>, others: String) {
        let apex = zone.apex().as_wire().into();
        self.zones.insert(apex, Content::Part(zone, others));
    }

    /// There is a zone at `apex`, and its names are not known.
    pub fn add_unknown(&mut self, apex: &Name) {
        self.zones.insert(apex.as_wire().into(), Content::Unknown);
    }

    pub(super) fn look_up(&self, name: &Name) -> Lookup<'_> {
        let labels = name.labels();
        // From the whole name upwards: the deepest zone is the one that answers.
        let content = (0..=labels.count()).find_map(|i| self.zones.get(labels.suffix(i)));
        let (zone, others) = match content {
            Some(Content::Whole(zone)) => (zone, None),
            Some(Content::Part(zone, others)) => (zone, Some(others)),
            Some(Content::Unknown) => return Lookup::Unknown,
            None => return self.look_up_outside(name),
        };

        match zone.find(&labels, kind::A) {
            Found::Exact(node)
            | Found::Missing {
                wildcard: Some(node),
            } => Lookup::Node(node),
            Found::Missing { wildcard: None } => Lookup::Missing {
                unless: others.map_or_else(String::new, |others| {
                    format!(", unless {others} has it, whose names are not here")
                }),
            },
            // What is below a cut or a DNAME is in another zone.
            Found::Delegated { .. } | Found::Renamed { .. } => Lookup::Unknown,
        }
    }

    fn look_up_outside(&self, name: &Name) -> Lookup<'_> {
        match &self.domain {
            Some(domain) if name != domain && name.is_within(domain) => Lookup::NoMember { domain },
            _ => Lookup::Unknown,
        }
    }
}
