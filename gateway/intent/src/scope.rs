//! [`Scope`]: what of this host's addresses and routes is worth a look.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Config, Prefix, TunName};

/// What of the host matters to a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The prefixes of our site, and of those that are served via it: routes to them count.
    pub own: Vec<Prefix>,
    /// Virtual addresses, which come and go with the gateway's role, and are renewed all the time:
    /// nothing else may depend on where they are.
    pub left_out: BTreeSet<IpAddr>,
    /// The device of WireGuard clients: as the TUN device, it is no way to the site.
    pub wireguard: Option<TunName>,
}

impl Scope {
    /// What matters to the gateway of `config`.
    pub fn of(config: &Config) -> Scope {
        Scope {
            own: config.served_prefixes(),
            left_out: config.ha.hosts().collect(),
            wireguard: config.wireguard.as_ref().map(|own| own.tun.clone()),
        }
    }

    /// The same, without the virtual addresses of an earlier configuration either: they are still
    /// there for a moment.
    pub fn without(mut self, earlier: impl IntoIterator<Item = IpAddr>) -> Scope {
        self.left_out.extend(earlier);
        self
    }
}
