//! A site with a gateway, a node, and a neighbour who stands for everything beyond the tunnel.
//!
//! ```text
//!   remote                        gateway                       node
//!   10.2.0.2  (org beta)          10.1.0.1  fd00:1::1           10.1.0.10  fd00:1::10
//!   10.3.0.2  (org gamma)   ringway0 ─┴─ eth1 ───────── eth0
//!   10.9.0.2  (nobody)
//!   fd00:2::2 (org beta)    a veth pair stands in for the TUN: the filter knows it by name only
//! ```
//!
//! Neighbours are static on the veth: a TUN has no neighbour discovery that a filter could drop.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ringway_host::firewall::{DropReason, Nft, Surroundings};
use ringway_intent::GuardSpec;
use socket2::{Domain, Socket, Type};

use crate::namespace::Namespace;
use crate::tun_name;

/// Without an answer after this time, there is none: everything is on one machine.
const SILENCE: Duration = Duration::from_millis(300);
/// The deadline for connections that must succeed.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Site {
    pub(crate) gateway: Namespace,
    pub(crate) node: Namespace,
    pub(crate) remote: Namespace,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site {
            gateway: Namespace::new("gw"),
            node: Namespace::new("node"),
            remote: Namespace::new("remote"),
        };
        site.gateway.join("ringway0", &site.remote, "tunnel");
        site.gateway.join("eth1", &site.node, "eth0");
        site.lan();
        site.tunnel();
        site.forward("1");
        site
    }

    fn lan(&self) {
        self.gateway.ip("addr add 10.1.0.1/24 dev eth1");
        self.gateway.ip("addr add fd00:1::1/64 dev eth1 nodad");
        self.node.ip("addr add 10.1.0.10/24 dev eth0");
        self.node.ip("addr add 10.99.0.10/32 dev eth0");
        self.node.ip("addr add fd00:1::10/64 dev eth0 nodad");
        self.node.ip("route add default via 10.1.0.1");
        self.node.ip("-6 route add default via fd00:1::1");
    }

    fn tunnel(&self) {
        for address in ["10.2.0.2/32", "10.3.0.2/32", "10.9.0.2/32"] {
            self.remote.ip(&format!("addr add {address} dev tunnel"));
        }
        self.remote.ip("addr add fd00:2::2/128 dev tunnel nodad");
        let beyond = ["10.2.0.0/16", "10.3.0.0/16", "10.9.0.0/16", "fd00:2::/48"];
        for address in ["10.2.0.2", "fd00:2::2"] {
            static_neighbour(&self.gateway, "ringway0", &self.remote, "tunnel", address);
        }
        for address in ["10.1.0.1", "fd00:1::1"] {
            static_neighbour(&self.remote, "tunnel", &self.gateway, "ringway0", address);
        }
        for prefix in beyond {
            let hop = if prefix.contains(':') {
                "fd00:2::2"
            } else {
                "10.2.0.2"
            };
            self.gateway
                .ip(&format!("route add {prefix} via {hop} dev ringway0 onlink"));
        }
        self.remote
            .ip("route add 10.1.0.0/16 via 10.1.0.1 dev tunnel onlink src 10.2.0.2");
        self.remote
            .ip("route add 10.99.0.0/16 via 10.1.0.1 dev tunnel onlink src 10.2.0.2");
        self.remote
            .ip("route add fd00:1::/48 via fd00:1::1 dev tunnel onlink src fd00:2::2");
    }

    /// Sets forwarding of both families in the gateway.
    pub(crate) fn forward(&self, value: &str) {
        self.gateway.enter(|| {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{key}"), value).unwrap();
            }
        });
    }

    /// Puts the guard of this site in force.
    pub(crate) fn apply(&self) {
        self.apply_around(&spec(), &Surroundings::default());
    }

    /// Puts a guard in force.
    pub(crate) fn apply_around(&self, spec: &GuardSpec, surroundings: &Surroundings) {
        self.gateway
            .wait(|| async { Nft::new(&tun_name()).apply(spec, surroundings).await })
            .unwrap();
    }

    /// Packets that the table in force has dropped for `reason`.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let listing = format!("nft -j list counter inet ringway0 {}", reason.as_str());
        let (code, text) = self.gateway.run(&listing);
        assert_eq!(code, 0, "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["nftables"][1]["counter"]["packets"].as_u64().unwrap()
    }
}

/// The guard of this site: the node is behind eth1, and there are organizations beta and gamma.
pub(crate) fn spec() -> GuardSpec {
    let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());

    GuardSpec {
        tun: tun_name(),
        inside: own.to_vec(),
        own: own.to_vec(),
        members: ["10.2.0.0/16", "fd00:2::/48", "10.3.0.0/16", "10.3.0.0/24"]
            .map(|prefix| prefix.parse().unwrap())
            .into(),
        site: ["eth1".to_owned()].into(),
        has_siblings: false,
        tunnel_port: 4600,
        wireguard: None,
        is_dialled: true,
        mark: 0x1057,
        marks_arrivals: false,
    }
}

/// Listens in a namespace.
pub(crate) fn listen(namespace: &Namespace, address: &str) -> TcpListener {
    namespace.enter(|| TcpListener::bind(address)).unwrap()
}

/// Opens a connection from `source`.
pub(crate) fn connect(namespace: &Namespace, source: &str, to: &str) -> TcpStream {
    try_connect(namespace, source, to, PATIENCE).unwrap()
}

/// True if a connection from `source` is not answered.
pub(crate) fn is_cut(namespace: &Namespace, source: &str, to: &str) -> bool {
    try_connect(namespace, source, to, SILENCE)
        .is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

fn try_connect(
    namespace: &Namespace,
    source: &str,
    to: &str,
    limit: Duration,
) -> io::Result<TcpStream> {
    let source: IpAddr = source.parse().unwrap();
    let to: SocketAddr = to.parse().unwrap();
    namespace.enter(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&to.into(), limit)?;
        Ok(socket.into())
    })
}

/// Sends a datagram from `source` to a bound socket; true if it arrives.
pub(crate) fn arrives(namespace: &Namespace, source: &str, receiver: &UdpSocket) -> bool {
    send(namespace, source, receiver, PATIENCE)
}

/// Sends a datagram from `source` to a bound socket; true if it does not arrive.
pub(crate) fn is_lost(namespace: &Namespace, source: &str, receiver: &UdpSocket) -> bool {
    !send(namespace, source, receiver, SILENCE)
}

fn send(namespace: &Namespace, source: &str, receiver: &UdpSocket, limit: Duration) -> bool {
    let source: IpAddr = source.parse().unwrap();
    let to = receiver.local_addr().unwrap();
    receiver.set_read_timeout(Some(limit)).unwrap();
    namespace
        .enter(|| UdpSocket::bind((source, 0)).unwrap().send_to(b"ping", to))
        .unwrap();
    receiver.recv(&mut [0; 8]).is_ok()
}

/// True if an ICMP echo is answered.
pub(crate) fn echoes(namespace: &Namespace, to: &str) -> bool {
    namespace.run(&format!("ping -n -c 1 -W 5 {to}")).0 == 0
}

/// Tells `here` the link address of `address`, which is `there` behind its interface `peer`.
pub(crate) fn static_neighbour(
    here: &Namespace,
    device: &str,
    there: &Namespace,
    peer: &str,
    address: &str,
) {
    let link = there.ip(&format!("link show {peer}"));
    let ether = link
        .split("link/ether ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    here.ip(&format!(
        "neigh add {address} lladdr {ether} dev {device} nud permanent"
    ));
}
