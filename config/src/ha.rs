//! [`Ha`]: `[ha]` of `gateway.toml`, how this site's hosts follow a takeover: virtual addresses,
//! and commands that change something outside of this host.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::keys::gateway::HA;
use crate::{Config, Fault, Prefix, defaults};

/// What moves with the role of the site's active gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ha {
    /// The addresses that the active gateway has, each once.
    pub addresses: Vec<VirtualAddress>,
    /// The interface that has them then; empty only if there are none.
    pub interface: String,
    /// Of two gateways of a site, the one with the higher preference is active.
    pub preference: u8,
    /// What runs when this gateway becomes the active one.
    pub on_active: Option<Hook>,
    /// What runs when it stops being that.
    pub on_standby: Option<Hook>,
}

/// A program, by its absolute path, and its arguments. Never a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// An address of a host, and the length of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Its network, as the hosts around it have it.
    pub network: Prefix,
}

/// Why a text is not the address of a host with the length of its network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VirtualAddressError {
    /// Not an address, a slash and a length that the family has.
    #[error("{0:?} is not an address and the length of its network")]
    Syntax(String),
    /// An address alone.
    #[error("{0} has no length of its network; write \"{0}/{1}\" with that of the hosts there")]
    NoLength(IpAddr, u8),
    /// Nothing can have it as its address.
    #[error("{0} cannot be the address of a host")]
    NotOfAHost(IpAddr),
    /// The first or last address of the network.
    #[error("{address} stands for {network} as a whole, and cannot be the address of a host")]
    Network {
        /// The address.
        address: IpAddr,
        /// The network.
        network: Prefix,
    },
}

impl Default for Ha {
    fn default() -> Ha {
        Ha {
            addresses: Vec::new(),
            interface: String::new(),
            preference: defaults::PREFERENCE,
            on_active: None,
            on_standby: None,
        }
    }
}

impl Ha {
    /// True if nothing follows this gateway's role.
    pub fn is_idle(&self) -> bool {
        self.addresses.is_empty() && self.on_active.is_none() && self.on_standby.is_none()
    }

    /// The addresses alone.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().map(|one| one.address)
    }

    /// True if `address` is one of the virtual addresses.
    pub fn has(&self, address: IpAddr) -> bool {
        self.hosts().any(|host| host == address)
    }
}

impl FromStr for VirtualAddress {
    type Err = VirtualAddressError;

    fn from_str(text: &str) -> Result<VirtualAddress, VirtualAddressError> {
        let parsed = text.split_once('/').and_then(|(address, len)| {
            // `u8::from_str` alone would accept a plus sign.
            let is_number = len.bytes().all(|byte| byte.is_ascii_digit());
            let address: IpAddr = address.parse().ok()?;
            let len = len.parse().ok().filter(|_| is_number)?;
            Some((address, Prefix::holding(address, len)?))
        });
        let Some((address, network)) = parsed else {
            return Err(match text.parse::<IpAddr>() {
                // What most networks of hosts have.
                Ok(address) => {
                    let usual = if address.is_ipv4() { 24 } else { 64 };
                    VirtualAddressError::NoLength(address, usual)
                }
                Err(_) => VirtualAddressError::Syntax(text.to_owned()),
            });
        };

        if !can_be_a_host(address) {
            return Err(VirtualAddressError::NotOfAHost(address));
        }
        if is_end(address, &network) {
            return Err(VirtualAddressError::Network { address, network });
        }
        Ok(VirtualAddress { address, network })
    }
}

/// True if one host among others can have this address.
pub(crate) fn can_be_a_host(address: IpAddr) -> bool {
    let is_special = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };

    !(is_special || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// The network itself, its broadcast address (RFC 922), or the anycast address of its routers (RFC
/// 4291, section 2.6.1). Networks of one or two addresses have neither (RFC 3021, RFC 6164).
fn is_end(address: IpAddr, network: &Prefix) -> bool {
    let longest = if network.is_ipv4() { 32 } else { 128 };
    if network.len() + 1 >= longest {
        return false;
    }

    address == network.address() || network.is_ipv4() && address == network.last()
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.network.len())
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program)?;
        for argument in &self.arguments {
            write!(f, " {argument:?}")?;
        }
        Ok(())
    }
}

impl Config {
    /// What to do about an `[ha]` that nothing can take over: right while the other gateway is not
    /// set up yet.
    pub fn lonely_ha(&self) -> Option<Fault> {
        let mut gateways = self.own.gateways.iter();
        let has_sibling = gateways.any(|gateway| {
            gateway.site == self.site
                && gateway.name != self.id.name
                && !self.own.revoked.gateways.contains(&gateway.name)
        });
        if has_sibling || self.ha.is_idle() {
            return None;
        }

        Some(Fault {
            place: self.place_of(&HA.to_string()),
            message: format!(
                "[ha] has nobody to take over: site {} has no other gateway; add one with ringway \
                 gateway add",
                self.site
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_host_has_the_length_of_its_network() {
        for text in [
            "10.1.0.250/24",
            "fd00:1::250/64",
            "10.1.0.0/31",
            "fd00::/127",
        ] {
            let read: VirtualAddress = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn an_address_alone_is_refused_with_a_length_behind_it() {
        let error = "10.1.0.250".parse::<VirtualAddress>().unwrap_err();
        assert!(
            error.to_string().contains("write \"10.1.0.250/24\""),
            "{error}"
        );
    }

    #[test]
    fn what_no_host_can_have_is_refused() {
        for text in [
            "10.1.0.250/",
            "10.1.0.250/+4",
            "10.1.0.250/33",
            "fd00::1/129",
            "host/24",
            "",
        ] {
            let error = text.parse::<VirtualAddress>().unwrap_err();
            assert!(matches!(error, VirtualAddressError::Syntax(_)), "{text}");
        }
        for text in [
            "127.0.0.1/8",
            "0.0.0.0/8",
            "224.0.0.1/24",
            "169.254.1.1/16",
            "fe80::1/64",
        ] {
            let error = text.parse::<VirtualAddress>().unwrap_err();
            assert!(
                matches!(error, VirtualAddressError::NotOfAHost(_)),
                "{text}"
            );
        }
        for text in ["10.1.0.0/24", "10.1.0.255/24", "fd00:1::/64"] {
            let error = text.parse::<VirtualAddress>().unwrap_err();
            assert!(
                matches!(error, VirtualAddressError::Network { .. }),
                "{text}"
            );
        }
    }
}
