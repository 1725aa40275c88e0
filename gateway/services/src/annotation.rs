//! Parses the annotations of a Service.
//!
//! | annotation | value |
//! |---|---|
//! | `ringway.io/name` | names of our zone, relative or absolute, by spaces or commas |
//! | `ringway.io/address` | addresses in place of those that are found |
//! | `ringway.io/from` | `endpoints`, `load-balancer` or `nodes`: where they are found |

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::DnsName;

use crate::finding::Problem;
use crate::limits;
use crate::object::Kind;
use crate::terms::Terms;

const NAME: &str = "ringway.io/name";
const ADDRESS: &str = "ringway.io/address";

/// Where the addresses of a Service come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its ready endpoints.
    Endpoints,
    /// What the cloud gave it.
    LoadBalancer,
    /// The nodes that pass its packets on.
    Nodes,
    /// None: it is an alias.
    Nowhere,
}

/// The names in `text`, each once.
pub(crate) fn names(text: &str, terms: &Terms, problems: &mut Vec<Problem>) -> BTreeSet<DnsName> {
    let mut names = BTreeSet::new();
    if text.len() > limits::ANNOTATION_BYTES {
        problems.push(Problem::LongAnnotation(NAME));
        return names;
    }

    let count = words(text).count();
    if count == 0 || count > limits::NAMES_OF_A_SERVICE {
        problems.push(Problem::Count(count));
    }
    for word in words(text).take(limits::NAMES_OF_A_SERVICE) {
        match terms.zone.absolute(word) {
            Ok(name) if terms.reserved.contains(&name) => problems.push(Problem::Reserved(name)),
            Ok(name) if terms.zone.holds(&name) => {
                names.insert(name);
            }
            _ => problems.push(Problem::Name(word.to_owned())),
        }
    }
    names
}

/// The addresses in `text`, each once.
pub(crate) fn addresses(text: &str, problems: &mut Vec<Problem>) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    if text.len() > limits::ANNOTATION_BYTES {
        problems.push(Problem::LongAnnotation(ADDRESS));
        return addresses;
    }

    for word in words(text) {
        match word.parse() {
            Ok(address) => {
                addresses.insert(address);
            }
            Err(_) => problems.push(Problem::Address(word.to_owned())),
        }
    }
    addresses
}

/// Where a Service of this kind has its addresses from; `text` may say otherwise.
pub(crate) fn origin(text: Option<&str>, kind: Kind, problems: &mut Vec<Problem>) -> Origin {
    let usual = match kind {
        Kind::ClusterIp => Origin::Endpoints,
        Kind::NodePort => Origin::Nodes,
        Kind::LoadBalancer => Origin::LoadBalancer,
        Kind::ExternalName => return Origin::Nowhere,
    };

    match text {
        None => usual,
        Some("endpoints") => Origin::Endpoints,
        Some("load-balancer") => Origin::LoadBalancer,
        Some("nodes") => Origin::Nodes,
        Some(other) => {
            problems.push(Problem::From(other.to_owned()));
            usual
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}
