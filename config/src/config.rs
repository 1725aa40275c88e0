//! [`Config`]: everything one daemon is told, read from `gateway.toml`, its own member record and the
//! members directory. Nothing in it is left to check or to default.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Digest, GatewayId, Member, OrgId, Place, PlacedPrefix, Prefix, SiteId};

/// What `ringway run` works from. Paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `gateway.toml` itself.
    pub path: PathBuf,
    /// This gateway.
    pub id: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// The tunnel port, UDP and TCP.
    pub listen: SocketAddr,
    /// Certificate chain and key.
    pub identity: Identity,
    /// The own organization's record.
    pub own: Member,
    /// The other organizations' records, by organization.
    pub members: Vec<Member>,
    /// Where the other organizations' records lie.
    pub members_dir: PathBuf,
    /// Where the daemon keeps what it must remember.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// The TUN device's name, at most 15 bytes.
    pub tun: String,
    /// Pairs of threads for packets, at most 16.
    pub lanes: NonZeroU32,
    /// How routes are marked in the kernel.
    pub routes: Routes,
    /// Ranges that no other site may use.
    pub reserved: Vec<PlacedPrefix>,
    /// The DNS server.
    pub dns: Dns,
    /// What others may reach; `None` if the file has no `[policy]`: ICMP echo and DNS only.
    pub policy: Option<Vec<Allow>>,
}

impl Config {
    /// The record of `org`, the own one included.
    pub fn record(&self, org: &OrgId) -> Option<&Member> {
        self.records().find(|record| record.org == *org)
    }

    /// Every record, the own one first.
    pub fn records(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.own).chain(&self.members)
    }

    /// The organizations whose records are, as they are now, among the `accepted` ones.
    pub fn incumbents(&self, accepted: &BTreeSet<Digest>) -> BTreeSet<&OrgId> {
        self.records()
            .filter(|record| accepted.contains(&record.digest))
            .map(|record| &record.org)
            .collect()
    }

    /// The prefixes of the own site.
    pub fn own_prefixes(&self) -> &[PlacedPrefix] {
        self.own.site(&self.site).map_or(&[], |site| &site.prefixes)
    }

    /// True if one of the own site's prefixes covers `prefix`.
    pub fn is_own(&self, prefix: &Prefix) -> bool {
        self.own_prefixes()
            .iter()
            .any(|own| own.prefix.covers(prefix))
    }
}

/// PEM files: paths, never contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key (PKCS#8).
    pub key: PathBuf,
}

/// Numbers that mark this daemon's routes and packets in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routes {
    /// Routing table; default 4600.
    pub table: u32,
    /// Route protocol number (rtm_protocol); default 146.
    pub protocol: u8,
    /// Firewall mark of the tunnel's own packets; default 0x52574159.
    pub mark: u32,
}

/// The authoritative server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Addresses it listens on, UDP and TCP; default port 53.
    pub listen: Vec<SocketAddr>,
    /// TTL of records that state none, seconds; default 5.
    pub ttl: u32,
    /// The own zone's records, from `[[dns.host]]` and `[[dns.record]]`. How they go together with each other
    /// and with the zone files is `ringway-dns`'s to check.
    pub records: Vec<DnsRecord>,
    /// Zone files with more of them, unread.
    pub zone_files: Vec<ZoneFile>,
    /// The own zone may have addresses outside the own sites.
    pub foreign_addresses: bool,
    /// It may listen on addresses that are not private. Only members are answered there too.
    pub public_listen: bool,
    /// How long another organization's names are answered after it was last heard; default 7 days.
    pub hold: Duration,
    /// One question in so many is logged; `None`: none.
    pub query_log: Option<u32>,
    /// Whom to ask for names outside the consortium, on behalf of the own site; none: they are refused.
    pub forward: Vec<Forward>,
}

/// One `[[dns.forward]]`: who is asked for the names of a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Absolute, lowercase, without the final dot; empty: every name that no other suffix holds.
    pub suffix: String,
    /// Resolvers, asked in this order; never empty.
    pub servers: Vec<SocketAddr>,
}

/// A file in the form of RFC 1035, section 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// The file.
    pub path: PathBuf,
    /// Where it is named.
    pub place: Place,
}

/// One record of the own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Owner, absolute, lowercase, without the final dot; within the own zone.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// What it says.
    pub data: DnsData,
    /// Where it was written.
    pub place: Place,
}

/// The data of a [`DnsRecord`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsData {
    /// A or AAAA, by the address's family.
    Address(IpAddr),
    /// CNAME: an absolute name without the final dot.
    Cname(String),
    /// Any other type, unread: its name, and its data as a zone file has it.
    Text {
        /// Such as `SRV` or `TYPE65280`.
        kind: String,
        /// Such as `0 0 7051 peer0`; relative names stand below the own zone.
        data: String,
    },
}

/// One `[[policy.allow]]`: who may reach what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The organization that may; `None`: every member.
    pub from: Option<OrgId>,
    /// Destinations, each inside this site's prefixes, none inside another; in order.
    pub to: Vec<Prefix>,
    /// Protocol.
    pub proto: Proto,
    /// Destination ports in order, disjoint; empty: every port (always empty for ICMP).
    pub ports: Vec<PortRange>,
    /// Where it was written.
    pub place: Place,
}

/// Protocols that a policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6 echo.
    Icmp,
}

/// First and last port of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First.
    pub first: u16,
    /// Last; the first itself for a single port.
    pub last: u16,
}
