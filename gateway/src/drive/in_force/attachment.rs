//! [`Attachment`]: what an attached node has from its gateways: the prefixes that they serve, and
//! the servers that the host's resolver asks. On a gateway it is empty.

use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Config, GatewayId, Offers, offers};
use ringway_core::Offer;
use ringway_shell::Input;

use crate::drive::jobs::{Event, Jobs};
use crate::resolver::Resolver;
use crate::state::StateFiles;

pub(super) struct Attachment {
    is_node: bool,
    offers: Offers,
    resolver: Resolver,
    files: Arc<StateFiles>,
}

impl Attachment {
    /// With the offers of an earlier run.
    pub(super) fn new(config: &Config, files: Arc<StateFiles>) -> Attachment {
        let is_node = config.attach.is_some();
        let stored = is_node.then(|| offers::load(&config.state_dir));

        Attachment {
            is_node,
            // An unreadable file was already reported when the files were read.
            offers: stored.and_then(Result::ok).unwrap_or_default(),
            resolver: Resolver::default(),
            files,
        }
    }

    /// Handles a gateway's new offer: stores it, and reads the files again.
    pub(super) fn handle_offer(
        &mut self,
        peer: &GatewayId,
        offer: Offer,
        config: &Arc<Config>,
        jobs: &Jobs,
    ) {
        let gateways = &config.own.gateways;
        self.offers
            .retain(|gateway, _| gateways.iter().any(|known| known.name == *gateway));
        self.resolver.set_offer(&peer.name, offer.resolvers);
        self.apply(config, jobs);

        let prefixes = offer.prefixes;
        let before = self.offers.insert(peer.name.clone(), prefixes.clone());
        if before.as_ref() == Some(&prefixes) {
            return;
        }

        let offers = self.offers.clone();
        let state_dir = config.state_dir.clone();
        let files = self.files.clone();
        jobs.run(move || {
            files.store_offers(state_dir, offers);
            Event::Shell(Input::Reload)
        });
    }

    /// A tunnel to `peer` came up or went down, so the host's resolver must change.
    pub(super) fn set_reachable(
        &self,
        peer: &GatewayId,
        is_reached: bool,
        config: &Arc<Config>,
        jobs: &Jobs,
    ) {
        if self.is_node {
            self.resolver.set_reachable(&peer.name, is_reached);
            self.apply(config, jobs);
        }
    }

    /// Points the host's resolver at the gateways that can be reached.
    pub(super) fn apply(&self, config: &Arc<Config>, jobs: &Jobs) {
        let resolver = self.resolver.clone();
        let config = config.clone();
        let files = self.files.clone();

        jobs.run_silently(move || resolver.apply(&config, files.attention()));
    }

    /// Restores what another program has changed of the host's resolver.
    pub(super) fn restore(&self, jobs: &Jobs) {
        if self.is_node {
            let resolver = self.resolver.clone();
            let files = self.files.clone();

            jobs.run_silently(move || resolver.restore(files.attention(), Instant::now()));
        }
    }

    /// The servers that the host asks, for an operator.
    pub(super) fn line(&self, config: &Config) -> Option<String> {
        self.resolver.line(config)
    }

    /// Restores the host's resolver before the daemon ends. Blocks for a moment.
    pub(super) fn withdraw(&self, config: &Config) {
        self.resolver.withdraw(config, self.files.attention());
    }
}
