//! [`Endpoint`]: where a gateway can be dialled.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::address::without_brackets;
use crate::{HostName, defaults};

/// `host:port`, with an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: Host,
    /// UDP port, never 0.
    pub port: u16,
}

/// The host of an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Resolved each time the gateway is dialled.
    Name(HostName),
    /// One host's address: neither unspecified nor multicast.
    Address(IpAddr),
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a host, a colon and a port.
    #[error(
        "{0:?} is not host:port such as gw.example.org:4600, 203.0.113.5:4600 or [2001:db8::5]:4600"
    )]
    Syntax(String),
    /// The text after the colon is not a port.
    #[error("{text:?} has no port from 1 to 65535; write it after a colon, as in {meant}")]
    Port {
        /// The text.
        text: String,
        /// The same host with the usual port.
        meant: Endpoint,
    },
    /// An IPv6 address and a port, which cannot be told apart.
    #[error("{0:?} has no brackets around its IPv6 address; write {1}")]
    Brackets(String, Endpoint),
    /// An unspecified or a multicast address.
    #[error("{0:?} is not the address of one host; write one that the other gateways can dial")]
    Address(String),
}

impl Host {
    /// The address, unless the host is a name.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::Address(address) => Some(*address),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let Some((host, port)) = split(text) else {
            return Err(without_port(text, text));
        };

        let port = parse_port(port).ok_or_else(|| without_port(text, host))?;
        let host = read_host(host).ok_or_else(|| EndpointError::Syntax(text.into()))?;
        if let Host::Address(address) = host
            && is_many(address)
        {
            return Err(EndpointError::Address(text.into()));
        }

        Ok(Endpoint { host, port })
    }
}

fn read_host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(Host::Address(address)),
        Err(_) => text.parse().ok().map(Host::Name),
    }
}

/// connect(2) would take the unspecified address for this host itself.
fn is_many(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast()
}

/// Why `text` is no endpoint: of all that it has, the port is missing if `host` is right.
fn without_port(text: &str, host: &str) -> EndpointError {
    if let Some(meant) = without_brackets(text) {
        return EndpointError::Brackets(text.to_owned(), meant.into());
    }
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let text = text.to_owned();

    match read_host(inner.unwrap_or(host)) {
        Some(Host::Address(address)) if is_many(address) => EndpointError::Address(text),
        Some(host) => EndpointError::Port {
            text,
            meant: Endpoint {
                host,
                port: defaults::PORT,
            },
        },
        None => EndpointError::Syntax(text),
    }
}

/// Host and port; brackets around IPv6 and nothing else (RFC 3986, section 3.2.2).
fn split(text: &str) -> Option<(&str, &str)> {
    // The last colon: an IPv6 address has others.
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']')?;
            // Checked here, since `[203.0.113.5]` would parse as an address without brackets.
            inner.parse::<Ipv6Addr>().ok()?;
            Some((inner, port))
        }
        None if host.contains(':') => None,
        None => Some((host, port)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` alone would accept a plus sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }

    text.parse().ok().filter(|&port| port != 0)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Address(address) => address.fmt(f),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Address(address.ip()),
            port: address.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port } = self;
        match host {
            // RFC 3986, section 3.2.2: brackets tell the address's colons from the port's.
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
            _ => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_addresses_and_writes_them_back() {
        for good in [
            "gw.example.org:4600",
            "gateway:1",
            "203.0.113.5:65535",
            "[2001:db8::5]:4600",
        ] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }

        for (text, host) in [
            ("GW.Example.org:4600", "gw.example.org"),
            ("[2001:DB8::5]:4600", "2001:db8::5"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().host.to_string(), host);
        }
    }

    #[test]
    fn refuses_what_cannot_be_dialled() {
        for bad in [
            "",
            "gw",
            "gw:",
            "gw:0",
            "gw:65536",
            "gw:+1",
            "gw:x",
            ":4600",
            "2001:db8::5:4600",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
        for bad in [
            "[gw]:1",
            "[203.0.113.5]:1",
            "203.0.113.999:1",
            "a_b:1",
            "-a:1",
            "a..b:1",
            "a.:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
        for bad in [
            "0.0.0.0:1",
            "[::]:1",
            "224.0.0.1:1",
            "[fe80::1%eth0]:1",
            "http://gw:1",
            "a b:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }
}
