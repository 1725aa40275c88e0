//! [`HostArg`]: a host on the command line, `peer0=10.1.0.11:7051`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Names for Fabric's ports in SRV records.
const KNOWN: [(u16, &str); 3] = [(7050, "orderer"), (7051, "peer"), (7054, "ca")];

/// `name=address[:port][,address[:port]…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostArg {
    /// As written: relative to our zone, or a full name.
    pub name: String,
    /// Never empty, without duplicates.
    pub addresses: Vec<IpAddr>,
    /// `name:port/tcp`, for the ports.
    pub services: Vec<String>,
}

impl FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<HostArg, String> {
        let Some((name, addresses)) = text.split_once('=') else {
            return Err(format!(
                "{text:?} is not name=address[:port] such as peer0=10.1.0.11:7051"
            ));
        };

        let mut host = HostArg {
            name: name.to_owned(),
            addresses: Vec::new(),
            services: Vec::new(),
        };
        for text in addresses.split(',') {
            let (address, port) = read_address(text)?;
            if !host.addresses.contains(&address) {
                host.addresses.push(address);
            }
            if let Some(service) = port.map(service).transpose()?
                && !host.services.contains(&service)
            {
                host.services.push(service);
            }
        }
        Ok(host)
    }
}

fn read_address(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.parse() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok((address.ip(), Some(address.port()))),
        _ => Err(format!(
            "{text:?} is not an address such as 10.1.0.11, 10.1.0.11:7051 or [fd00:1::11]:7051"
        )),
    }
}

fn service(port: u16) -> Result<String, String> {
    match KNOWN.iter().find(|(known, _)| *known == port) {
        Some((_, name)) => Ok(format!("{name}:{port}/tcp")),
        None => Err(format!(
            "port {port} has no name that is known (7050 orderer, 7051 peer, 7054 ca); leave it \
             out here, and name it with ringway dns add --service explorer:{port}/tcp"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_the_ports_that_fabric_has_names_for() {
        let host: HostArg = "peer0=10.1.0.11:7051,[fd00:1::11]:7051,10.1.0.12"
            .parse()
            .unwrap();
        assert_eq!(host.name, "peer0");
        assert_eq!(host.addresses.len(), 3);
        assert_eq!(host.services, ["peer:7051/tcp"]);
        for bad in [
            "peer0",
            "peer0=",
            "peer0=host",
            "peer0=10.1.0.11:0",
            "peer0=10.1.0.11:99",
        ] {
            assert!(bad.parse::<HostArg>().is_err(), "{bad}");
        }
    }
}
