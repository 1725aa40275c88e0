//! [`Scope`]: which of this host's addresses and routes matter to the gateway.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Config, Prefix, TunName};

/// Which of this host's addresses and routes matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The prefixes of our site, and of sites that are served via it. Routes to these matter.
    pub own: Vec<Prefix>,
    /// Virtual addresses. They come and go with the gateway's role and are renewed all the time, so
    /// nothing else may depend on them.
    pub left_out: BTreeSet<IpAddr>,
    /// The device for WireGuard clients. Like the TUN device, it never leads to the site.
    pub wireguard: Option<TunName>,
}

impl Scope {
    /// The scope for the gateway of `config`.
    pub fn of(config: &Config) -> Scope {
        Scope {
            own: config.served_prefixes(),
            left_out: config.ha.hosts().collect(),
            wireguard: config.wireguard.as_ref().map(|own| own.tun.clone()),
        }
    }

    /// The same scope, which also leaves out virtual addresses of an earlier configuration: they
    /// stay for a moment.
    pub fn without(mut self, earlier: impl IntoIterator<Item = IpAddr>) -> Scope {
        self.left_out.extend(earlier);
        self
    }
}
