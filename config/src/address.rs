//! The address in a text that has more than an address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::Prefix;
use crate::prefix::parse_parts;

/// Shorter numbers are more often the end of an address.
const LEAST_PORT: u16 = 1000;

/// The address in a text that has brackets, a port or the length of a network around it. `None` for
/// a network, which has more than one.
pub(crate) fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    if let Some((address, len)) = parse_parts(text) {
        let network = Prefix::holding(address, len)?;
        let is_network = network.address() == address && !network.is_host();
        return (!is_network).then_some(address);
    }

    let address = text.split_once('/').map_or(text, |(address, _)| address);
    let inside = address
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'));
    inside.unwrap_or(address).parse().ok()
}

/// What `fd00::1:4600` is meant to be. It is an address as well; but one that ends like a port was
/// written with a port in mind.
pub(crate) fn without_brackets(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.trim().rsplit_once(':')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let port: u16 = port.parse().ok()?;

    (port >= LEAST_PORT).then(|| SocketAddr::new(address.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_what_has_more_and_none_in_a_network() {
        for text in [
            "10.1.0.10",
            "10.1.0.10/24",
            "10.1.0.10/32",
            "10.1.0.10:7050",
            " 10.1.0.10 ",
        ] {
            assert_eq!(address_in(text), "10.1.0.10".parse().ok(), "{text}");
        }
        for text in ["fd00::1/64", "[fd00::1]:7050", "[fd00::1]", "fd00::1"] {
            assert_eq!(address_in(text), "fd00::1".parse().ok(), "{text}");
        }
        for text in ["10.1.0.0/24", "fd00::/64", "10.1.0", "peer0", "[10.1", ""] {
            assert_eq!(address_in(text), None, "{text}");
        }
    }
}
