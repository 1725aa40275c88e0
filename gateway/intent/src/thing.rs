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
    /// The MTU of a TUN device.
    Mtu(TunDevice),
    /// The interface group of a TUN device.
    Group(TunDevice),
    /// The length of a TUN device's queue.
    Queue(TunDevice),
    /// An address of the TUN device.
    Address(IpAddr),
    /// A kernel setting, with dots.
    Setting(String),
}

/// One of the daemon's TUN devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunDevice {
    /// That of the tunnels.
    Tunnels,
    /// That of WireGuard clients.
    Clients,
}

impl fmt::Display for TunDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TunDevice::Tunnels => "the TUN device",
            TunDevice::Clients => "the device of WireGuard clients",
        })
    }
}

impl Thing {
    /// The kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Thing::Table => "table",
            Thing::Rule => "rule",
            Thing::Routes => "routes",
            Thing::Mtu(_) => "mtu",
            Thing::Group(_) => "group",
            Thing::Queue(_) => "queue",
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
            Thing::Mtu(device) => write!(f, "MTU of {device}"),
            Thing::Group(device) => write!(f, "group of {device}"),
            Thing::Queue(device) => write!(f, "queue of {device}"),
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
