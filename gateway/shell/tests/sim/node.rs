//! [`Node`]: one gateway: its files, its host, and its daemon while one runs (`daemon`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::{
    Accepted, Config, Connected, Digest, GatewayId, NodeName, Prefix, Ruling, SiteId, accepted,
    rule,
};
use ringway_core::{Fib, Membership, Secret, Standing};
use ringway_intent::{
    GuardSpec, Links, RoutePlan, RouteState, Situation, Tunnelled, guard, held, plan_routes,
};
use ringway_shell::CurrentConfig;

use crate::attached::Files;
use crate::consortium::{self, Record, Records};
use crate::daemon::Daemon;
use crate::ways;

/// What the wall clocks show when the simulation begins.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// Certificates outlive the simulation.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(crate) struct Node {
    pub(crate) id: GatewayId,
    pub(crate) site: SiteId,
    /// What its endpoints are called.
    pub(crate) host: String,
    pub(crate) disk: Disk,
    pub(crate) kernel: Kernel,
    pub(crate) daemon: Option<Daemon>,
    /// The daemon that stopped last. It still receives answers that come late.
    pub(crate) stopped: Option<Daemon>,
    /// Counts the daemon's starts.
    pub(crate) life: u64,
    /// When it will be woken.
    pub(crate) wake: Option<Instant>,
    /// How far its wall clock is ahead of the others'; it may be set.
    pub(crate) clock_ahead: Duration,
    /// When its certificate expires, by the wall clock.
    pub(crate) certified_until: Duration,
    /// Until when its machine stands still.
    pub(crate) paused: Option<Instant>,
    /// Its dials, in all its lives.
    pub(crate) dials: usize,
    /// Changes what the mesh works from: for positive controls.
    pub(crate) derive: fn(&Config, &[Ruling]) -> Membership,
    /// The role that its daemon was told last.
    pub(crate) standing: Option<Standing>,
    /// Its program has said what is not so, since it was last started.
    pub(crate) has_lied: bool,
    /// At any time.
    pub(crate) has_ever_lied: bool,
    /// How often a time of grace began, and when the last one did.
    pub(crate) graces: usize,
    pub(crate) last_grace: Option<Instant>,
    /// How often a tunnel came up.
    pub(crate) ups: usize,
    /// When the first tunnel to each peer came up, in any life.
    pub(crate) met: BTreeMap<GatewayId, Instant>,
    /// How often the kernel was asked what it would do.
    pub(crate) asked: usize,
    /// The names of what needs attention.
    pub(crate) findings: BTreeSet<String>,
    /// Alarms raised in its lives.
    pub(crate) alarms: Vec<String>,
    /// Every prefix of another site that was in force at any time.
    pub(crate) ever: BTreeSet<Prefix>,
}

/// What outlives a daemon.
pub(crate) struct Disk {
    /// The member records; of an attached node, what follows from [`Disk::attached`].
    pub(crate) records: Records,
    /// The files of an attached node.
    pub(crate) attached: Option<Files>,
    /// Something in the files is wrong, so that every reload is refused.
    pub(crate) is_faulty: bool,
    /// The fingerprint of the certificate in the files.
    pub(crate) certificate: Digest,
    pub(crate) accepted: BTreeSet<Digest>,
    /// Prefixes that must not follow the default route.
    pub(crate) held: BTreeSet<Prefix>,
    /// What it proves to be alive by, once it has started.
    pub(crate) secret: Option<Secret>,
    /// What its siblings prove to be alive by.
    pub(crate) sibling_secrets: BTreeMap<GatewayId, Secret>,
}

/// The host's side.
pub(crate) struct Kernel {
    pub(crate) links: Links,
    /// The data centres that it has routes to.
    pub(crate) ways: BTreeSet<Prefix>,
    pub(crate) routes: RoutePlan,
    pub(crate) guard: Option<GuardSpec>,
    /// So many guards will be refused.
    pub(crate) refuses_guards: usize,
    /// Another program has removed routes, and nothing was compared since.
    pub(crate) is_meddled: bool,
    /// What the daemon needs forwarded is forwarded.
    pub(crate) forwards: bool,
    /// The TUN device was taken away, and its daemon has not noticed yet.
    pub(crate) is_device_gone: bool,
    /// No daemon may write here any more.
    pub(crate) is_restored: bool,
}

impl Node {
    pub(crate) fn new(id: GatewayId, site: SiteId, records: Records) -> Self {
        let ways = ways::of(&records);

        Self {
            host: id.to_string(),
            id,
            site,
            disk: Disk {
                records,
                attached: None,
                is_faulty: false,
                certificate: Digest::of(b"certificate 0"),
                accepted: BTreeSet::new(),
                held: BTreeSet::new(),
                secret: None,
                sibling_secrets: BTreeMap::new(),
            },
            kernel: Kernel {
                links: ways::links(Links::default(), &ways, []),
                ways,
                routes: RoutePlan::new(),
                guard: None,
                refuses_guards: 0,
                is_meddled: false,
                forwards: true,
                is_device_gone: false,
                is_restored: true,
            },
            daemon: None,
            stopped: None,
            life: 0,
            wake: None,
            clock_ahead: Duration::ZERO,
            certified_until: EPOCH + YEAR,
            paused: None,
            dials: 0,
            derive: ringway_shell::membership,
            standing: None,
            has_lied: false,
            has_ever_lied: false,
            graces: 0,
            last_grace: None,
            ups: 0,
            met: BTreeMap::new(),
            asked: 0,
            findings: BTreeSet::new(),
            alarms: Vec::new(),
            ever: BTreeSet::new(),
        }
    }

    /// An attached node.
    pub(crate) fn attached(name: &NodeName, record: &Rc<Record>) -> Self {
        let files = Files::new(name, record);
        let id = GatewayId::of_node(name, &record.org);
        let mut node = Node::new(id, SiteId::of_node(name), files.records());

        node.disk.attached = Some(files);
        node
    }

    /// Other records come; an attached node takes what it understands of them.
    pub(crate) fn receive(&mut self, records: Records) {
        match &mut self.disk.attached {
            Some(files) => {
                files.receive(&records);
                self.disk.records = files.records();
            }
            None => self.disk.records = records,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.daemon.is_some()
    }

    /// The daemon that runs. The caller has checked that one does.
    pub(crate) fn running(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    pub(crate) fn running_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }

    pub(crate) fn fib(&self) -> &Fib {
        self.running().shell.fib()
    }

    /// The records that should be in force: those of its daemon, or its files'.
    pub(crate) fn records(&self) -> &Records {
        match &self.daemon {
            Some(daemon) => &daemon.expected.records,
            None => &self.disk.records,
        }
    }

    /// The verdicts that should be in force.
    pub(crate) fn rulings(&self) -> Vec<Ruling> {
        rule(&self.config(), &self.connected(), &self.disk.accepted)
    }

    pub(crate) fn config(&self) -> Config {
        consortium::config(&self.id, &self.site, self.records())
    }

    pub(crate) fn connected(&self) -> Vec<Connected> {
        self.kernel.links.connected()
    }

    /// The membership that should be in force.
    pub(crate) fn membership(&self) -> Membership {
        consortium::membership(&self.id, &self.site, self.records(), &self.rulings())
    }

    /// The records of the daemon are in force: whose prefixes they list is remembered.
    pub(crate) fn note_members(&mut self) {
        let config = consortium::config(&self.id, &self.site, &self.running().records);
        let rulings = rule(&config, &self.connected(), &self.disk.accepted);
        let prefixes = rulings.iter().map(|ruling| ruling.prefix);

        self.ever
            .extend(prefixes.filter(|prefix| !config.is_own(prefix)));
    }

    /// What its files say, for a daemon that starts. Saves what follows from it, and sets up the
    /// kernel.
    pub(crate) fn prepare(&mut self) -> CurrentConfig {
        let config = consortium::config(&self.id, &self.site, &self.disk.records);
        let config = Arc::new(config);
        let connected = self.connected();
        let rulings = rule(&config, &connected, &self.disk.accepted);

        let accepted = accepted::after(&config, &rulings, &self.disk.accepted);
        self.save_accepted(&accepted);
        self.disk.held = held(&config, &rulings, &self.disk.held);
        self.set_up_kernel(&config, &rulings);

        CurrentConfig {
            config,
            rulings,
            connected,
            links: self.kernel.links.clone(),
            accepted: self.disk.accepted.clone(),
            certificate: self.disk.certificate,
            held: self.disk.held.clone(),
        }
    }

    /// Sets the kernel up for a daemon that starts.
    fn set_up_kernel(&mut self, config: &Arc<Config>, rulings: &[Ruling]) {
        let connected = self.connected();

        let situation = Situation {
            config,
            rulings,
            connected: &connected,
            links: &self.kernel.links,
            held: &self.disk.held,
        };
        let guard = guard(&situation);
        self.kernel.routes = plan_routes(&situation, &Tunnelled::new());
        self.kernel.guard = Some(guard);
        self.kernel.is_meddled = false;
        self.kernel.forwards = true;
        self.kernel.is_device_gone = false;
        self.kernel.is_restored = false;
    }

    pub(crate) fn save_accepted(&mut self, accepted: &Accepted) {
        self.disk.accepted = accepted.keys().copied().collect();
    }

    /// The process is gone, and the TUN device with it.
    pub(crate) fn die(&mut self) {
        self.daemon = None;
        self.wake = None;
        self.kernel.drop_device();
    }
}

impl Kernel {
    /// The kernel drops routes with their device.
    pub(crate) fn drop_device(&mut self) {
        for state in self.routes.values_mut() {
            if *state != RouteState::Site {
                *state = RouteState::Unreachable;
            }
        }
    }
}
