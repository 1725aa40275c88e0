//! From a [`RulesSpec`] to [`Rules`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ringway_config::{Allow, OrgId, Policy, Prefix, Service};

use super::egress::EgressRules;
use super::services::{Offer, Services};
use super::site::{Site, sources};
use super::{Org, Rules, dns_services, rule, targets};
use crate::holders::{Holder, Holders};
use crate::packet::bits;
use crate::spec::{RemoteSite, RulesSpec};

/// Sources for which a rule counts at one site, by the rule's place in its policy.
type Applicable = Vec<(usize, Vec<Prefix>)>;

/// Compiles `spec`. `denied` and `opened` are counts of before that go on.
pub(super) fn rules(
    spec: &RulesSpec,
    denied: &HashMap<OrgId, Arc<AtomicU64>>,
    opened: &[(&Allow, Arc<AtomicU64>)],
) -> Rules {
    let mut remote: Vec<&RemoteSite> = spec.sites.iter().collect();
    remote.sort_by_key(|site| site.number);
    // A number means one site: packets are counted and judged by it.
    remote.dedup_by_key(|site| site.number);

    let orgs = orgs(&remote, denied);
    let mut current = Profiles::default();
    let mut former = Profiles::default();
    let mut sites = Vec::with_capacity(remote.len());
    for (place, site) in remote.iter().enumerate() {
        let org_index = orgs
            .binary_search_by(|org| org.id.cmp(&site.org))
            .expect("every site's organization is listed");

        sites.push(Site::new(
            site,
            server(site, place, &remote),
            org_index,
            current.of(spec, &[&spec.policy], site),
            former.of(spec, &spec.former.iter().collect::<Vec<_>>(), site),
            orgs[org_index].denied.clone(),
        ));
    }

    for place in 0..sites.len() {
        let server = sites[place].server;
        if server != place && server < sites.len() {
            sites[server].serves_others = true;
        }
    }

    let mut gateway: Vec<_> = spec.gateway.iter().copied().map(bits).collect();
    gateway.sort_unstable();
    Rules {
        holders: holders(spec, &remote),
        sites,
        orgs,
        egress: EgressRules::new(spec),
        opened: opened_counts(spec, opened),
        gateway,
        spec: spec.clone(),
    }
}

/// The place of the site whose gateways serve `site`, which is at `place`. Without that site, a
/// place where none is: nobody's packets come from there.
fn server(site: &RemoteSite, place: usize, sites: &[&RemoteSite]) -> usize {
    let Some(via) = site.via else { return place };

    let found = sites.binary_search_by_key(&via, |site| site.number);
    found.unwrap_or(usize::MAX)
}

/// The organizations in order.
fn orgs(sites: &[&RemoteSite], denied: &HashMap<OrgId, Arc<AtomicU64>>) -> Vec<Org> {
    let mut ids: Vec<&OrgId> = sites.iter().map(|site| &site.org).collect();
    ids.sort();
    ids.dedup();

    let orgs = ids.into_iter().map(|id| Org {
        id: id.clone(),
        denied: denied.get(id).cloned().unwrap_or_default(),
        share: share_number(id),
    });
    orgs.collect()
}

/// FNV-1a, which is the same in all rules: the table of flows remembers it. Two organizations with
/// one number share one part, which is rare and harms nobody else.
fn share_number(org: &OrgId) -> u32 {
    org.as_str().bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn holders(spec: &RulesSpec, sites: &[&RemoteSite]) -> Holders {
    let own = spec.own.iter().map(|prefix| (*prefix, Holder::Own));
    let remote = sites.iter().enumerate().flat_map(|(index, site)| {
        site.prefixes
            .iter()
            .map(move |prefix| (*prefix, Holder::Site(index)))
    });

    Holders::new(own.chain(remote))
}

fn opened_counts(spec: &RulesSpec, before: &[(&Allow, Arc<AtomicU64>)]) -> Vec<Arc<AtomicU64>> {
    let allow = spec.policy.allow.iter().flatten();
    let counts = allow.map(|rule| {
        before
            .iter()
            .find(|(old, _)| is_same(old, rule))
            .map(|(_, count)| count.clone())
            .unwrap_or_default()
    });
    counts.collect()
}

/// True if two rules say the same, wherever they stand.
fn is_same(one: &Allow, other: &Allow) -> bool {
    one.from == other.from && one.to == other.to && one.services == other.services
}

/// The services of sites. Sites for which the same rules count share one table: there may be
/// hundreds of sites, and mostly few kinds of them.
#[derive(Default)]
struct Profiles {
    made: BTreeMap<Vec<Applicable>, Arc<Services>>,
}

impl Profiles {
    /// What `site` may open by any of `policies`.
    fn of(&mut self, spec: &RulesSpec, policies: &[&Policy], site: &RemoteSite) -> Arc<Services> {
        let key: Vec<Applicable> = policies
            .iter()
            .map(|policy| applicable(policy, site))
            .collect();
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }

        let mut offers = Vec::new();
        for (policy, applicable) in policies.iter().zip(&key) {
            add_offers(spec, policy, applicable, &mut offers);
        }
        let services = Arc::new(Services::new(offers));
        self.made.insert(key, services.clone());
        services
    }
}

fn applicable(policy: &Policy, site: &RemoteSite) -> Applicable {
    let rules = policy.allow.iter().flatten().enumerate();
    rules
        .filter_map(|(index, rule)| Some((index, sources(site, &rule.from)?)))
        .collect()
}

fn add_offers(
    spec: &RulesSpec,
    policy: &Policy,
    applicable: &Applicable,
    offers: &mut Vec<(Prefix, Offer)>,
) {
    match policy.allow.as_deref() {
        // The operator wants nothing opened at all, DNS included.
        Some([]) => {}
        Some(allow) => {
            // Names must resolve for what any rule allows.
            add_dns(spec, offers);
            for (index, sources) in applicable {
                let rule = &allow[*index];
                for to in targets(spec, &rule.to) {
                    add(offers, to, &rule.services, sources, *index);
                }
            }
        }
        None => {
            add_dns(spec, offers);
            for own in &spec.own {
                add(offers, *own, &[Service::Icmp], &[], rule::DEFAULT_ECHO);
            }
        }
    }
}

fn add_dns(spec: &RulesSpec, offers: &mut Vec<(Prefix, Offer)>) {
    for (to, services) in dns_services(spec) {
        add(offers, to, &services, &[], rule::DNS);
    }
}

fn add(
    offers: &mut Vec<(Prefix, Offer)>,
    to: Prefix,
    services: &[Service],
    sources: &[Prefix],
    rule: usize,
) {
    for service in services {
        let of_service = Offer::of(service, !to.is_ipv4(), sources, rule);
        offers.extend(of_service.into_iter().map(|offer| (to, offer)));
    }
}
