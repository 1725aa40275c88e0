//! [`EgressRules`]: the connections that hosts of our site may open in other sites.

use ringway_config::{AllowEgress, Egress, Origin, Prefix};

use super::services::{Offer, Services, Wanted, contains};
use crate::packet::{Bits, bits};
use crate::spec::RulesSpec;

pub(crate) struct EgressRules {
    mode: Egress,
    /// DNS and gateway addresses, which may always open, in order.
    always: Vec<(bool, Bits)>,
    /// Addresses that our zone names, in order.
    named: Vec<(bool, Bits)>,
    added: Vec<Added>,
}

/// One `[[policy.allow-egress]]`.
struct Added {
    from: Vec<Prefix>,
    to: Vec<Origin>,
    /// Its services, at every destination.
    services: Services,
}

/// Why a host may open something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    Mode,
    Rule(usize),
}

/// The far end of what is opened.
#[derive(Clone, Copy)]
pub(crate) struct Far<'r> {
    pub(crate) v6: bool,
    pub(crate) address: Bits,
    /// Tells whether an origin that is no prefix means the far end's site.
    pub(crate) is_at: &'r dyn Fn(&Origin) -> bool,
}

impl EgressRules {
    pub(crate) fn new(spec: &RulesSpec) -> EgressRules {
        // A wildcard stands for the gateway's own addresses, which follow.
        let dns = spec.dns.iter().map(|listen| listen.ip());
        let always = dns
            .filter(|address| !address.is_unspecified())
            .chain(spec.gateway.iter().copied());
        let named = spec.names.values().flatten().copied();

        EgressRules {
            mode: spec.policy.egress,
            always: in_order(always.map(bits)),
            named: in_order(named.map(bits)),
            added: spec
                .policy
                .allow_egress
                .iter()
                .map(|rule| Added::new(spec, rule))
                .collect(),
        }
    }

    /// True if every host may open everything.
    pub(crate) fn is_open(&self) -> bool {
        self.mode == Egress::All
    }

    pub(crate) fn permits(&self, source: Bits, far: Far<'_>, wanted: Wanted) -> Option<Permit> {
        if self.is_open() || self.is_always(far.v6, source) {
            return Some(Permit::Mode);
        }
        if self.mode == Egress::Named && self.named.binary_search(&(far.v6, source)).is_ok() {
            return Some(Permit::Mode);
        }

        self.added
            .iter()
            .position(|added| added.permits(source, far, wanted))
            .map(Permit::Rule)
    }

    /// True for the gateway's own addresses.
    pub(crate) fn is_always(&self, v6: bool, source: Bits) -> bool {
        self.always.binary_search(&(v6, source)).is_ok()
    }
}

impl Added {
    fn new(spec: &RulesSpec, rule: &AllowEgress) -> Added {
        let every = ["0.0.0.0/0", "::/0"].map(|text| text.parse::<Prefix>().expect("a prefix"));
        let mut offers = Vec::new();
        for to in every {
            for service in &rule.services {
                let of_service = Offer::of(service, !to.is_ipv4(), &[], 0);
                offers.extend(of_service.into_iter().map(|offer| (to, offer)));
            }
        }

        Added {
            from: super::targets(spec, &rule.from),
            to: rule.to.clone(),
            services: Services::new(offers),
        }
    }

    fn permits(&self, source: Bits, far: Far<'_>, wanted: Wanted) -> bool {
        contains(&self.from, far.v6, source)
            && self.to.iter().any(|origin| match origin {
                Origin::Prefix(prefix) => contains(&[*prefix], far.v6, far.address),
                origin => (far.is_at)(origin),
            })
            && self
                .services
                .find(far.v6, source, far.address, wanted)
                .is_some()
    }
}

fn in_order(addresses: impl Iterator<Item = (bool, Bits)>) -> Vec<(bool, Bits)> {
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
