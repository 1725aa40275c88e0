//! [`Report`]: the state of a gateway, as `ringway status --json` prints it.

use std::collections::BTreeMap;

use ringway_config::OrgId;
use ringway_identity::Crl;
use ringway_identity::certificate::rfc3339;
use ringway_intent::Remedy;
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};

use super::announcement::AnnouncementReport;
use super::site::SiteReport;

/// Everything that `ringway status` shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The gateway that reports, `<gateway>.<org>`.
    pub gateway: String,
    /// `good`; `attention` if there are findings; or `down` if no tunnel is up although there are
    /// other gateways.
    #[serde(default)]
    pub state: String,
    /// The daemon itself.
    #[serde(default)]
    pub daemon: DaemonReport,
    /// Its role among the gateways of its site; none while it waits for the right time.
    #[serde(default)]
    pub role: Option<RoleReport>,
    /// The gateways of its site.
    #[serde(default)]
    pub site: SiteReport,
    /// The last reload; none since the start.
    #[serde(default)]
    pub last_reload: Option<ReloadReport>,
    /// One for each other gateway of the consortium.
    pub tunnels: Vec<TunnelReport>,
    /// One for each of our attached nodes.
    #[serde(default)]
    pub nodes: Vec<TunnelReport>,
    /// One for each prefix of the members' sites, except this site's.
    pub routes: Vec<RouteReport>,
    /// Sites that are announced only while the host has a route to them.
    #[serde(default)]
    pub announce: Vec<AnnouncementReport>,
    /// Our zone and the others' replicas.
    pub zones: Vec<ZoneReport>,
    /// The addresses of our hosts that have a `check`.
    #[serde(default)]
    pub checks: Vec<CheckReport>,
    /// Our chain and the members' CA certificates.
    pub certificates: Vec<CertificateReport>,
    /// Counts of failed handshakes with others, by reason.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
    /// The members' certificate revocation lists, and ours.
    #[serde(default)]
    pub revocation_lists: Vec<RevocationListReport>,
    /// Packets dropped before their peer was known, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Packets that the policy dropped, by reason.
    pub filtered: BTreeMap<String, u64>,
    /// Findings for the operator; empty if all is well.
    #[serde(default)]
    pub attention: Vec<AttentionReport>,
    /// How often objects of each kind were restored after another program had changed them.
    #[serde(default)]
    pub restored: BTreeMap<String, u64>,
    /// Another gateway of this site has no session with this one, so its connections are unknown
    /// here. Packets that may belong to them pass.
    #[serde(default)]
    pub grace_without_end: bool,
    /// How often the TUN device was found down or removed, and restored.
    #[serde(default)]
    pub tun_recreated: u64,
    /// The rules in force and their counters.
    #[serde(default)]
    pub policy: PolicyReport,
}

impl Report {
    /// The organization of the gateway that reports.
    pub fn org(&self) -> &str {
        let (_, org) = self.gateway.rsplit_once('.').unwrap_or_default();
        org
    }
}

/// The role of a gateway in its site.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoleReport {
    /// `active` or `standby`.
    pub role: String,
    /// Time of the last change, RFC 3339.
    pub since: String,
    /// The epoch of this gateway's claims.
    pub epoch: u64,
    /// The reason, as one word.
    pub cause: String,
    /// The reason, as a sentence.
    pub reason: String,
    /// The gateway of this site that the reason refers to, `<gateway>.<org>`.
    pub sibling: Option<String>,
    /// After a takeover: seconds without an active gateway.
    pub gap_s: Option<f64>,
    /// The virtual addresses of `[ha]`.
    pub addresses: Vec<VirtualAddressReport>,
    /// The last command of `[ha]` that was started.
    pub hook: Option<HookReport>,
}

/// A virtual address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VirtualAddressReport {
    /// The address.
    pub address: String,
    /// The interface for the address.
    pub interface: String,
    /// `held`, `away`, `probing` before it is taken, `taken` if another host has it, or `refused`
    /// by the kernel.
    pub state: String,
}

/// A command of `[ha]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookReport {
    /// The command line.
    pub command: String,
    /// `running`, `done` or `failed`; a failed command is retried.
    pub state: String,
    /// Time of this state, RFC 3339.
    pub at: String,
}

/// The rules in force, and the filter's counters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Flows that our hosts opened.
    pub flows_ours: u64,
    /// Flows that others opened by a rule.
    pub flows_theirs: u64,
    /// Flows that were evicted for new ones.
    pub flows_evicted: u64,
    /// New flows that were not recorded because the table was full.
    pub flows_unrecorded: u64,
    /// Packets that passed because their connection may be older than this gateway.
    pub grace: u64,
    /// Packets dropped, by reason; reasons without drops are left out.
    pub drops: BTreeMap<String, u64>,
    /// Denied packets, by the organization at the far end; those without are left out.
    pub orgs: BTreeMap<String, u64>,
    /// The rules in the order of the file.
    pub rules: Vec<RuleReport>,
    /// The last denied packets, the oldest first.
    pub denied: Vec<DeniedReport>,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleReport {
    /// Its place: file, line and column.
    pub place: String,
    /// True for `[[policy.allow]]`, false for `[[policy.allow-egress]]`.
    pub arrives: bool,
    /// Who may open connections.
    pub from: Vec<String>,
    /// What may be opened.
    pub to: Vec<String>,
    /// The services.
    pub services: Vec<String>,
    /// Number of flows that others opened by it; `None` if that is not counted.
    pub opened: Option<u64>,
}

impl RuleReport {
    /// True if both rules are equal, wherever they are written.
    pub fn says_the_same_as(&self, other: &RuleReport) -> bool {
        self.arrives == other.arrives
            && self.from == other.from
            && self.to == other.to
            && self.services == other.services
    }
}

/// A denied packet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeniedReport {
    /// When, RFC 3339.
    pub at: String,
    /// Direction: true out of a tunnel, false into one.
    pub arrives: bool,
    /// The organization at the far end, if the address belongs to a site.
    pub org: Option<String>,
    /// The reason.
    pub reason: String,
    /// Source address, with the port if there is one.
    pub source: String,
    /// Destination address, with the port if there is one.
    pub destination: String,
    /// The service, such as `tcp 7051`, `icmp type 8 code 0`, `protocol 47`.
    pub service: String,
}

/// The daemon and its files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Time of the start, RFC 3339.
    pub started: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// The site of this gateway.
    pub site: String,
    /// `gateway.toml`.
    pub config: String,
    /// The state directory.
    pub state_dir: String,
    /// The admin socket.
    pub socket: String,
    /// The TUN device.
    pub tun: String,
    /// The address of the tunnel port.
    pub listen: String,
    /// Endpoints in its record, where others dial it.
    pub endpoints: Vec<String>,
    /// Addresses of its DNS server.
    pub dns: Vec<String>,
    /// What the host of an attached node asks for the consortium's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
}

/// The result of a reload.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReloadReport {
    /// When it ended, RFC 3339.
    pub at: String,
    /// True if the files are in force. Otherwise only what they take away is.
    pub adopted: bool,
    /// The changes, as sentences.
    pub changes: Vec<String>,
    /// Why the reload, or only its rules, were refused.
    pub faults: Vec<String>,
    /// Warnings that did not refuse the reload.
    pub warnings: Vec<String>,
}

/// A finding: something that an operator should look at while the gateway goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttentionReport {
    /// Its kind; see `admin/attention.rs`. Kinds keep their names.
    #[serde(default)]
    pub kind: String,
    /// Its name, the same for as long as it lasts.
    pub name: String,
    /// The problem.
    pub what: String,
    /// When it began, as far as this daemon has seen it, RFC 3339.
    pub since: String,
    /// The command or the setting that fixes it; empty if there is none.
    pub remedy: String,
    /// The remedy in its parts; none from an older gateway.
    #[serde(default)]
    pub fix: Remedy,
}

impl AttentionReport {
    /// The remedy. An older gateway sends only a text.
    pub fn fix(&self) -> Remedy {
        match &self.fix {
            Remedy::None => Remedy::from(self.remedy.as_str()),
            fix => fix.clone(),
        }
    }
}

/// Round-trip times of a tunnel's probes since the daemon started, as a histogram.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundTripsReport {
    /// Upper bounds of the buckets, µs.
    pub bounds_us: Vec<u64>,
    /// Count of each bucket; the last one is above every bound.
    pub counts: Vec<u64>,
    /// Sum of all round-trip times, µs.
    pub sum_us: u64,
}

/// A tunnel to another gateway.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TunnelReport {
    /// `<gateway>.<org>`.
    pub peer: String,
    /// The peer's organization.
    pub org: String,
    /// True for a standard WireGuard client; then `state` says whether a packet arrived in the last
    /// three minutes.
    #[serde(default)]
    pub wireguard: bool,
    /// The peer's current address on the data path.
    #[serde(default)]
    pub address: Option<String>,
    /// The peer's endpoints in its record.
    #[serde(default)]
    pub endpoints: Vec<EndpointReport>,
    /// When the first certificate of the peer's chain expires, RFC 3339.
    #[serde(default)]
    pub certificate_until: Option<String>,
    /// Seconds since it went up or down.
    #[serde(default)]
    pub age_s: u64,
    /// Number of the last probes that were lost.
    #[serde(default)]
    pub probes_lost: usize,
    /// Number of the last probes that were sent.
    #[serde(default)]
    pub probes_sent: usize,
    /// The last outages, the latest first.
    #[serde(default)]
    pub outages: Vec<OutageReport>,
    /// `up`, `connecting` or `down`.
    pub state: String,
    /// Time of the last change of `state`, RFC 3339.
    pub since: String,
    /// Round-trip time of the last probe, µs.
    pub rtt_us: Option<u64>,
    /// Round-trip times of all probes.
    #[serde(default)]
    pub round_trips: RoundTripsReport,
    /// Path MTU: bytes of the largest outer IP packet that is known to reach the peer.
    pub path_mtu: u16,
    /// Sealed bytes sent, including headers.
    pub tx_bytes: u64,
    /// Opened bytes received, including headers.
    pub rx_bytes: u64,
    /// When a WireGuard client was heard of last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// For an attached node that is not up here: the site's gateway that has a session with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_to: Option<String>,
    /// Packets from it that belong to no flow known here, and that were handed over to a sibling.
    #[serde(default)]
    pub handed_over: u64,
    /// Packets dropped, by reason; reasons without drops are left out.
    pub drops: BTreeMap<String, u64>,
    /// The last error, as a sentence.
    pub last_error: Option<String>,
    /// True if that error is that the peer has a session with another daemon with our identity.
    #[serde(default)]
    pub displaced: bool,
    /// Organizations whose record differs at the peer.
    pub records_differ: Vec<String>,
    /// Details about each of them.
    #[serde(default)]
    pub record_drift: Vec<RecordDriftReport>,
    /// The peer's certificate in the session in use; none while the tunnel is down.
    #[serde(default)]
    pub certificate: Option<PeerCertificateReport>,
    /// The peer's claims that we refuse, with the reason.
    pub refused: BTreeMap<String, String>,
    /// Our claims that the peer refuses, with the reason.
    pub refused_by_peer: BTreeMap<String, String>,
}

/// An organization whose record differs between the two ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordDriftReport {
    /// The organization.
    pub org: String,
    /// `peer-is-older`, `we-are-older`, `equivocation`, `unknown`, `missing-there` or
    /// `missing-here`.
    pub kind: String,
    /// Our record; none if the organization is not a member here.
    pub ours: Option<HeldRecordReport>,
    /// The peer's record, as it reports it; none if the organization is not a member there.
    pub theirs: Option<HeldRecordReport>,
    /// The difference as a sentence, with what to do.
    pub what: String,
}

/// A version of an organization's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldRecordReport {
    /// 0 for a record of version 1, and from a peer that does not report it.
    pub serial: u64,
    /// SHA-256 of the record.
    pub digest: String,
}

/// An endpoint of a peer, with the result of the last dial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointReport {
    /// The endpoint in the record.
    pub endpoint: String,
    /// `connected`, or the error; none if it was not dialled since the start.
    pub result: Option<String>,
    /// Time of the result, RFC 3339.
    pub at: Option<String>,
}

/// An outage of a tunnel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutageReport {
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it lasted, seconds; none while it lasts.
    pub lasted_s: Option<f64>,
    /// Why the previous session ended.
    pub reason: String,
}

/// A prefix of a member's site.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RouteReport {
    /// CIDR.
    pub prefix: String,
    /// The organization with the prefix in its record; empty if it is not known: an attached node
    /// knows the sites of its own organization alone.
    pub org: String,
    /// The site with the prefix; empty if it is not known.
    #[serde(default)]
    pub site: String,
    /// The site whose gateways serve it, `<site>` or `<org>/<site>`, if it is served via one.
    #[serde(default)]
    pub via: Option<String>,
    /// True if this gateway's site serves it: it lies behind this host.
    #[serde(default)]
    pub served_here: bool,
    /// The gateway that packets are sent to now, `<gateway>.<org>`.
    pub gateway: Option<String>,
    /// True if that gateway is another one of this site, which passes packets on: no tunnel of this
    /// gateway leads there.
    #[serde(default)]
    pub by_sibling: bool,
    /// `available`, `conflicted`, or `refused`: its site is served via another one whose gateways
    /// may not serve it.
    pub verdict: String,
    /// Why it is refused.
    #[serde(default)]
    pub refused: Option<String>,
    /// What it conflicts with, and the place of that.
    pub conflict_with: Option<String>,
    /// The kind of the conflict.
    #[serde(default)]
    pub conflict_kind: ConflictKind,
    /// True if packets go through a tunnel now; else the kernel answers "unreachable".
    pub installed: bool,
}

/// The kind of a conflict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictKind {
    /// No conflict, or a kind that an older gateway does not report.
    #[default]
    None,
    /// With a prefix of another organization's site.
    Site,
    /// With a range that this gateway's file reserves.
    Reserved,
    /// With a network of this host.
    Host,
}

/// A zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ZoneReport {
    /// Name of the zone, absolute, without the final dot.
    pub apex: String,
    /// SOA serial; none if the zone was never received.
    pub serial: Option<u32>,
    /// Seconds since its owner was last heard from.
    pub age_s: Option<u64>,
    /// `own` or `replica`.
    pub origin: String,
    /// Which gateway of the owner last sent or offered names that were refused, and why; none once
    /// valid ones have arrived.
    #[serde(default)]
    pub refused: Option<String>,
    /// The owner has been silent for longer than the hold, so the zone's names fail.
    #[serde(default)]
    pub stale: bool,
    /// Every gateway of the organization has contributed, as far as is known. Otherwise unknown
    /// names fail instead of being denied.
    #[serde(default)]
    pub complete: bool,
    /// Its fragments, by gateway.
    #[serde(default)]
    pub fragments: Vec<FragmentReport>,
    /// For our zone: gateways that refuse all or some of our names, with what they say.
    #[serde(default)]
    pub refused_by: Vec<String>,
    /// Of these, gateways that leave out only some names. Empty if our file says that others leave
    /// out such addresses (`foreign-addresses`).
    #[serde(default)]
    pub left_out_by: Vec<String>,
}

/// A gateway's fragment of its organization's zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FragmentReport {
    /// The gateway that owns it.
    pub gateway: String,
    /// `own`, `held`, `expired` or `missing`.
    pub state: String,
    /// Number of records; none while it is missing.
    pub records: Option<usize>,
    /// Why its last offer or transfer was refused; none once a valid one has arrived.
    pub refused: Option<String>,
    /// Records that are left out, with the reason.
    pub left_out: Vec<String>,
}

/// A checked address of a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckReport {
    /// The host's name.
    pub host: String,
    /// Address and port of the probes.
    pub address: String,
    /// `good` or `failed`. A failed address is left out of our names, unless all addresses of its
    /// host have failed.
    pub state: String,
    /// Time of the last change, RFC 3339.
    pub since: String,
    /// Why the last probe failed; none if it succeeded.
    pub error: Option<String>,
}

/// A peer's certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerCertificateReport {
    /// Serial number, in hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// End of validity, RFC 3339.
    pub not_after: String,
}

/// A certificate revocation list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevocationListReport {
    /// The organization.
    pub org: String,
    /// Subject of the CA.
    pub issuer: String,
    /// CRL number, in hexadecimal.
    pub number: String,
    /// Number of revoked certificates.
    pub revoked: usize,
    /// When the next list is due, RFC 3339.
    pub next_update: String,
    /// True if the next list is overdue.
    pub stale: bool,
}

impl RevocationListReport {
    /// The report of the list `list` of `org`.
    pub fn of(org: &OrgId, list: &Crl, now: UnixTime) -> RevocationListReport {
        RevocationListReport {
            org: org.to_string(),
            issuer: list.issuer.clone(),
            number: list.number.to_string(),
            revoked: list.revoked.len(),
            next_update: rfc3339(list.next_update),
            stale: list.is_stale(now),
        }
    }
}

/// A certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateReport {
    /// X.509 subject, or the SPIFFE id of a certificate without one.
    pub subject: String,
    /// End of validity, RFC 3339.
    pub not_after: String,
    /// Three quarters of its lifetime are over; only known for ours.
    #[serde(default)]
    pub is_due: bool,
}
