//! [`Thing`]: an object that the daemon has set in the kernel and that other programs may change;
//! [`Restoration`] and [`Missing`] report such changes. [`Finding`]: a rule or route of another
//! program that is in our way.

use std::fmt;
use std::net::IpAddr;

use crate::remedy::Remedy;

/// An object that the daemon has set in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// The nftables table.
    Table,
    /// The rule that leads to our routing table.
    Rule,
    /// The routes of our routing table.
    Routes,
    /// The MTU of the TUN device.
    Mtu,
    /// The interface group of the TUN device.
    Group,
    /// The length of the TUN device's queue.
    Queue,
    /// An address of the TUN device.
    Address(IpAddr),
    /// A kernel setting, with dots.
    Setting(String),
}

impl Thing {
    /// The kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Thing::Table => "table",
            Thing::Rule => "rule",
            Thing::Routes => "routes",
            Thing::Mtu => "mtu",
            Thing::Group => "group",
            Thing::Queue => "queue",
            Thing::Address(_) => "address",
            Thing::Setting(_) => "setting",
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Table => f.write_str("nftables table"),
            Thing::Rule => f.write_str("ip rule"),
            Thing::Routes => f.write_str("routes"),
            Thing::Mtu => f.write_str("MTU of the TUN device"),
            Thing::Group => f.write_str("group of the TUN device"),
            Thing::Queue => f.write_str("queue of the TUN device"),
            Thing::Address(address) => write!(f, "address {address} of the TUN device"),
            Thing::Setting(key) => f.write_str(key),
        }
    }
}

/// Another program changed an object, and the daemon has restored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The object.
    pub thing: Thing,
    /// Its name on this host, such as `ip rule 4600 (IPv6)`.
    pub name: String,
    /// Its state before, such as `gone`, or a value.
    pub found: String,
    /// The program that changed it, if the kernel reported it.
    pub by: Option<String>,
}

/// An object that is not as the daemon needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The object.
    pub thing: Thing,
    /// Its name on this host.
    pub name: String,
    /// Why it could not be restored.
    pub reason: String,
}

/// The result of comparing everything except rules and routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Objects that were changed and are restored.
    pub restored: Vec<Restoration>,
    /// Objects that are not as needed.
    pub missing: Vec<Missing>,
    /// Forwarding is on because of this daemon, so the daemon may switch it off.
    pub forwards_for_us: bool,
}

/// A rule or route of another program that is in our way. The daemon does not change it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The same for as long as the finding lasts.
    pub name: String,
    /// The problem, for an operator.
    pub what: String,
    /// How to fix it.
    pub remedy: Remedy,
}
