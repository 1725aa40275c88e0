//! The services of Hyperledger Fabric, by the names that rules may use.
//!
//! Ports are those of Fabric's sample configuration (`core.yaml`, `orderer.yaml`,
//! `fabric-ca-server-config.yaml`). All of them are TCP.

use std::collections::BTreeMap;

use super::{PortRange, Service};
use crate::ServiceName;

/// Names and ports. Gossip, endorsement and delivery of blocks share the peer's port.
const PORTS: [(&str, u16); 8] = [
    ("fabric-orderer", 7050),
    ("fabric-peer", 7051),
    ("fabric-gossip", 7051),
    ("fabric-chaincode", 7052),
    ("fabric-orderer-admin", 7053),
    ("fabric-ca", 7054),
    ("fabric-orderer-operations", 8443),
    ("fabric-peer-operations", 9443),
];

/// The services of Hyperledger Fabric.
pub fn services() -> BTreeMap<ServiceName, Vec<Service>> {
    let mut services = BTreeMap::new();
    for (name, port) in PORTS {
        let name = name.parse().expect("the names above are labels");
        services.insert(name, vec![Service::Tcp(vec![PortRange::one(port)])]);
    }

    services
}
