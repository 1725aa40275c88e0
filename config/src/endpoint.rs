//! [`Endpoint`]: where a gateway can be dialled.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// `host:port`, the host a DNS name or an address (IPv6 in brackets).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// UDP and TCP port.
    pub port: u16,
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a host, a colon and a port.
    #[error(
        "{0:?} is not host:port such as gw.example.org:4600, 203.0.113.5:4600 or [2001:db8::5]:4600"
    )]
    Syntax(String),
    /// The port is not one.
    #[error("{0:?} has no port from 1 to 65535; write it after a colon, as in 203.0.113.5:4600")]
    Port(String),
    /// Nobody can be dialled there.
    #[error("{0:?} is not the address of one host; write one that the other gateways can dial")]
    Address(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let syntax = || EndpointError::Syntax(text.into());
        let (host, port) = split(text).ok_or_else(syntax)?;
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EndpointError::Port(text.into()));
        }
        let port = port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| EndpointError::Port(text.into()))?;
        match host.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() => {
                Err(EndpointError::Address(text.into()))
            }
            Ok(address) => Ok(Endpoint {
                host: address.to_string(),
                port,
            }),
            Err(_) if is_host_name(host) => Ok(Endpoint {
                host: host.to_ascii_lowercase(),
                port,
            }),
            Err(_) => Err(syntax()),
        }
    }
}

/// Host and port; brackets around IPv6 and nothing else (RFC 3986, section 3.2.2).
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']')?;
            inner.parse::<Ipv6Addr>().ok()?;
            Some((inner, port))
        }
        None if host.contains(':') => None,
        None => Some((host, port)),
    }
}

/// RFC 1123, section 2.1: letters, digits and inner hyphens; a last label of digits alone would be an
/// IPv4 address gone wrong.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && host.split('.').all(is_label) && !last_is_number
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
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
        assert_eq!(
            "GW.Example.org:4600".parse::<Endpoint>().unwrap().host,
            "gw.example.org"
        );
        assert_eq!(
            "[2001:DB8::5]:4600".parse::<Endpoint>().unwrap().host,
            "2001:db8::5"
        );
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
