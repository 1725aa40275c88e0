//! [`Config`]: the whole configuration of one daemon, read from `gateway.toml`, its organization's
//! member record and the members directory. Every value is checked, and every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::{
    Announce, Attach, CrlPolicy, Digest, DnsName, Fault, Faults, GatewayId, Ha, HttpListen,
    Kubernetes, Member, Nodes, OrgId, Place, PlacedPrefix, Policy, Prefix, SiteId, TunName, Tunnel,
    WireGuard, defaults,
};

/// The configuration of `ringway run`. Paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `gateway.toml` itself.
    pub path: PathBuf,
    /// This gateway.
    pub id: GatewayId,
    /// The site it serves.
    pub site: SiteId,
    /// The tunnel's address and UDP port.
    pub listen: SocketAddr,
    /// Certificate chain and key.
    pub identity: Identity,
    /// This organization's record.
    pub own: Member,
    /// The other organizations' records, by organization.
    pub members: Vec<Member>,
    /// Where the other organizations' records lie.
    pub members_dir: PathBuf,
    /// Where the daemon keeps its state from one start to the next.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// The group that may use the admin socket, besides its owner.
    pub socket_group: Option<String>,
    /// An earlier version has left the state beside the file, where it would not be looked for
    /// otherwise.
    pub is_state_beside: bool,
    /// The ranges in which the consortium's sites lie, for `plan`; empty if the file names none.
    pub pools: Vec<Prefix>,
    /// The TUN device's name.
    pub tun: TunName,
    /// Pairs of threads for packets, at most 16.
    pub lanes: NonZeroU32,
    /// How routes are marked in the kernel.
    pub routes: Routes,
    /// Ranges in use around this gateway that no other site may use.
    pub reserved: Vec<PlacedPrefix>,
    /// Sites that are announced only while the host has a way to them.
    pub announce: Vec<Announce>,
    /// The DNS server.
    pub dns: Dns,
    /// What others may reach here, and our hosts elsewhere.
    pub policy: Policy,
    /// What happens while a peer cannot be reached.
    pub tunnel: Tunnel,
    /// What is expected of the members' revocation lists.
    pub crl: CrlPolicy,
    /// What this site's hosts follow when another of its gateways takes over.
    pub ha: Ha,
    /// Where metrics and health are served; nowhere unless the file says it.
    pub http: Option<HttpListen>,
    /// The attached nodes that this gateway serves.
    pub nodes: Nodes,
    /// Where standard WireGuard clients are served; nowhere unless the file says it.
    pub wireguard: Option<WireGuard>,
    /// This is an attached node, not a gateway; what its file says of that.
    pub attach: Option<Attach>,
    /// Where the file says what cannot change while a daemon runs, and `[ha]`, by key.
    pub places: BTreeMap<String, Place>,
    /// What needs attention, and keeps nothing from running: a rule about an organization that is
    /// no member any more must not hold back the removal of another.
    pub notes: Faults,
    /// Organizations that have no tunnels because their records must not be used, and why.
    pub withheld: BTreeMap<OrgId, Fault>,
}

impl Config {
    /// The record of `org`, which may be this organization.
    pub fn record(&self, org: &OrgId) -> Option<&Member> {
        self.records().find(|record| record.org == *org)
    }

    /// Every record, this organization's first.
    pub fn records(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.own).chain(&self.members)
    }

    /// The organizations whose current records are among the `accepted` ones.
    pub fn incumbents(&self, accepted: &BTreeSet<Digest>) -> BTreeSet<&OrgId> {
        self.records()
            .filter(|record| accepted.contains(&record.digest))
            .map(|record| &record.org)
            .collect()
    }

    /// Where the file has `key`, such as `tun.name`; the file as a whole if it does not say it.
    pub fn place_of(&self, key: &str) -> Place {
        // A default stands nowhere in the file.
        let place = self.places.get(key).cloned();
        place.unwrap_or_else(|| Place::whole(&self.path))
    }

    /// Takes from the record of `org` what it allows: every gateway but this one, its consents to
    /// transit, and who serves its sites. Its prefixes stay, so that nothing leaves by another way.
    pub fn withhold(&mut self, org: &OrgId, reason: Fault) {
        let mut records = std::iter::once(&mut self.own).chain(&mut self.members);
        let Some(record) = records.find(|record| record.org == *org) else {
            return;
        };

        let me = &self.id;
        record
            .gateways
            .retain(|gateway| *org == me.org && gateway.name == me.name);
        record.transit.clear();
        for site in &mut record.sites {
            site.via = None;
        }
        self.withheld.insert(org.clone(), reason);
    }

    /// What to do about the records of version 1, of which an older copy is not told from the
    /// newest. They are used all the same.
    pub fn old_records(&self) -> Vec<Fault> {
        let old = self.records().filter(|record| record.serial == 0);

        old.map(|record| Fault {
            place: record.place.clone(),
            message: if record.org == self.own.org {
                "is of version 1, in which an older copy cannot be told from the newest; upgrade \
                 it with ringway record upgrade, and hand it to the others"
                    .to_owned()
            } else {
                format!(
                    "is of version 1, in which an older copy cannot be told from the newest; ask \
                     {} to upgrade it with ringway record upgrade, and to hand it over",
                    record.org
                )
            },
        })
        .collect()
    }

    /// What to do about state that lies where an earlier version has put it.
    pub fn old_state(&self) -> Option<Fault> {
        self.is_state_beside.then(|| Fault {
            place: Place::whole(&self.path),
            message: format!(
                "the state is in {}, where an earlier version kept it; stop the gateway and move \
                 it to {}/{}, or write state-dir = {:?}",
                self.state_dir.display(),
                defaults::SYSTEM_STATE_DIR,
                self.id,
                defaults::STATE_DIR
            ),
        })
    }

    /// The prefixes of this site.
    pub fn own_prefixes(&self) -> &[PlacedPrefix] {
        self.own.site(&self.site).map_or(&[], |site| &site.prefixes)
    }

    /// True if one of this site's prefixes covers `prefix`.
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
    /// Routing table.
    pub table: u32,
    /// Route protocol number (rtm_protocol).
    pub protocol: u8,
    /// Firewall mark of the tunnel's outer packets.
    pub mark: u32,
}

/// The authoritative server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Addresses it listens on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// TTL of records that state none, seconds.
    pub ttl: u32,
    /// The records of this organization's zone, from `[[dns.host]]` and `[[dns.record]]`. Whether
    /// they fit together, and with the zone files, is checked in `ringway-dns`.
    pub records: Vec<DnsRecord>,
    /// Addresses that are answered only while something accepts connections at them.
    pub checks: Vec<HealthCheck>,
    /// Zone files with more records of the zone; they are read in `ringway-dns`.
    pub zone_files: Vec<ZoneFile>,
    /// The zone may have addresses outside this organization's sites.
    pub foreign_addresses: bool,
    /// The server may listen on addresses that are not private. There too it answers only members.
    pub public_listen: bool,
    /// How long another organization's names are answered after its last message.
    pub hold: Duration,
    /// What becomes of names below the consortium's domain that belong to no organization.
    pub apex: ApexMode,
    /// One question in so many is logged; `None` logs none.
    pub query_log: Option<u32>,
    /// How many responses are sent.
    pub rate_limit: RateLimit,
    /// Resolvers for names outside the consortium, asked on behalf of this site. Without any, such
    /// names are refused.
    pub forward: Vec<Forward>,
    /// Services whose names are ours, too; none unless the file says so.
    pub kubernetes: Option<Kubernetes>,
}

/// Responses per second over UDP to one network: a /24 of IPv4, a /56 of IPv6. 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// To hosts of this site.
    pub site: u32,
    /// To hosts of other sites, through the tunnels.
    pub members: u32,
}

/// What becomes of names below the consortium's domain that belong to no organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApexMode {
    /// They do not exist.
    Closed,
    /// They are asked of the resolvers, as other names are: the domain is also used publicly.
    Forward,
}

/// One `[[dns.forward]]`: the resolvers for the names below a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `None` stands for every name that is below no other block's suffix.
    pub suffix: Option<DnsName>,
    /// Resolvers, asked in this order; never empty.
    pub servers: Vec<SocketAddr>,
    /// Their answers may have addresses that the Internet does not route.
    pub private_answers: bool,
}

/// A zone file (RFC 1035, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// Its path.
    pub path: PathBuf,
    /// Where `gateway.toml` names it.
    pub place: Place,
}

/// `check` of one `[[dns.host]]`: at which port its addresses must accept TCP connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The host.
    pub name: DnsName,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// TCP port.
    pub port: u16,
}

/// One record of this organization's zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// The owner, within the zone.
    pub name: DnsName,
    /// TTL in seconds.
    pub ttl: u32,
    /// Type and data.
    pub data: DnsData,
    /// Where it was written.
    pub place: Place,
}

/// The data of a [`DnsRecord`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsData {
    /// A or AAAA, by the address's family.
    Address(IpAddr),
    /// CNAME: the target.
    Cname(DnsName),
    /// Any other type, as a zone file has it; it is read in `ringway-dns`.
    Text {
        /// The type, such as `SRV` or `TYPE65280`.
        kind: String,
        /// The data, such as `0 0 7051 peer0`; relative names stand below the zone.
        data: String,
    },
}
