//! Starts everything that answers names: the checks of our hosts, the stored zones, and the DNS
//! server.

use std::sync::Arc;
use std::time::Instant;

use ringway_config::Config;
use ringway_core::Membership;
use ringway_dns::{Hold, Moment, Options, Server, Zone};
use ringway_host::incoming::interface_of;
use ringway_intent::Links;

use super::blocking;
use super::gateway::State;
use crate::admin::Metrics;
use crate::attention::Attention;
use crate::dns_ports;
use crate::health::{self, Health};
use crate::kubernetes;
use crate::names::Names;
use crate::names::derive::Derivation;
use crate::state::{FailedAddresses, REMEDY, ServiceNames, chain};
use crate::tasks::Tasks;
use crate::zones::Replicator;

/// Publishes our names and the stored names of the other gateways. Leaves out addresses whose last
/// check in the run before failed; names of Kubernetes Services are those of the run before.
pub(super) async fn open_names(
    config: &Arc<Config>,
    members: &Arc<Membership>,
    zone: Zone,
    attention: &Attention,
) -> anyhow::Result<(Names, Replicator, Health, Arc<ServiceNames>)> {
    let config = config.clone();
    let members = members.clone();
    let attention = attention.clone();

    blocking(move || {
        let names = Names::open(&config, &members, zone, &attention);
        let heard = open_heard(&config, &attention);
        let health = open_health(&config, &attention);
        // Policy rules with names still mean every address.
        let services = open_services(&config);
        let derivation = Derivation {
            of: names.fragment.clone(),
            services: services.clone(),
            ttl: config.dns.ttl,
            failed: health.failed(),
        };
        let fragment = derivation.run().fragment;
        let replicator = Replicator::open(&names, fragment, heard, &config, &members, &attention);
        Ok((names, replicator, health, services))
    })
    .await
}

/// The checks of our hosts' addresses, with the results of the run before. Blocks.
fn open_health(config: &Config, attention: &Attention) -> Health {
    let stored = FailedAddresses::read(&config.state_dir);
    let health = Health::new(config, &stored, Instant::now());

    if let Some(what) = health.summary() {
        attention.raise(health::FAILED, &what, health::REMEDY);
    }
    health
}

/// The names of Kubernetes Services as they were when the run before ended. Blocks.
fn open_services(config: &Config) -> Arc<ServiceNames> {
    // Not even the file is looked for unless it is asked for.
    let stored = match config.dns.kubernetes {
        Some(_) => ServiceNames::read(&config.state_dir),
        None => ServiceNames::default(),
    };

    Arc::new(kubernetes::ours(&stored, config))
}

/// When each member was last heard from, as far as that can be read. Blocks.
fn open_heard(config: &Config, attention: &Attention) -> Hold {
    let path = config.state_dir.join("heard");

    Hold::open(&path, Moment::now()).unwrap_or_else(|error| {
        let what = format!(
            "when members were last heard cannot be read: {}",
            chain(&error)
        );
        attention.raise("state heard", &what, REMEDY);
        Hold::unread(&path)
    })
}

/// Binds the DNS server to the configured addresses that this host has.
pub(super) async fn bind_dns(
    config: &Config,
    names: &Names,
    links: &Links,
    state: &State,
    tasks: &Tasks,
) -> anyhow::Result<(Server, Metrics)> {
    // Queries are answered only once the interfaces are known by which clients' packets arrive.
    names.set_arrivals(config, links);
    let options = Options {
        nsid: config.id.to_string().into_bytes(),
        public: config.dns.public_listen,
        forwarder: names.forwarder.clone(),
        query_log: names.query_log.clone(),
        rate: names.rate.clone(),
        interface_of: Some(interface_of),
    };
    let zones = names.zones.clone();
    let acl = names.acl.clone();

    let server = Server::bind_available(&config.dns.listen, zones, acl, options).await?;
    tasks.spawn(dns_ports::report(server.missing(), state.attention.clone()));
    let metrics = Metrics {
        counters: server.counters(),
        cookies: server.cookies(),
        forwarder: names.forwarder.clone(),
    };
    Ok((server, metrics))
}
