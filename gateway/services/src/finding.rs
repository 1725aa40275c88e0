//! [`Finding`]: why a Service does not have what its annotations ask for.

use std::fmt;
use std::net::IpAddr;

use ringway_config::{DnsName, Escaped};

use crate::limits;
use crate::object::Key;

/// One finding. It concerns one Service and keeps no other from its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The Service.
    pub service: Key,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// An annotation is longer than what is read.
    LongAnnotation(&'static str),
    /// `ringway.io/name` has no name, or too many.
    Count(usize),
    /// Not a name, or none of our zone.
    Name(String),
    /// A name that only the files give.
    Reserved(DnsName),
    /// An older Service has the name.
    Claimed {
        /// The name.
        name: DnsName,
        /// The older Service.
        by: Key,
    },
    /// All Services together have too many names.
    TooManyNames(DnsName),
    /// All names together have too many addresses.
    TooManyRecords,
    /// `ringway.io/address` holds something else.
    Address(String),
    /// `ringway.io/from` holds something else.
    From(String),
    /// An address outside this site.
    Foreign(IpAddr),
    /// More addresses than a name may have.
    TooManyAddresses(usize),
    /// The load balancer has a name instead of an address.
    Hostname(String),
    /// The load balancer has no address yet.
    NoIngress,
    /// Nothing of the Service is ready.
    NotReady,
    /// Nodes are not watched.
    NodesUnknown,
    /// No node is ready and passes its packets on.
    NoNode,
    /// It is an alias of another name.
    Alias,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service {}: {}", self.service, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::LongAnnotation(key) => write!(
                f,
                "{key} has more than {} bytes and is not read",
                limits::ANNOTATION_BYTES
            ),
            Problem::Count(0) => write!(f, "ringway.io/name is empty; write a name such as peer0"),
            Problem::Count(count) => write!(
                f,
                "ringway.io/name has {count} names, of which {} are used",
                limits::NAMES_OF_A_SERVICE
            ),
            Problem::Name(text) => write!(
                f,
                "\"{}\" is no name of our zone; write a name such as peer0",
                shown(text)
            ),
            Problem::Reserved(name) => write!(f, "{name} is named by the files alone"),
            Problem::Claimed { name, by } => {
                write!(f, "{name} belongs to the older Service {by}; rename one")
            }
            Problem::TooManyNames(name) => {
                write!(f, "{name} would be one name more than {}", limits::NAMES)
            }
            Problem::TooManyRecords => write!(
                f,
                "the names of all Services would have more than {} addresses; its own are left out",
                limits::RECORDS
            ),
            Problem::Address(text) => {
                write!(f, "\"{}\" in ringway.io/address is no address", shown(text))
            }
            Problem::From(text) => write!(
                f,
                "\"{}\" in ringway.io/from is none of endpoints, load-balancer and nodes",
                shown(text)
            ),
            Problem::Foreign(address) => write!(
                f,
                "{address} is in no prefix of this site, and members could not reach it; it is \
                 left out"
            ),
            Problem::TooManyAddresses(count) => write!(
                f,
                "it has {count} addresses, of which {} are used",
                limits::ADDRESSES
            ),
            Problem::Hostname(text) => write!(
                f,
                "its load balancer has the name \"{}\" instead of an address; write its address to \
                 ringway.io/address",
                shown(text)
            ),
            Problem::NoIngress => write!(f, "its load balancer has no address yet"),
            Problem::NotReady => write!(f, "no endpoint is ready, so that its names are left out"),
            Problem::NodesUnknown => write!(
                f,
                "it is reached at the nodes, which are not watched; write nodes = true in \
                 [dns.kubernetes], or the address of what stands before them to \
                 ringway.io/address"
            ),
            Problem::NoNode => write!(f, "no node is ready and passes its packets on"),
            Problem::Alias => write!(f, "of type ExternalName, it has no addresses"),
        }
    }
}

/// The beginning of a text of others, safe to print.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(limits::SHOWN).collect();
    Escaped(&beginning).to_string()
}
