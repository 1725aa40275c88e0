//! [`Node`]: one gateway, its mesh and what a real shell and data plane would hold for it.

use std::collections::BTreeMap;
use std::time::Instant;

use ringway_config::{GatewayId, SiteId};
use ringway_core::{ConnId, Fib, Membership, Mesh, SessionIndex};

use crate::consortium::{self, Records};

pub(crate) struct Node {
    pub(crate) id: GatewayId,
    pub(crate) site: SiteId,
    /// What its endpoints are called.
    pub(crate) host: String,
    /// The member records that it holds.
    records: Records,
    /// What they say.
    membership: Membership,
    /// `None` while the daemon does not run.
    pub(crate) mesh: Option<Mesh>,
    /// Counts the daemon's starts.
    pub(crate) life: u64,
    /// The last table published.
    pub(crate) fib: Fib,
    /// Keys that open: our index of each session.
    pub(crate) opening: BTreeMap<ConnId, SessionIndex>,
    /// Keys that seal: the peer's index of each session.
    pub(crate) sealing: BTreeMap<ConnId, SessionIndex>,
    /// When it will be woken.
    pub(crate) wake: Option<Instant>,
    /// Changes what the mesh is told: for positive controls.
    pub(crate) distort: Option<fn(&mut Membership)>,
    /// How often a tunnel came up.
    pub(crate) ups: usize,
    /// Alarms raised in its lives.
    pub(crate) alarms: Vec<String>,
}

impl Node {
    pub(crate) fn new(id: GatewayId, site: SiteId, records: Records) -> Self {
        Self {
            membership: consortium::membership(&id, &site, &records),
            host: id.to_string(),
            id,
            site,
            records,
            mesh: None,
            life: 0,
            fib: Fib::default(),
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            wake: None,
            distort: None,
            ups: 0,
            alarms: Vec::new(),
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.mesh.is_some()
    }

    pub(crate) fn hold(&mut self, records: Records) {
        self.membership = consortium::membership(&self.id, &self.site, &records);
        self.records = records;
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// What it should know.
    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What its mesh is told.
    pub(crate) fn told(&self) -> Membership {
        let mut membership = self.membership.clone();
        if let Some(distort) = self.distort {
            distort(&mut membership);
        }
        membership
    }

    /// The connection's keys are dropped.
    pub(crate) fn drop_keys(&mut self, conn: ConnId) {
        self.opening.remove(&conn);
        self.sealing.remove(&conn);
    }

    /// The process is gone, and all it held.
    pub(crate) fn die(&mut self) {
        self.mesh = None;
        self.fib = Fib::default();
        self.opening.clear();
        self.sealing.clear();
        self.wake = None;
    }
}
