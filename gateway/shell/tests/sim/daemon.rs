//! [`Daemon`]: the shell of a node that runs, and what its ports in memory hold for it. It ends
//! with its process; what outlives that is in `node`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::{Digest, Policy};
use ringway_core::{ConnId, SessionIndex};
use ringway_filter::RulesSpec;
use ringway_intent::GuardSpec;
use ringway_shell::{ChangeId, Companions, Shell, SiteNumber, Start, Tables};

use crate::consortium::Records;
use crate::flows::Flows;
use crate::node::Node;

/// A running daemon: the shell, and what its ports hold for it.
pub(crate) struct Daemon {
    pub(crate) shell: Shell,
    pub(crate) life: u64,
    /// Keys that open: our index of each session.
    pub(crate) opening: BTreeMap<ConnId, SessionIndex>,
    /// Keys that seal: the peer's index of each session.
    pub(crate) sealing: BTreeMap<ConnId, SessionIndex>,
    /// The site of the peer of each session.
    pub(crate) sites: BTreeMap<ConnId, SiteNumber>,
    /// Once it has had to do with any.
    pub(crate) flows: Option<Flows>,
    /// The data plane's tables.
    pub(crate) tables: Tables,
    /// Connections that were reported, and not closed or forgotten since.
    pub(crate) links: BTreeMap<ConnId, Link>,
    /// The certificate that new handshakes present, and when it was put in force.
    pub(crate) certificate: Digest,
    pub(crate) rotated: Instant,
    /// The records that trust and names are made of.
    pub(crate) records: Records,
    /// What changes have read and not adopted.
    pub(crate) pending: BTreeMap<ChangeId, Pending>,
    /// The change whose guard is on its way to the kernel.
    pub(crate) guarding: Option<ChangeId>,
    /// The guard that was put in force last.
    pub(crate) applied: Option<GuardSpec>,
    pub(crate) is_checking: bool,
    pub(crate) is_syncing: bool,
    /// The kernel refused some of the last plan.
    pub(crate) is_sync_refused: bool,
    /// Time that passed while the machine slept.
    pub(crate) slept: Duration,
    pub(crate) expected: Expected,
}

impl Daemon {
    /// A daemon that starts with what the node's files say.
    pub(crate) fn new(start: Start, node: &Node, now: Instant) -> Self {
        let certificate = start.current.certificate;
        let records = node.disk.records.clone();

        Daemon {
            shell: Shell::new(start, now),
            life: node.life,
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            sites: BTreeMap::new(),
            flows: None,
            tables: no_tables(),
            links: BTreeMap::new(),
            certificate,
            rotated: now,
            records: records.clone(),
            pending: BTreeMap::new(),
            guarding: None,
            applied: node.kernel.guard.clone(),
            is_checking: false,
            is_syncing: false,
            is_sync_refused: false,
            slept: Duration::ZERO,
            expected: Expected {
                records,
                certificate,
                must_read_config: false,
                must_read_identity: false,
            },
        }
    }
}

/// One connection, as the links port knows it.
pub(crate) struct Link {
    pub(crate) is_started: bool,
    pub(crate) frames: u64,
    /// The certificate that we presented.
    pub(crate) certificate: Digest,
    pub(crate) since: Instant,
}

/// What a change has read.
pub(crate) struct Pending {
    pub(crate) records: Option<Records>,
    pub(crate) certificate: Digest,
    /// It is what a refused reload takes away.
    pub(crate) is_narrowed: bool,
}

/// The reference for what must be in force once nothing changes any more.
pub(crate) struct Expected {
    /// The records of the last reload that nothing speaks against.
    pub(crate) records: Records,
    pub(crate) certificate: Digest,
    /// Nothing was read since the last SIGHUP, or since the certificate's files changed.
    pub(crate) must_read_config: bool,
    pub(crate) must_read_identity: bool,
}

fn no_tables() -> Tables {
    Tables {
        attached: Default::default(),
        nodes_reach_each_other: false,
        site: SiteNumber(0),
        local: Vec::new(),
        connected: Vec::new(),
        authorized: Vec::new(),
        routes: BTreeMap::new(),
        outages: BTreeMap::new(),
        tunnel: Default::default(),
        sessions: Default::default(),
        rules: RulesSpec {
            policy: Policy::default(),
            former: Vec::new(),
            site: 0,
            own: Vec::new(),
            sites: Vec::new(),
            names: [].into(),
            dns: Vec::new(),
            gateway: Vec::new(),
            tunnel_port: 0,
        },
        companions: Companions::default(),
    }
}
