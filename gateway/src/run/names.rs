//! Starts everything that answers names: the checks of our hosts, the stored zones, and the DNS
//! server.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ringway_config::Config;
use ringway_core::Membership;
use ringway_dns::{Hold, Moment, Name, Options, Server, Zone};
use ringway_host::incoming::interface_of;

use super::blocking;
use crate::admin::Metrics;
use crate::attention::Attention;
use crate::dns_ports;
use crate::health::{self, Health};
use crate::names::Names;
use crate::state::{FailedAddresses, REMEDY, chain};
use crate::tasks::Tasks;
use crate::zones::Replicator;

/// Publishes our names and the stored names of the other gateways. Leaves out addresses whose last
/// check in the run before failed.
pub(super) async fn open_names(
    config: &Arc<Config>,
    members: &Arc<Membership>,
    zone: Zone,
    attention: &Attention,
) -> anyhow::Result<(Names, Replicator, Health)> {
    let config = config.clone();
    let members = members.clone();
    let attention = attention.clone();

    blocking(move || {
        let names = Names::open(&config, &members, zone, &attention);
        let heard = open_heard(&config, &attention);
        let health = open_health(&config, &attention);
        // Policy rules with names still mean every address.
        let fragment = without(&names.fragment, &health.failed());
        let replicator = Replicator::open(&names, fragment, heard, &config, &members, &attention);
        Ok((names, replicator, health))
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

/// Our fragment without the `failed` addresses.
fn without(fragment: &Arc<Zone>, failed: &HashSet<(Name, IpAddr)>) -> Arc<Zone> {
    if failed.is_empty() {
        return fragment.clone();
    }

    match fragment.without_addresses(failed) {
        Ok(zone) => Arc::new(zone),
        Err(error) => {
            tracing::warn!(%error, "Addresses that had failed their checks are not left out");
            fragment.clone()
        }
    }
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
    attention: &Attention,
    tasks: &Tasks,
) -> anyhow::Result<(Server, Metrics)> {
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
    tasks.spawn(dns_ports::report(server.missing(), attention.clone()));
    let metrics = Metrics {
        counters: server.counters(),
        cookies: server.cookies(),
        forwarder: names.forwarder.clone(),
    };
    Ok((server, metrics))
}
