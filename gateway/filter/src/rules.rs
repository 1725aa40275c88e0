//! [`Rules`]: one policy, compiled for the lookup of packets. Immutable but for its counts; a
//! reload makes new ones.

mod compile;
mod egress;
mod explain;
mod meaning;
mod services;
mod site;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ringway_config::{OnDenied, OrgId, PortRange, Prefix, Service, Target};

use self::egress::{EgressRules, Far};
pub use self::explain::Explanation;
pub(crate) use self::services::{Wanted, can_be_named};
use self::site::Site;
use crate::counts::{OrgCounts, RuleCounts};
use crate::holders::{Holder, Holders};
use crate::packet::{Bits, Header, bits};
use crate::spec::RulesSpec;

/// A compiled policy.
pub struct Rules {
    spec: RulesSpec,
    holders: Holders,
    /// In the order of their numbers.
    sites: Vec<Site>,
    orgs: Vec<Org>,
    egress: EgressRules,
    /// What each rule opened.
    opened: Vec<Arc<AtomicU64>>,
    /// The addresses of this host, in order.
    gateway: Vec<(bool, Bits)>,
}

struct Org {
    id: ringway_config::OrgId,
    denied: Arc<AtomicU64>,
    /// A number for its share of flows that outlasts these rules.
    share: u32,
}

/// Which rule let something in: a `[[policy.allow]]` by its place in the file, or one of these.
pub(crate) mod rule {
    pub(crate) const DNS: usize = usize::MAX;
    pub(crate) const DEFAULT_ECHO: usize = usize::MAX - 1;
}

impl Rules {
    /// Compiles `spec`. Counts begin at zero.
    pub fn compile(spec: &RulesSpec) -> Rules {
        compile::rules(spec, &HashMap::new(), &[])
    }

    /// Compiles `spec` in the place of `before`, whose counts go on for organizations and rules
    /// that are in both.
    pub fn replace(before: &Rules, spec: &RulesSpec) -> Rules {
        let denied = before
            .orgs
            .iter()
            .map(|org| (org.id.clone(), org.denied.clone()))
            .collect();
        let allow = before.spec.policy.allow.as_deref().unwrap_or_default();
        let opened: Vec<_> = allow.iter().zip(before.opened.iter().cloned()).collect();

        compile::rules(spec, &denied, &opened)
    }

    /// What these rules are compiled from.
    pub fn spec(&self) -> &RulesSpec {
        &self.spec
    }

    /// What was denied to each organization of the rules.
    pub fn orgs(&self) -> Vec<OrgCounts> {
        let counts = self.orgs.iter().map(|org| OrgCounts {
            org: org.id.clone(),
            denied: org.denied.load(Relaxed),
        });
        counts.collect()
    }

    /// What each `[[policy.allow]]` did, in the order of the file.
    pub fn rules(&self) -> Vec<RuleCounts> {
        let allow = self.spec.policy.allow.iter().flatten();
        let counts = allow.zip(&self.opened).map(|(rule, opened)| RuleCounts {
            place: rule.place.clone(),
            opened: opened.load(Relaxed),
        });
        counts.collect()
    }

    /// The place of a site by its number.
    #[inline(always)]
    pub(crate) fn site(&self, number: u32) -> Option<usize> {
        // Numbers are dense as a rule, without our own site's: one of two guesses is right.
        let guess = number as usize;
        for place in [guess, guess.wrapping_sub(1)] {
            let site = self.sites.get(place);
            if site.is_some_and(|site| site.number == number) {
                return Some(place);
            }
        }
        self.sites
            .binary_search_by_key(&number, |site| site.number)
            .ok()
    }

    /// The place of the site that a packet comes from which a gateway of site `from` has sealed:
    /// that one, or one that its gateways serve too. `None` if the source is in neither.
    #[inline(always)]
    pub(crate) fn sender(&self, from: u32, header: &Header<'_>) -> Option<usize> {
        let place = self.site(from)?;
        if !self.sites[place].serves_others {
            return Some(place);
        }

        match self.holder(header.v6, header.source) {
            Holder::Site(site) if self.sites[site].server == place => Some(site),
            _ => None,
        }
    }

    /// True if a host of `site` may report what became of a packet to `destination`: a packet to
    /// its own site, or to one that its gateways serve too.
    pub(crate) fn may_report(&self, site: usize, destination: usize) -> bool {
        site == destination || self.sites[destination].server == site
    }

    /// The organization whose site has `address`, if it is another site than ours.
    pub fn org_at(&self, address: IpAddr) -> Option<&OrgId> {
        let (v6, address) = bits(address);

        match self.holder(v6, address) {
            Holder::Site(site) => Some(self.org_of(site)),
            Holder::Own | Holder::Nobody => None,
        }
    }

    /// The number of a site.
    #[inline]
    pub(crate) fn number_of(&self, site: usize) -> u32 {
        self.sites[site].number
    }

    pub(crate) fn holder(&self, v6: bool, address: Bits) -> Holder {
        self.holders.lookup(v6, address)
    }

    /// The rule by which a host of `site` may open something at an address of ours.
    #[inline(always)]
    pub(crate) fn allowing(
        &self,
        site: usize,
        v6: bool,
        (source, destination): (Bits, Bits),
        wanted: Wanted,
    ) -> Option<usize> {
        self.sites[site]
            .services
            .find(v6, source, destination, wanted)
            .map(|offer| offer.rule)
    }

    /// True if former rules allowed it. To be asked only about what these do not allow.
    #[cold]
    pub(crate) fn was_allowed(
        &self,
        site: usize,
        v6: bool,
        (source, destination): (Bits, Bits),
        wanted: Wanted,
    ) -> bool {
        self.sites[site]
            .former
            .find(v6, source, destination, wanted)
            .is_some()
    }

    /// True if every host of ours may open everything.
    #[inline]
    pub(crate) fn is_egress_open(&self) -> bool {
        self.egress.is_open()
    }

    /// True if our host may open something at an address elsewhere.
    pub(crate) fn permits(
        &self,
        v6: bool,
        source: Bits,
        destination: Bits,
        wanted: Wanted,
    ) -> bool {
        self.permit(v6, source, destination, wanted).is_some()
    }

    fn permit(
        &self,
        v6: bool,
        source: Bits,
        destination: Bits,
        wanted: Wanted,
    ) -> Option<egress::Permit> {
        let holder = self.holder(v6, destination);
        let far = Far {
            v6,
            address: destination,
            is_at: &|origin| match holder {
                Holder::Site(site) => self.sites[site].is_meant_by(origin),
                Holder::Own | Holder::Nobody => false,
            },
        };
        self.egress.permits(source, far, wanted)
    }

    /// True for an address of this host.
    pub(crate) fn is_gateway(&self, v6: bool, address: Bits) -> bool {
        self.gateway.binary_search(&(v6, address)).is_ok()
    }

    #[inline]
    pub(crate) fn tunnel_port(&self) -> u16 {
        self.spec.tunnel_port
    }

    #[inline]
    pub(crate) fn wants_reject(&self) -> bool {
        self.spec.policy.denied == OnDenied::Reject
    }

    pub(crate) fn org_of(&self, site: usize) -> &ringway_config::OrgId {
        &self.sites[site].org
    }

    /// The number of a site's organization in the table of flows.
    #[inline]
    pub(crate) fn share(&self, site: usize) -> u32 {
        self.orgs[self.sites[site].org_index].share
    }

    #[inline]
    pub(crate) fn count_denied(&self, site: usize) {
        self.sites[site].denied.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_opened(&self, rule: usize) {
        if let Some(opened) = self.opened.get(rule) {
            opened.fetch_add(1, Relaxed);
        }
    }
}

/// The addresses that targets mean, inside our site's prefixes.
fn targets(spec: &RulesSpec, targets: &[Target]) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    for target in targets {
        match target {
            Target::Prefix(_) | Target::Node(_) => prefixes.extend(target.prefixes()),
            Target::Name(name) => {
                let addresses = spec.names.get(name).into_iter().flatten();
                let ours =
                    addresses.filter(|address| spec.own.iter().any(|own| own.contains(**address)));
                prefixes.extend(ours.map(|address| Prefix::host(*address)));
            }
        }
    }

    prefixes
}

/// Where this gateway answers DNS, and how.
fn dns_services(spec: &RulesSpec) -> Vec<(Prefix, [Service; 2])> {
    let mut offered = Vec::new();
    for listen in &spec.dns {
        let port = vec![PortRange::one(listen.port())];
        let services = [Service::Udp(port.clone()), Service::Tcp(port)];

        // A listener on every address also hears the host's public ones, which `admit` keeps out.
        if listen.ip().is_unspecified() {
            let family = spec
                .gateway
                .iter()
                .filter(|a| a.is_ipv4() == listen.is_ipv4());
            offered.extend(family.map(|address| (Prefix::host(*address), services.clone())));
        } else {
            offered.push((Prefix::host(listen.ip()), services));
        }
    }

    offered
}
