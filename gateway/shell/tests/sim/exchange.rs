//! [`Exchange`]: what a host asks another one, and the answer.

use std::net::{IpAddr, SocketAddr};

use ringway_filter::FlowProtocol;

use crate::rng::Rng;
use crate::world::World;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A question of a host of one site to one of another. The asking port is none that grace is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) protocol: FlowProtocol,
}

impl Exchange {
    /// Between hosts of the sites of two nodes, which run; an attached node has no hosts.
    pub(crate) fn between(world: &mut World, near: usize, far: usize) -> Option<Exchange> {
        if [near, far]
            .iter()
            .any(|node| world.nodes[*node].id.is_node())
        {
            return None;
        }

        let family = world.rng.below(2);
        let host = |node: usize, last: u16| {
            let mut prefixes = world.nodes[node].running().tables.local.iter();
            let prefix = prefixes.find(|prefix| prefix.is_ipv4() == (family == 0))?;
            Some(host_of(prefix.address(), last))
        };
        let [local, remote] = [host(near, 20)?, host(far, 30)?];

        Some(Exchange {
            local: SocketAddr::new(local, some_port(&mut world.rng)),
            remote: SocketAddr::new(remote, 7051),
            protocol: if world.rng.chance(500) {
                FlowProtocol::Tcp
            } else {
                FlowProtocol::Udp
            },
        })
    }

    pub(crate) fn question(&self) -> Vec<u8> {
        self.packet(self.local, self.remote, SYN)
    }

    pub(crate) fn answer(&self) -> Vec<u8> {
        self.packet(self.remote, self.local, SYN | ACK)
    }

    fn packet(&self, from: SocketAddr, to: SocketAddr, flags: u8) -> Vec<u8> {
        let mut payload = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let protocol = if self.protocol == FlowProtocol::Tcp {
            payload.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0]);
            TCP
        } else {
            payload.extend([0, 8, 0, 0]);
            UDP
        };

        let length = payload.len() as u8;
        let mut packet = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0, 0, length + 20, 0, 0, 0x40, 0, 64, protocol, 0, 0];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, length, protocol, 64];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            _ => unreachable!("both are of one family"),
        };
        packet.extend(payload);
        packet
    }
}

fn some_port(rng: &mut Rng) -> u16 {
    1024 + rng.below(30_000) as u16
}

fn host_of(network: IpAddr, last: u16) -> IpAddr {
    match network {
        IpAddr::V4(network) => IpAddr::V4((u32::from(network) + u32::from(last)).into()),
        IpAddr::V6(network) => IpAddr::V6((u128::from(network) + u128::from(last)).into()),
    }
}
