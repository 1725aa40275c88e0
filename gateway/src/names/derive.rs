//! [`Derivation`]: our fragment as it is answered: what the files say, with the names of Kubernetes
//! Services, and without the addresses that fail their checks.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringway_dns::{HostsError, Name, Zone};

use crate::state::ServiceNames;

/// Makes our fragment.
#[derive(Debug)]
pub struct Derivation {
    /// As the files have it.
    pub of: Arc<Zone>,
    /// Names that are added.
    pub services: Arc<ServiceNames>,
    /// Their TTL, seconds.
    pub ttl: u32,
    /// Addresses that are left out of their names.
    pub failed: HashSet<(Name, IpAddr)>,
}

/// Our fragment.
#[derive(Debug)]
pub struct Derived {
    /// As the files have it.
    pub of: Arc<Zone>,
    /// As it is answered.
    pub fragment: Arc<Zone>,
    /// Names of Services that the files have, too: theirs are answered.
    pub taken: Vec<Name>,
    /// Why no name of a Service is there.
    pub error: Option<HostsError>,
}

impl Derivation {
    /// True if the fragment is what the files have.
    pub fn is_plain(&self) -> bool {
        self.services.0.is_empty() && self.failed.is_empty()
    }

    /// Blocks; a large zone takes some 100 ms.
    pub fn run(self) -> Derived {
        let mut derived = Derived {
            of: self.of.clone(),
            fragment: self.of.clone(),
            taken: Vec::new(),
            error: None,
        };
        if !self.services.0.is_empty() {
            derived.add(&self.services, self.ttl);
        }
        if !self.failed.is_empty() {
            derived.leave_out(&self.failed);
        }
        derived
    }
}

impl Derived {
    fn add(&mut self, services: &ServiceNames, ttl: u32) {
        // What Services may name is within our zone, and a DNS name.
        let hosts: Vec<(Name, BTreeSet<IpAddr>)> = services
            .0
            .iter()
            .filter_map(|(name, addresses)| {
                Some((Name::from_text(name.as_str()).ok()?, addresses.clone()))
            })
            .collect();

        match self.fragment.with_hosts(&hosts, ttl) {
            Ok((zone, taken)) => {
                self.fragment = Arc::new(zone);
                self.taken = taken;
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn leave_out(&mut self, failed: &HashSet<(Name, IpAddr)>) {
        match self.fragment.without_addresses(failed) {
            Ok(zone) => self.fragment = Arc::new(zone),
            Err(error) => {
                tracing::warn!(%error, "Addresses that fail their checks are not left out");
            }
        }
    }
}
