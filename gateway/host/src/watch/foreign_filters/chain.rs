//! [`BaseChain`]: a chain that the kernel calls at a [`Hook`] of the packet path.

/// Families of tables (linux/netfilter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Inet,
    V4,
    V6,
    Netdev,
}

/// A chain that is registered at a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseChain {
    pub(super) family: Family,
    pub(super) table: String,
    pub(super) name: String,
    pub(super) hook: Hook,
    /// For the hooks `ingress` and `egress`: the interfaces of the chain. A final `*` matches every
    /// name with that prefix.
    pub(super) devices: Vec<String>,
    /// Its policy is drop.
    pub(super) drops_by_default: bool,
    /// It is called before connection tracking.
    pub(super) is_early: bool,
    /// It belongs to iptables-legacy; nftables does not list it.
    pub(super) is_legacy: bool,
    /// It is of the type `nat`: it sees only the first packet of a connection, and may change its
    /// addresses and ports. Such a chain hardly ever drops.
    pub(super) translates: bool,
}

/// A hook of the packet path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// When an interface has received a packet, before all other hooks.
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    /// When a packet is handed to an interface, after all other hooks.
    Egress,
}

impl Hook {
    /// linux/netfilter.h: `enum nf_inet_hooks` and `nf_dev_hooks`.
    pub(super) fn read(family: Family, number: u32) -> Option<Hook> {
        match (family, number) {
            (Family::Netdev, 0) | (Family::Inet, 5) => Some(Hook::Ingress),
            (Family::Netdev, 1) => Some(Hook::Egress),
            (Family::Netdev, _) => None,
            (_, 0) => Some(Hook::Prerouting),
            (_, 1) => Some(Hook::Input),
            (_, 2) => Some(Hook::Forward),
            (_, 3) => Some(Hook::Output),
            (_, 4) => Some(Hook::Postrouting),
            _ => None,
        }
    }
}

impl BaseChain {
    /// False if the chain is not called for packets of `interface`.
    pub(super) fn sees(&self, interface: &str) -> bool {
        let matches = |device: &String| match device.strip_suffix('*') {
            Some(prefix) => interface.starts_with(prefix),
            None => device == interface,
        };

        !matches!(self.hook, Hook::Ingress | Hook::Egress) || self.devices.iter().any(matches)
    }
}

impl Family {
    pub(super) fn read(number: u8) -> Option<Family> {
        match i32::from(number) {
            1 => Some(Family::Inet),
            5 => Some(Family::Netdev),
            libc::AF_INET => Some(Family::V4),
            libc::AF_INET6 => Some(Family::V6),
            _ => None,
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Netdev => 5,
            Family::V4 => libc::AF_INET as u8,
            Family::V6 => libc::AF_INET6 as u8,
        }
    }

    /// In the notation of `nft`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::V4 => "ip",
            Family::V6 => "ip6",
            Family::Netdev => "netdev",
        }
    }

    /// The name of the iptables program.
    pub(super) fn iptables(self) -> &'static str {
        match self {
            Family::V6 => "ip6tables",
            Family::V4 | Family::Inet | Family::Netdev => "iptables",
        }
    }

    /// True if tables of this family see IPv4 packets (`is_v4`) or IPv6 packets.
    pub(super) fn includes(self, is_v4: bool) -> bool {
        match self {
            Family::Inet | Family::Netdev => true,
            Family::V4 => is_v4,
            Family::V6 => !is_v4,
        }
    }
}
