//! [`conflict`]: two daemons on one host whose routes have the same numbers.

use ringway_config::{Config, Routes};
use ringway_host::routes::neighbour;
use ringway_intent::{Finding, Remedy};

/// The finding that another daemon on this host uses the numbers of our routes.
pub async fn conflict(config: &Config) -> Option<Finding> {
    let mut own = vec![config.tun.as_str()];
    own.extend(
        config
            .wireguard
            .as_ref()
            .map(|wireguard| wireguard.tun.as_str()),
    );
    // Without an answer, the routes themselves will fail.
    let device = neighbour(config.routes, &own).await.ok().flatten()?;

    let Routes {
        table,
        protocol,
        mark,
    } = config.routes;
    Some(Finding {
        name: "routes numbers".into(),
        what: format!(
            "another ringway on this host, with the device {device}, has routes in table {table} \
             with protocol {protocol}: each would remove the other's"
        ),
        remedy: Remedy::from(format!(
            "give each its own numbers: [routes] table, protocol (two apart) and mark, which is \
             {mark:#x} here"
        )),
    })
}
