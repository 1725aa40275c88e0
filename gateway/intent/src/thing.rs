//! [`Thing`]: what a daemon has set in the kernel and other programs may change, and what became of
//! it: [`Restoration`], [`Missing`]. And [`Finding`]: what others have set that is in our way.

use std::fmt;
use std::net::IpAddr;

use crate::remedy::Remedy;

/// Something that the daemon has set in the kernel.
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

/// Another program changed something, and it is again as the daemon has set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// What.
    pub thing: Thing,
    /// Its name on this host, such as `ip rule 4600 (IPv6)`.
    pub name: String,
    /// How it was found, such as `gone`, or a value.
    pub found: String,
    /// The program that changed it, if the kernel told.
    pub by: Option<String>,
}

/// Something is not as the daemon needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub thing: Thing,
    /// Its name on this host.
    pub name: String,
    /// Why it was not restored.
    pub reason: String,
}

/// What a comparison of everything but rules and routes has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Changed by others, and restored.
    pub restored: Vec<Restoration>,
    /// Not as needed.
    pub missing: Vec<Missing>,
    /// Forwarding is on because of this daemon, so that it can be switched off.
    pub forwards_for_us: bool,
}

/// Something that others have set, that is in our way, and that is not ours to change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Stays the same while it lasts.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What fixes it.
    pub remedy: Remedy,
}
