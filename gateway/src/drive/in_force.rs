//! [`InForce`]: the trust, the identity and the names in force, and those that a pending change has
//! read and built.

mod attachment;
mod filed_records;
mod narrowed;
mod read_config;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringway_config::{Accepted, Config, Faults, GatewayId, Newest, Prefix};
use ringway_core::{Membership, Offer, Secret};
use ringway_dns::{HoldFile, Zone};
use ringway_filter::Rules;
use ringway_host::links::SharedScope;
use ringway_host::traces::Traces;
use ringway_identity::{Identity, Trust};
use ringway_intent::{Links, Scope};
use ringway_shell::{ChangeId, Input};
use rustls_pki_types::UnixTime;

use self::attachment::Attachment;
pub(super) use self::narrowed::Narrowed;
pub(super) use self::read_config::ReadConfig;
use super::jobs::{Event, Jobs};
use crate::names::Names;
use crate::policy::former::RulesFile;
use crate::prepare::{Known, Unusable};
use crate::state::{
    FailedAddresses, NewestLists, RecordsFile, ServiceNames, SiblingSecrets, StateFiles,
};
use crate::tasks::Tasks;
use crate::zones::{LOSS, Store};

/// The parts of the current configuration that the shell does not use, and the pending ones of a
/// change.
pub struct InForce {
    config: Arc<Config>,
    /// Shared with the TLS stack.
    trust: Arc<ArcSwap<Trust>>,
    /// Shared with the TLS stack.
    identity: Arc<ArcSwap<Identity>>,
    names: Names,
    /// Shared with the watches of the host.
    scope: SharedScope,
    stored: Stored,
    attachment: Attachment,
    /// What pending changes have read and built. There is one change at a time.
    pending: BTreeMap<ChangeId, Pending>,
    /// How often our fragment was derived from what the files say.
    derivations: u64,
}

/// Files that keep state for the next start.
pub struct Stored {
    /// All files that are not listed below.
    pub files: Arc<StateFiles>,
    /// The newest records.
    pub records: Arc<RecordsFile>,
    /// The rules of the last hours.
    pub rules: RulesFile,
    /// The secrets by which the siblings prove to be alive.
    pub secrets: SiblingSecrets,
}

impl Stored {
    /// Starts the tasks that retry what could not be stored, and that watch the free space on the
    /// disk of `dir`.
    pub fn spawn_retries(&self, dir: &Path, tasks: &Tasks) {
        tasks.spawn(self.files.clone().watch_disk(dir.to_owned()));
        tasks.spawn(self.files.clone().run_retries());
        tasks.spawn(self.records.clone().run_retries());
    }
}

/// The parts of a change that the shell does not use.
#[derive(Debug, Default)]
struct Pending {
    trust: Option<Trust>,
    identity: Option<Identity>,
    zone: Option<Zone>,
    newest: Option<Newest>,
}

impl InForce {
    /// Puts the files of a start in force.
    pub fn new(
        config: Arc<Config>,
        trust: Arc<ArcSwap<Trust>>,
        identity: Arc<ArcSwap<Identity>>,
        names: Names,
        scope: SharedScope,
        stored: Stored,
    ) -> InForce {
        let attachment = Attachment::new(&config, stored.files.clone());

        InForce {
            config,
            trust,
            identity,
            names,
            scope,
            stored,
            attachment,
            pending: BTreeMap::new(),
            derivations: 0,
        }
    }

    /// The number of the next derivation of our fragment. Earlier ones are out of date.
    pub(super) fn next_derivation(&mut self) -> u64 {
        self.derivations += 1;
        self.derivations
    }

    /// False if a later derivation has begun.
    pub(super) fn is_latest(&self, derivation: u64) -> bool {
        derivation == self.derivations
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn trust(&self) -> &ArcSwap<Trust> {
        &self.trust
    }

    pub(super) fn identity(&self) -> &ArcSwap<Identity> {
        &self.identity
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// This gateway's fragment of our organization's zone.
    pub(super) fn fragment(&self) -> &Arc<Zone> {
        &self.names.fragment
    }

    pub(super) fn read_config(&self, change: ChangeId, jobs: &Jobs) {
        let config = self.config.clone();
        // The daemon may know newer records than it could store.
        let known = Known {
            newest: self.stored.records.newest(),
            lists: NewestLists::of(&self.trust.load()),
            virtual_addresses: config.ha.hosts().collect(),
            unusable: Unusable::Refuse,
        };

        jobs.spawn(async move {
            let result = read_config::read(&config, known).await.map(Box::new);
            Event::ConfigRead { change, result }
        });
    }

    pub(super) fn config_read(
        &mut self,
        change: ChangeId,
        result: Result<Box<ReadConfig>, Faults>,
    ) -> Input {
        let result = result.map(|read| {
            let ReadConfig {
                next,
                trust,
                identity,
                zone,
                newest,
                failed_tests: _,
                warnings: _,
            } = *read;

            // Kept until the shell adopts or discards the change. The shell sees only `next`.
            let pending = self.pending.entry(change).or_default();
            pending.trust = Some(trust);
            pending.identity = Some(identity);
            pending.zone = Some(zone);
            pending.newest = newest;
            Box::new(next)
        });

        Input::ConfigRead { change, result }
    }

    /// Reads the records in the files, each by itself.
    pub(super) fn read_records(&self, jobs: &Jobs) {
        let config = self.config.clone();

        jobs.run(move || Event::Shell(Input::RecordsRead(filed_records::read(&config))));
    }

    /// Reads each file by itself, as far as it is valid.
    pub(super) fn narrow(&self, change: ChangeId, jobs: &Jobs) {
        let config = self.config.clone();
        let trust = self.trust.load_full();
        let newest = self.stored.records.newest();

        jobs.run(move || Event::Narrowed {
            change,
            narrowed: Box::new(narrowed::narrow(&config, &trust, newest)),
        });
    }

    pub(super) fn narrowed(&mut self, change: ChangeId, narrowed: Narrowed) -> Input {
        let Narrowed {
            config,
            trust,
            lists,
            newest,
        } = narrowed;
        let pending = self.pending.entry(change).or_default();
        pending.trust = trust.map(|trust| *trust);
        pending.newest = Some(newest);

        Input::Narrowed {
            change,
            config: Arc::new(config),
            lists,
        }
    }

    pub(super) fn build_zone(&mut self, change: ChangeId, jobs: &Jobs) {
        let Some(zone) = self.pending.entry(change).or_default().zone.take() else {
            return;
        };
        // Nothing is left to build: the job that read the files has made the fragment. A fragment
        // has serial 0, so it does not depend on what is served now.
        jobs.run(move || Event::ZoneBuilt {
            change,
            result: Ok(zone),
        });
    }

    pub(super) fn zone_built(&mut self, change: ChangeId, result: Result<Zone, Faults>) -> Input {
        let result = result.map(|zone| {
            self.pending.entry(change).or_default().zone = Some(zone);
        });

        Input::ZoneBuilt { change, result }
    }

    pub(super) fn read_identity(&self, change: ChangeId, jobs: &Jobs) {
        let config = self.config.clone();
        let trust = self.trust.load_full();

        jobs.run(move || {
            let result = Identity::load(&config.identity, &config.id, &trust, UnixTime::now());
            Event::IdentityRead {
                change,
                result: result.map(Box::new),
            }
        });
    }

    pub(super) fn identity_read(
        &mut self,
        change: ChangeId,
        result: Result<Box<Identity>, Faults>,
    ) -> Input {
        let result = result.map(|identity| {
            let facts = read_config::facts(&identity);
            self.pending.entry(change).or_default().identity = Some(*identity);
            facts
        });

        Input::IdentityRead { change, result }
    }

    pub(super) fn save_accepted(&self, accepted: Accepted, jobs: &Jobs) {
        let files = self.stored.files.clone();
        let state_dir = self.config.state_dir.clone();

        jobs.run_silently(move || files.store_accepted(state_dir, accepted));
    }

    /// Stores what stays in the kernel, including the `held` prefixes of removed members.
    pub(super) fn remember(&self, held: &BTreeSet<Prefix>, jobs: &Jobs) {
        let traces = Traces::of(&self.config, held);
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_traces(state_dir, traces));
    }

    /// Stores the secrets of our siblings.
    pub(super) fn keep_secrets(&mut self, siblings: BTreeMap<GatewayId, Secret>, jobs: &Jobs) {
        self.stored.secrets.set(siblings);

        let secrets = self.stored.secrets.clone();
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();
        jobs.run_silently(move || files.store_secrets(state_dir, secrets));
    }

    /// Handles a gateway's new offer for this attached node.
    pub(super) fn handle_offer(&mut self, peer: &GatewayId, offer: Offer, jobs: &Jobs) {
        self.attachment
            .handle_offer(peer, offer, &self.config, jobs);
    }

    /// On an attached node: a tunnel to `peer` came up or went down.
    pub(super) fn set_reachable(&self, peer: &GatewayId, is_reached: bool, jobs: &Jobs) {
        self.attachment
            .set_reachable(peer, is_reached, &self.config, jobs);
    }

    /// Restores what another program has changed of the host's resolver.
    pub(super) fn restore_resolver(&self, jobs: &Jobs) {
        self.attachment.restore(jobs);
    }

    /// The servers that the host asks, for an operator.
    pub(super) fn resolver_line(&self) -> Option<String> {
        self.attachment.line(&self.config)
    }

    /// Restores the host's resolver before the daemon ends. Blocks for a moment.
    pub(super) fn withdraw_resolver(&self) {
        self.attachment.withdraw(&self.config);
    }

    /// Stores which checked addresses have failed.
    pub(super) fn store_failed(&self, failed: FailedAddresses, jobs: &Jobs) {
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_failed(state_dir, failed));
    }

    /// Remembers the names of Kubernetes Services.
    pub(super) fn store_service_names(&self, names: ServiceNames, jobs: &Jobs) {
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_service_names(state_dir, names));
    }

    /// Stores when each member was last heard from.
    pub(super) fn store_heard(&self, heard: HoldFile, jobs: &Jobs) {
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_heard(heard));
    }

    /// Stores copies of the members' names, now or once the disk has room.
    pub(super) fn store_names(&self, store: Store, jobs: &Jobs) {
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store("state zones", LOSS, move || Ok(store.run()?)));
    }

    /// Stores the rules in force.
    pub(super) fn remember_rules(&self, rules: Arc<Rules>, jobs: &Jobs) {
        jobs.run_silently(self.stored.rules.set_rules(rules));
    }

    /// Puts in force what `change` has read and built.
    pub(super) fn adopt(
        &mut self,
        change: ChangeId,
        config: Arc<Config>,
        membership: &Membership,
        jobs: &Jobs,
    ) {
        let pending = self.pending.remove(&change).unwrap_or_default();
        let scope = Scope::of(&config).without(self.config.ha.hosts());
        self.scope.store(Arc::new(scope));
        self.config = config;

        if let Some(trust) = pending.trust {
            // The generation lets a handshake that began under the earlier trust be recognized.
            let trust = trust.succeeding(&self.trust.load());
            self.trust.store(Arc::new(trust));
        }
        if let Some(identity) = pending.identity {
            self.identity.store(Arc::new(identity));
        }
        match pending.zone {
            Some(zone) => self.names.publish(&self.config, membership, Arc::new(zone)),
            // Even a refused reload removes the zones of organizations that its files remove.
            None => self.names.republish(&self.config, membership),
        }

        let rules = self.config.clone();
        let records = self.stored.records.clone();
        let files = self.stored.files.clone();
        let lists = NewestLists::of(&self.trust.load());
        jobs.run_silently(move || {
            files.store_lists(rules.state_dir.clone(), lists);
            records.update(&rules, pending.newest);
        });

        self.attachment.apply(&self.config, jobs);
        // Last: delete a copy only after its zone is no longer served.
        let removal = self.names.removal(&self.config);
        jobs.run_silently(move || removal.run());
    }

    /// The revocation lists that `change` adds, for an operator.
    pub(super) fn new_lists(&self, change: ChangeId) -> Vec<String> {
        let trust = self.pending.get(&change).and_then(|it| it.trust.as_ref());

        trust.map_or(Vec::new(), |trust| {
            narrowed::new_lists(&self.trust.load(), trust)
        })
    }

    pub(super) fn adopt_identity(&mut self, change: ChangeId) {
        let pending = self.pending.remove(&change).unwrap_or_default();

        if let Some(identity) = pending.identity {
            self.identity.store(Arc::new(identity));
        }
    }

    pub(super) fn discard(&mut self, change: ChangeId) {
        self.pending.remove(&change);
    }

    /// Sets the interfaces by which DNS clients' packets may arrive.
    pub(super) fn set_arrivals(&self, links: &Links) {
        self.names.set_arrivals(&self.config, links);
    }

    pub(super) fn set_reach(&self, own: Vec<Prefix>, unreachable: BTreeSet<Prefix>) {
        self.names.set_reach(own, unreachable);
    }
}
