//! Default values of `gateway.toml`, and the values that `ringway org init` writes into a new one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::{
    ApexMode, Dns, Egress, OnDenied, Policy, Prefix, RateLimit, Routes, TunName, Tunnel,
    fabric_services,
};

/// The tunnel port.
pub const PORT: u16 = 4600;
/// Where a new gateway listens: the tunnel port of every IPv4 address.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);

/// The members directory, beside `gateway.toml`.
pub const MEMBERS: &str = "members";
/// The state directory, beside `gateway.toml`.
pub const STATE_DIR: &str = "state";
/// The admin socket, beside `gateway.toml`.
pub const SOCKET: &str = "ringway.sock";
/// Below it lie the state directories of gateways whose `gateway.toml` is below `/etc`.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/ringway";
/// In it lie the admin sockets of gateways whose `gateway.toml` is below `/etc`.
pub const SYSTEM_SOCKET_DIR: &str = "/run/ringway";
/// Where the command line looks for a gateway's file, in this order.
pub const CONFIG_FILES: [&str; 2] = ["/etc/ringway/gateway.toml", "gateway.toml"];

/// The TUN device.
pub const TUN: &str = "ringway0";
/// The device of WireGuard clients.
pub const WIREGUARD_TUN: &str = "ringway-wg0";
/// The port of WireGuard clients.
pub const WIREGUARD_PORT: u16 = 51_820;
/// Pairs of threads for packets.
pub const LANES: NonZeroU32 = NonZeroU32::MIN;

/// The port of a DNS server (RFC 1035, section 4.2).
pub const DNS_PORT: u16 = 53;
/// Far above what the one resolver of a whole cluster sends: it stops a program that has run wild.
///
/// A member's hosts ask their own gateway, which has our names. What they ask here is a second
/// choice while that one is down, or by hand, so they get as much as NSD allows anybody by default
/// (`rrl-ratelimit`). In the worst case, each answer as long as an answer over UDP can be, that is
/// 2 Mbit/s through the tunnel towards a network whose address somebody there has forged.
pub const DNS_RATE: RateLimit = RateLimit {
    site: 10_000,
    members: 200,
};
/// Seconds until a change of a DNS record is seen everywhere.
pub const DNS_TTL: u32 = 5;
/// How long the names of a silent organization are answered: a week.
pub const DNS_HOLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// Of two gateways of a site, the one with the higher preference is active.
pub const PREFERENCE: u8 = 100;

/// Flows that are remembered.
pub const FLOWS: u32 = 262_144;
/// How long after a start the flows of before are let through.
pub const GRACE: Duration = Duration::from_secs(120);
/// The first port of a flow that is let through in that time: Linux takes ports from here up for
/// connections that it opens.
pub const GRACE_PORT: u16 = 32_768;

/// Where free ranges are looked for: the largest private range (RFC 1918, section 3).
pub fn pool() -> Prefix {
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0));
    Prefix::holding(address, 8).expect("the default is a prefix")
}

/// What an attached node takes of its gateways' offers: the ranges that the Internet does not route
/// (RFC 1918, section 3; RFC 6598, section 7; RFC 4193, section 3.1).
pub fn accept() -> Vec<Prefix> {
    let ranges = [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    ];

    ranges
        .map(|range| range.parse().expect("the default is a prefix"))
        .into()
}

pub(crate) fn tun() -> TunName {
    TUN.parse().expect("the default is an interface name")
}

pub(crate) fn wireguard_tun() -> TunName {
    WIREGUARD_TUN
        .parse()
        .expect("the default is an interface name")
}

impl Default for Routes {
    fn default() -> Routes {
        Routes {
            table: 4600,
            protocol: 146,
            // Programs that keep bits of the mark for themselves must not meet one of theirs:
            // kube-proxy (0x4000, 0x8000), Cilium (0x0f00), AWS VPC CNI (0x80), Tailscale
            // (0xc0000), Weave (0x20000), Calico (the upper 16 bits).
            mark: 0x1057,
        }
    }
}

impl Default for Dns {
    /// Without `[dns]` the server does not listen and knows no names.
    fn default() -> Dns {
        Dns {
            listen: Vec::new(),
            ttl: DNS_TTL,
            records: Vec::new(),
            checks: Vec::new(),
            zone_files: Vec::new(),
            foreign_addresses: false,
            public_listen: false,
            hold: DNS_HOLD,
            apex: ApexMode::Closed,
            query_log: None,
            rate_limit: DNS_RATE,
            forward: Vec::new(),
            kubernetes: None,
        }
    }
}

impl Default for Policy {
    /// Without `[policy]` others may send ICMP echo requests and ask our DNS server.
    fn default() -> Policy {
        Policy {
            allow: None,
            egress: Egress::default(),
            allow_egress: Vec::new(),
            services: fabric_services(),
            tests: Vec::new(),
            denied: OnDenied::default(),
            flows: FLOWS,
            grace: GRACE,
            grace_port: GRACE_PORT,
        }
    }
}

impl Default for Tunnel {
    fn default() -> Tunnel {
        Tunnel {
            reset_after: Duration::from_secs(5),
            fail_fast: Duration::from_secs(20),
            held_syns: 8192,
        }
    }
}
