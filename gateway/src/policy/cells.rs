//! `Cells`: one representative connection for each part of a range that rules can distinguish.
//!
//! A verdict is the same for all addresses and ports between two neighbouring bounds of the
//! prefixes and port ranges that rules and sites name. So it is enough to evaluate the first of
//! each part.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::{Asked, Egress, Origin, PortRange, Prefix, Service, Target};
use ringway_filter::RulesSpec;

/// The bounds between parts.
pub(super) struct Cells {
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
}

impl Cells {
    pub(super) fn of(spec: &RulesSpec) -> Cells {
        let mut cells = Cells {
            addresses: BTreeSet::new(),
            ports: BTreeSet::new(),
        };

        let sites = spec.sites.iter().flat_map(|site| &site.prefixes);
        for prefix in sites.chain(&spec.own) {
            cells.add_prefix(prefix);
        }
        for address in &spec.gateway {
            cells.add_prefix(&Prefix::host(*address));
        }
        for listen in &spec.dns {
            cells.add_prefix(&Prefix::host(listen.ip()));
            cells.add_ports(&PortRange::one(listen.port()));
        }
        cells.add_ports(&PortRange::one(spec.tunnel_port));
        cells.add_rules(spec);
        // Names of addresses matter only in this mode.
        if spec.policy.egress == Egress::Named {
            for address in spec.names.values().flatten() {
                cells.add_prefix(&Prefix::host(*address));
            }
        }

        cells
    }

    fn add_rules(&mut self, spec: &RulesSpec) {
        for rule in spec.policy.allow.iter().flatten() {
            self.add_origins(&rule.from);
            self.add_targets(&rule.to, spec);
            self.add_services(&rule.services);
        }
        for rule in &spec.policy.allow_egress {
            self.add_targets(&rule.from, spec);
            self.add_origins(&rule.to);
            self.add_services(&rule.services);
        }
    }

    fn add_origins(&mut self, origins: &[Origin]) {
        for origin in origins {
            // The prefixes of sites are bounds already.
            if let Origin::Prefix(prefix) = origin {
                self.add_prefix(prefix);
            }
        }
    }

    fn add_targets(&mut self, targets: &[Target], spec: &RulesSpec) {
        for target in targets {
            match target {
                Target::Prefix(_) | Target::Node(_) => {
                    for prefix in target.prefixes() {
                        self.add_prefix(prefix);
                    }
                }
                Target::Name(name) => {
                    for address in spec.names.get(name).into_iter().flatten() {
                        self.add_prefix(&Prefix::host(*address));
                    }
                }
            }
        }
    }

    fn add_services(&mut self, services: &[Service]) {
        for service in services {
            if let Service::Tcp(ports) | Service::Udp(ports) = service {
                for range in ports {
                    self.add_ports(range);
                }
            }
        }
    }

    fn add_prefix(&mut self, prefix: &Prefix) {
        self.addresses.insert(prefix.address());
        self.addresses.extend(after(prefix.last()));
    }

    fn add_ports(&mut self, range: &PortRange) {
        self.ports.insert(range.first);
        self.ports.extend(range.last.checked_add(1));
    }

    /// The first address of each part of `prefixes`.
    pub(super) fn addresses(&self, prefixes: &[Prefix]) -> Vec<IpAddr> {
        let mut firsts = BTreeSet::new();
        for prefix in prefixes {
            firsts.insert(prefix.address());
            firsts.extend(self.addresses.range(prefix.address()..=prefix.last()));
        }

        firsts.into_iter().collect()
    }

    /// The first of each part of `services`.
    pub(super) fn services(&self, services: &[Service]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for service in services {
            match service {
                Service::Tcp(ports) => asked.extend(self.ports(ports).map(Asked::Tcp)),
                Service::Udp(ports) => asked.extend(self.ports(ports).map(Asked::Udp)),
                Service::Icmp => asked.push(Asked::Echo),
                Service::Protocol(number) => asked.push(Asked::Protocol(*number)),
            }
        }

        asked
    }

    fn ports(&self, ranges: &[PortRange]) -> impl Iterator<Item = u16> + use<> {
        let any = [PortRange {
            first: 1,
            last: u16::MAX,
        }];
        let ranges = if ranges.is_empty() { &any } else { ranges };

        let mut firsts = BTreeSet::new();
        for range in ranges {
            firsts.insert(range.first);
            firsts.extend(self.ports.range(range.first..=range.last));
        }
        firsts.into_iter()
    }
}

/// The next address of the family.
fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into()),
        IpAddr::V6(v6) => Some(Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringway_config::{Allow, AllowEgress, Place, Policy};
    use ringway_filter::RemoteSite;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn spec(egress: Egress) -> RulesSpec {
        let place = || Place::whole(Path::new("gateway.toml"));
        let ports = |first, last| vec![PortRange { first, last }];
        let allow = Allow {
            from: vec![Origin::All],
            to: vec![Target::Prefix(prefix("10.1.0.8/30"))],
            services: vec![Service::Tcp(ports(7050, 7054))],
            place: place(),
        };
        let allow_egress = AllowEgress {
            from: vec![Target::Prefix(prefix("10.1.4.0/24"))],
            to: vec![Origin::Prefix(prefix("10.2.9.0/24"))],
            services: vec![Service::Udp(ports(500, u16::MAX))],
            place: place(),
        };

        RulesSpec {
            policy: Policy {
                allow: Some(vec![allow]),
                egress,
                allow_egress: vec![allow_egress],
                ..Policy::default()
            },
            former: Vec::new(),
            site: 0,
            own: vec![prefix("10.1.0.0/16")],
            sites: vec![RemoteSite {
                number: 1,
                org: "beta".parse().unwrap(),
                site: "east".parse().unwrap(),
                prefixes: vec![prefix("10.2.0.0/16")],
                has_gateways: true,
                via: None,
            }],
            names: [(
                "db.acme.example".parse().unwrap(),
                vec!["10.1.7.7".parse().unwrap()],
            )]
            .into(),
            dns: vec!["10.1.0.2:5353".parse().unwrap()],
            gateway: vec!["10.1.0.1".parse().unwrap()],
            tunnel_port: 4600,
        }
    }

    fn addresses(cells: &Cells, of: &str) -> Vec<String> {
        let found = cells.addresses(&[prefix(of)]);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_bound_that_rules_tell_apart_begins_a_part() {
        let cells = Cells::of(&spec(Egress::Named));
        assert_eq!(
            addresses(&cells, "10.1.0.0/16"),
            [
                "10.1.0.0",
                "10.1.0.1",
                "10.1.0.2",
                "10.1.0.3",
                "10.1.0.8",
                "10.1.0.12",
                "10.1.4.0",
                "10.1.5.0",
                "10.1.7.7",
                "10.1.7.8",
            ]
        );
        assert_eq!(
            addresses(&cells, "10.2.0.0/16"),
            ["10.2.0.0", "10.2.9.0", "10.2.10.0"]
        );
        assert_eq!(addresses(&cells, "10.1.9.0/24"), ["10.1.9.0"]);

        let every = [1, 500, 4600, 4601, 5353, 5354, 7050, 7055].map(Asked::Tcp);
        assert_eq!(cells.services(&[Service::Tcp(Vec::new())]), every);
        let some = Service::Udp(vec![PortRange {
            first: 7000,
            last: 7060,
        }]);
        assert_eq!(
            cells.services(&[some, Service::Icmp]),
            [
                Asked::Udp(7000),
                Asked::Udp(7050),
                Asked::Udp(7055),
                Asked::Echo
            ]
        );
    }

    #[test]
    fn names_are_bounds_only_where_they_decide() {
        let cells = Cells::of(&spec(Egress::All));
        assert!(!addresses(&cells, "10.1.0.0/16").contains(&"10.1.7.7".to_owned()));
    }
}
