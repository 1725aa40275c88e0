//! [`InForce`]: the trust, the identity and the names that are in force, and those that a change
//! has read and built but not yet adopted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringway_config::{
    Accepted, Config, Fault, Faults, GatewayId, Ledger as _, Newest, Offers, Place, Prefix, Survey,
    meet, narrow_policy, offers,
};
use ringway_core::{Membership, Offer, Secret};
use ringway_dns::{HoldFile, Zone};
use ringway_filter::Rules;
use ringway_host::links::{self, SharedScope};
use ringway_host::traces::Traces;
use ringway_identity::{Identity, Trust};
use ringway_intent::{Links, Scope};
use ringway_shell::{ChangeId, IdentityFacts, Input, NextConfig};
use rustls_pki_types::UnixTime;

use super::jobs::{Event, Jobs};
use crate::names::Names;
use crate::policy::former::RulesFile;
use crate::prepare::{Known, Prepared, prepare_again};
use crate::resolver::Resolver;
use crate::state::{FailedAddresses, NewestLists, RecordsFile, SiblingSecrets, StateFiles};
use crate::tasks::Tasks;
use crate::zones::{LOSS, Store};

/// The parts of the current configuration that the shell has no use for, and what a change makes of
/// them.
pub struct InForce {
    config: Arc<Config>,
    /// Shared with the TLS stack.
    trust: Arc<ArcSwap<Trust>>,
    /// Shared with the TLS stack.
    identity: Arc<ArcSwap<Identity>>,
    names: Names,
    /// For the watches of the host.
    scope: SharedScope,
    stored: Stored,
    /// Of an attached node: what the gateways have for it.
    offers: Offers,
    resolver: Resolver,
    /// What changes have read and built so far. There is one change at a time.
    pending: BTreeMap<ChangeId, Pending>,
}

/// What is remembered for the next start.
pub struct Stored {
    /// Everything that is not below.
    pub files: Arc<StateFiles>,
    /// The newest records.
    pub records: Arc<RecordsFile>,
    /// What was allowed in the last hours.
    pub rules: RulesFile,
    /// What the gateways of this site prove to be alive by.
    pub secrets: SiblingSecrets,
}

impl Stored {
    /// What could not be stored before is tried again, and the disk of the state directory `dir`
    /// watched, as long as the daemon runs.
    pub fn keep_trying(&self, dir: &Path, tasks: &Tasks) {
        tasks.spawn(self.files.clone().watch_disk(dir.to_owned()));
        tasks.spawn(self.files.clone().keep_trying());
        tasks.spawn(self.records.clone().keep_trying());
    }
}

/// The parts of a change that the shell has no use for.
#[derive(Debug, Default)]
struct Pending {
    trust: Option<Trust>,
    identity: Option<Identity>,
    zone: Option<Zone>,
    newest: Option<Newest>,
}

/// What is left of what is in force when a reload is refused.
#[derive(Debug)]
pub struct Narrowed {
    config: Config,
    trust: Option<Box<Trust>>,
    /// Revocation lists that are in force now and were not before.
    lists: Vec<String>,
    /// The newest records, those included that take something away.
    newest: Newest,
}

/// The result of reading every file.
#[derive(Debug)]
pub struct ReadConfig {
    next: NextConfig,
    trust: Trust,
    identity: Identity,
    zone: Zone,
    newest: Option<Newest>,
    failed_tests: Faults,
    warnings: Faults,
}

impl ReadConfig {
    /// What is worth a look, and refuses nothing.
    pub(super) fn warnings(&self) -> &Faults {
        &self.warnings
    }

    /// The policy tests that failed, so that nothing is allowed that was not before.
    pub(super) fn failed_tests(&self) -> &Faults {
        &self.failed_tests
    }
}

impl InForce {
    /// A start's files are in force.
    pub fn new(
        config: Arc<Config>,
        trust: Arc<ArcSwap<Trust>>,
        identity: Arc<ArcSwap<Identity>>,
        names: Names,
        scope: SharedScope,
        stored: Stored,
    ) -> InForce {
        let is_node = config.attach.is_some();
        let remembered = is_node.then(|| offers::load(&config.state_dir));
        // What is wrong with it was said when the files were read.
        let offers = remembered.and_then(Result::ok).unwrap_or_default();

        InForce {
            config,
            trust,
            identity,
            names,
            scope,
            stored,
            offers,
            resolver: Resolver::default(),
            pending: BTreeMap::new(),
        }
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

    /// What this gateway contributes to our organization's zone.
    pub(super) fn fragment(&self) -> &Arc<Zone> {
        &self.names.fragment
    }

    pub(super) fn read_config(&self, change: ChangeId, jobs: &Jobs) {
        let config = self.config.clone();
        // The daemon may know more than could be stored.
        let known = Known {
            newest: self.stored.records.newest(),
            lists: NewestLists::of(&self.trust.load()),
            virtual_addresses: config.ha.hosts().collect(),
        };

        jobs.spawn(async move {
            let result = read(&config, known).await.map(Box::new);
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

            // Kept until the shell adopts or discards the change; it sees only `next`.
            let pending = self.pending.entry(change).or_default();
            pending.trust = Some(trust);
            pending.identity = Some(identity);
            pending.zone = Some(zone);
            pending.newest = newest;
            Box::new(next)
        });

        Input::ConfigRead { change, result }
    }

    /// Each file is read by itself, as far as it can be.
    pub(super) fn narrow(&self, change: ChangeId, jobs: &Jobs) {
        let config = self.config.clone();
        let trust = self.trust.load_full();
        let newest = self.stored.records.newest();

        jobs.run(move || Event::Narrowed {
            change,
            narrowed: Box::new(narrowed(&config, &trust, newest)),
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
        // Nothing is left to build. The job that read the files has made a fragment of them, and a
        // fragment has serial 0: it does not depend on what is served now.
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
            let facts = facts(&identity);
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

    /// Remembers what stays in the kernel, `held` prefixes of removed members among it.
    pub(super) fn remember(&self, held: &BTreeSet<Prefix>, jobs: &Jobs) {
        let traces = Traces::of(&self.config, held);
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_traces(state_dir, traces));
    }

    /// Remembers what our siblings prove to be alive by.
    pub(super) fn keep_secrets(&mut self, siblings: BTreeMap<GatewayId, Secret>, jobs: &Jobs) {
        self.stored.secrets.set(siblings);

        let secrets = self.stored.secrets.clone();
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();
        jobs.run_silently(move || files.store_secrets(state_dir, secrets));
    }

    /// A gateway has something else for this attached node than before: it is remembered, and the
    /// files are read again.
    pub(super) fn offered(&mut self, peer: &GatewayId, offer: Offer, jobs: &Jobs) {
        let gateways = &self.config.own.gateways;
        self.offers
            .retain(|gateway, _| gateways.iter().any(|known| known.name == *gateway));
        self.resolver.offered(&peer.name, offer.resolvers);
        self.apply_resolver(jobs);
        let before = self
            .offers
            .insert(peer.name.clone(), offer.prefixes.clone());
        if before.as_ref() == Some(&offer.prefixes) {
            return;
        }

        let offers = self.offers.clone();
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();
        jobs.run(move || {
            files.store_offers(state_dir, offers);
            Event::Shell(Input::Reload)
        });
    }

    /// A tunnel leads to this peer, or none does any more: an attached node's host asks others
    /// first.
    pub(super) fn reaches(&self, peer: &GatewayId, is_reached: bool, jobs: &Jobs) {
        if self.config.attach.is_some() {
            self.resolver.reaches(&peer.name, is_reached);
            self.apply_resolver(jobs);
        }
    }

    /// An attached node's host asks the gateways that it knows.
    fn apply_resolver(&self, jobs: &Jobs) {
        let resolver = self.resolver.clone();
        let config = self.config.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || resolver.apply(&config, files.attention()));
    }

    /// It asks as before. Blocks for a moment: the daemon ends.
    pub(super) fn withdraw_resolver(&self) {
        let attention = self.stored.files.attention();
        self.resolver.withdraw(&self.config, attention);
    }

    /// Remembers which checked addresses have failed.
    pub(super) fn store_failed(&self, failed: FailedAddresses, jobs: &Jobs) {
        let state_dir = self.config.state_dir.clone();
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_failed(state_dir, failed));
    }

    /// Remembers when members were last heard.
    pub(super) fn store_heard(&self, heard: HoldFile, jobs: &Jobs) {
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store_heard(heard));
    }

    /// Stores copies of the members' names, now or when the disk has room.
    pub(super) fn store_names(&self, store: Store, jobs: &Jobs) {
        let files = self.stored.files.clone();

        jobs.run_silently(move || files.store("state zones", LOSS, move || Ok(store.run()?)));
    }

    /// Remembers what the packets are judged by.
    pub(super) fn remember_rules(&self, rules: Arc<Rules>, jobs: &Jobs) {
        jobs.run_silently(self.stored.rules.follow(rules));
    }

    /// Puts what `change` has read and built in force.
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
            // Generations tell handshakes that began under the earlier trust.
            let trust = trust.succeeding(&self.trust.load());
            self.trust.store(Arc::new(trust));
        }
        if let Some(identity) = pending.identity {
            self.identity.store(Arc::new(identity));
        }
        match pending.zone {
            Some(zone) => self.names.publish(&self.config, membership, Arc::new(zone)),
            // A refused reload: the zones of organizations that it removes go all the same.
            None => self.names.follow(&self.config, membership),
        }

        let rules = self.config.clone();
        let records = self.stored.records.clone();
        let files = self.stored.files.clone();
        let lists = NewestLists::of(&self.trust.load());
        jobs.run_silently(move || {
            files.store_lists(rules.state_dir.clone(), lists);
            records.follow(&rules, pending.newest);
        });

        self.apply_resolver(jobs);
        // Last: a copy is deleted only after its zone is no longer served.
        let removal = self.names.removal(&self.config);
        jobs.run_silently(move || removal.run());
    }

    /// The revocation lists that `change` brings, for an operator.
    pub(super) fn new_lists(&self, change: ChangeId) -> Vec<String> {
        let trust = self.pending.get(&change).and_then(|it| it.trust.as_ref());

        trust.map_or(Vec::new(), |trust| new_lists(&self.trust.load(), trust))
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

    /// The host's interfaces are these: DNS clients' packets must come by the right ones.
    pub(super) fn set_arrivals(&self, links: &Links) {
        self.names.set_arrivals(&self.config, links);
    }

    pub(super) fn set_reach(&self, own: Vec<Prefix>, unreachable: BTreeSet<Prefix>) {
        self.names.set_reach(own, unreachable);
    }
}

/// What both `current` and the files allow, and the certificates to accept then.
fn narrowed(current: &Config, in_force: &Trust, newest: Option<Newest>) -> Narrowed {
    let mut survey = Survey::read(&current.path, Some(current));
    let mut newest = newest.unwrap_or_default();
    newest.follow(current);
    // What the command line has noted counts: it may have removed the last member.
    if let Ok(stored) = Newest::load(&current.state_dir) {
        newest.heed_removals(&stored);
    }
    survey.doubt_emptiness(&current.own.org, &newest);

    let config = meet(current, &survey);
    // What they take away must not come back with an older copy.
    for record in &survey.records {
        if current.record(&record.org).is_some() && newest.judge(record).is_none() {
            newest.accept(record);
        }
    }
    match Trust::narrowed(&config, in_force) {
        Ok(trust) => Narrowed {
            lists: new_lists(in_force, &trust),
            config,
            trust: Some(Box::new(trust)),
            newest,
        },
        // Its certificates are among those in force, which were read before.
        Err(faults) => {
            tracing::error!(reason = %faults, "What the files take away cannot be put in force");
            Narrowed {
                config: current.clone(),
                trust: None,
                lists: Vec::new(),
                newest,
            }
        }
    }
}

/// The lists that only `trust` has, for an operator.
fn new_lists(before: &Trust, trust: &Trust) -> Vec<String> {
    let known: BTreeSet<_> = before.lists().map(|(_, list)| list.digest).collect();

    trust
        .lists()
        .filter(|(_, list)| !known.contains(&list.digest))
        .map(|(org, list)| {
            format!(
                "{org}: revocation list {} of {}, which revokes {}",
                list.number,
                list.issuer,
                list.revoked.len()
            )
        })
        .collect()
}

/// Reads and checks every file, as a start does.
async fn read(current: &Config, known: Known) -> Result<ReadConfig, Faults> {
    let Prepared {
        mut config,
        zone,
        trust,
        identity,
        connected,
        rulings,
        accepted,
        held,
        conflicts,
        policy_tests,
        warnings,
        hints,
        newest,
        traces: _,
    } = prepare_again(&current.path, known).await?;

    for warning in &warnings.0 {
        tracing::warn!(reason = %warning, "A file needs attention");
    }
    for hint in &hints.0 {
        tracing::warn!(reason = %hint, "A file should be changed some time");
    }

    // Only the rules are refused: a record that revokes, removes or narrows must come into force.
    if !policy_tests.failed.is_empty() {
        for failed in &policy_tests.failed.0 {
            tracing::error!(
                reason = %failed,
                "A policy test failed; of the rules of before, what the new ones allow too stays"
            );
        }
        let wanted = std::mem::replace(&mut config.policy, current.policy.clone());
        config.policy = narrow_policy(&config, &wanted);
    }

    // Virtual addresses of before may be there until their lifetime ends: they are left out, too.
    let scope = Scope::of(&config).without(current.ha.hosts());
    let links = links::read(&config.tun, &scope).await;
    let links = links.map_err(|error| {
        Faults::from(vec![Fault {
            place: Place::whole(&current.path),
            message: error.to_string(),
        }])
    })?;

    let next = NextConfig {
        config: Arc::new(config),
        rulings,
        conflicts,
        connected,
        links,
        accepted,
        held,
        identity: facts(&identity),
    };
    Ok(ReadConfig {
        next,
        trust,
        identity,
        zone,
        newest,
        failed_tests: policy_tests.failed,
        warnings: Faults::from([warnings.0, hints.0].concat()),
    })
}

fn facts(identity: &Identity) -> IdentityFacts {
    IdentityFacts {
        certificate: identity.fingerprint(),
        remaining: identity.remaining(UnixTime::now()),
    }
}
