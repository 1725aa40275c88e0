//! [`Terms`]: the names and addresses that Services may use.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::{Config, DnsName, OwnZone, Prefix};

/// What is ours to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Our zone.
    pub zone: OwnZone,
    /// This site's prefixes: no other address gets a name.
    pub prefixes: Vec<Prefix>,
    /// Names that no Service gets: the zone's own, and our gateways'.
    pub reserved: BTreeSet<DnsName>,
}

impl Terms {
    /// What `config` says.
    pub fn of(config: &Config) -> Terms {
        let zone = OwnZone::new(&config.own.org, &config.own.domain);
        let gateways = config.own.gateways.iter();
        let mut reserved: BTreeSet<DnsName> = gateways
            .filter_map(|gateway| zone.absolute(gateway.name.as_str()).ok())
            .collect();
        reserved.insert(DnsName::from(&zone.apex));

        Terms {
            zone,
            prefixes: config
                .own_prefixes()
                .iter()
                .map(|placed| placed.prefix)
                .collect(),
            reserved,
        }
    }

    /// True if `address` is this site's.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }
}
