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

/// Everything `ringway status` shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The gateway that reports, `<gateway>.<org>`.
    pub gateway: String,
    /// `good`, `attention` if something is on that list, or `down` if no tunnel is up although
    /// there are other gateways.
    #[serde(default)]
    pub state: String,
    /// The daemon itself.
    #[serde(default)]
    pub daemon: DaemonReport,
    /// What it is among the gateways of its site; none while it waits for the right time.
    #[serde(default)]
    pub role: Option<RoleReport>,
    /// Whether it is the active one of its site.
    #[serde(default)]
    pub site: SiteReport,
    /// The last reload of its files; none since the start.
    #[serde(default)]
    pub last_reload: Option<ReloadReport>,
    /// One per gateway of the consortium other than this one.
    pub tunnels: Vec<TunnelReport>,
    /// One per attached node of ours.
    #[serde(default)]
    pub nodes: Vec<TunnelReport>,
    /// One per prefix of every member's sites, except this site's.
    pub routes: Vec<RouteReport>,
    /// Sites that are announced only while the host has a way to them.
    #[serde(default)]
    pub announce: Vec<AnnouncementReport>,
    /// Our zone and the others' replicas.
    pub zones: Vec<ZoneReport>,
    /// The addresses of our hosts that have a `check`.
    #[serde(default)]
    pub checks: Vec<CheckReport>,
    /// Our chain and the members' CA certificates.
    pub certificates: Vec<CertificateReport>,
    /// Handshakes of others that came to nothing, by reason.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
    /// The members' certificate revocation lists, and ours.
    #[serde(default)]
    pub revocation_lists: Vec<RevocationListReport>,
    /// Packets dropped before it was known which peer they belong to, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Packets that the policy dropped, by reason.
    pub filtered: BTreeMap<String, u64>,
    /// What an operator should look at; empty if all is well.
    #[serde(default)]
    pub attention: Vec<AttentionReport>,
    /// How often each kind of kernel object was restored after another program had changed it.
    #[serde(default)]
    pub restored: BTreeMap<String, u64>,
    /// Another gateway of this site has no session with this one. Its connections are unknown here,
    /// so that packets which look like theirs pass.
    #[serde(default)]
    pub grace_without_end: bool,
    /// How often the TUN device was found down or gone, and brought back.
    #[serde(default)]
    pub tun_recreated: u64,
    /// The rules in force, and what they did.
    #[serde(default)]
    pub policy: PolicyReport,
}

/// What a gateway is among those of its site.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoleReport {
    /// `active` or `standby`.
    pub role: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The epoch of this gateway's claims.
    pub epoch: u64,
    /// Why: one word.
    pub cause: String,
    /// Why, in an operator's words.
    pub reason: String,
    /// The gateway of this site that the reason is about, `<gateway>.<org>`.
    pub sibling: Option<String>,
    /// After a takeover: how long the gateway before it had not been heard of, seconds.
    pub gap_s: Option<f64>,
    /// The addresses of `[ha]`.
    pub addresses: Vec<VirtualAddressReport>,
    /// The command of `[ha]` that was started last.
    pub hook: Option<HookReport>,
}

/// A virtual address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VirtualAddressReport {
    /// The address.
    pub address: String,
    /// The interface that has it while this gateway is active.
    pub interface: String,
    /// `held`, `away`, `probing` before it is taken, `taken` by somebody else, or `refused` by the
    /// kernel.
    pub state: String,
}

/// A command of a role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookReport {
    /// The command.
    pub command: String,
    /// `running`, `done` or `failed`; a failed one is tried again.
    pub state: String,
    /// Since when, RFC 3339.
    pub at: String,
}

/// The rules in force, and what the filter did by them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Flows that our hosts opened.
    pub flows_ours: u64,
    /// Flows that others opened by a rule.
    pub flows_theirs: u64,
    /// Flows that were given up for new ones.
    pub flows_evicted: u64,
    /// New flows for which there was no place.
    pub flows_unrecorded: u64,
    /// Packets that passed because a connection may be older than this gateway.
    pub grace: u64,
    /// Packets dropped, by reason; reasons without drops are left out.
    pub drops: BTreeMap<String, u64>,
    /// Packets denied, by the organization at the far end; those without are left out.
    pub orgs: BTreeMap<String, u64>,
    /// Each rule in the order of the file.
    pub rules: Vec<RuleReport>,
    /// The last packets that were denied, the oldest first.
    pub denied: Vec<DeniedReport>,
}

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleReport {
    /// Where it was written: file, line and column.
    pub place: String,
    /// True for `[[policy.allow]]`, false for `[[policy.allow-egress]]`.
    pub arrives: bool,
    /// Who may open.
    pub from: Vec<String>,
    /// What may be opened.
    pub to: Vec<String>,
    /// By which services.
    pub services: Vec<String>,
    /// Flows that others opened by it; `None` if that is not counted.
    pub opened: Option<u64>,
}

impl RuleReport {
    /// True if both mean the same, wherever they are written.
    pub fn says_the_same_as(&self, other: &RuleReport) -> bool {
        self.arrives == other.arrives
            && self.from == other.from
            && self.to == other.to
            && self.services == other.services
    }
}

/// A packet that was denied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeniedReport {
    /// When, RFC 3339.
    pub at: String,
    /// Out of a tunnel, or into one.
    pub arrives: bool,
    /// The organization at the far end, if a site has its address.
    pub org: Option<String>,
    /// Why.
    pub reason: String,
    /// Its source: address, and port if it has one.
    pub source: String,
    /// Its destination: address, and port if it has one.
    pub destination: String,
    /// Such as `tcp 7051`, `icmp type 8 code 0`, `protocol 47`.
    pub service: String,
}

/// The daemon and where it works.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Of the program.
    pub version: String,
    /// Process number.
    pub pid: u32,
    /// RFC 3339.
    pub started: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// The site that it serves.
    pub site: String,
    /// `gateway.toml`.
    pub config: String,
    /// The state directory.
    pub state_dir: String,
    /// The admin socket.
    pub socket: String,
    /// The TUN device.
    pub tun: String,
    /// The tunnel port.
    pub listen: String,
    /// Where others can dial it, as its record says.
    pub endpoints: Vec<String>,
    /// Where it answers DNS.
    pub dns: Vec<String>,
}

/// What became of a reload.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReloadReport {
    /// When it ended, RFC 3339.
    pub at: String,
    /// The files are in force. Otherwise only what they take away is.
    pub adopted: bool,
    /// What is otherwise than before, in an operator's words.
    pub changes: Vec<String>,
    /// Why it was refused, or its rules were.
    pub faults: Vec<String>,
    /// What somebody should look at, although it was not refused.
    pub warnings: Vec<String>,
}

/// Something that an operator should look at, while the gateway goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttentionReport {
    /// What kind of thing it is; see `admin/attention.rs`. Kinds keep their names.
    #[serde(default)]
    pub kind: String,
    /// Stays the same while it lasts.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The command or the setting that fixes it; empty if there is none.
    pub remedy: String,
    /// The same in its parts; nothing from an older gateway.
    #[serde(default)]
    pub fix: Remedy,
}

impl AttentionReport {
    /// What fixes it. A gateway of an older version says it in one text, whatever that is.
    pub fn fix(&self) -> Remedy {
        match &self.fix {
            Remedy::None => Remedy::from(self.remedy.as_str()),
            fix => fix.clone(),
        }
    }
}

/// Round trips of the probes of a tunnel since the daemon started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundTripsReport {
    /// The upper bounds, µs.
    pub bounds_us: Vec<u64>,
    /// How many were between each two bounds; one more, of those above every bound.
    pub counts: Vec<u64>,
    /// The sum of all, µs.
    pub sum_us: u64,
}

/// The tunnel to one gateway.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TunnelReport {
    /// `<gateway>.<org>`.
    pub peer: String,
    /// The peer's organization.
    pub org: String,
    /// It is a standard WireGuard client, and `state` says whether it was heard of in the last
    /// three minutes.
    #[serde(default)]
    pub wireguard: bool,
    /// The peer's address on the data path.
    #[serde(default)]
    pub address: Option<String>,
    /// Where its record says that it can be dialled.
    #[serde(default)]
    pub endpoints: Vec<EndpointReport>,
    /// When the first certificate of the chain that it has shown expires, RFC 3339.
    #[serde(default)]
    pub certificate_until: Option<String>,
    /// Seconds since it went up, or down.
    #[serde(default)]
    pub age_s: u64,
    /// Of the last probes on the data path, how many were lost, and how many were sent.
    #[serde(default)]
    pub probes_lost: usize,
    /// See `probes_lost`.
    #[serde(default)]
    pub probes_sent: usize,
    /// The last times that it was down, the latest first.
    #[serde(default)]
    pub outages: Vec<OutageReport>,
    /// `up`, `connecting` or `down`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Last round trip of a probe on the data path, µs.
    pub rtt_us: Option<u64>,
    /// Round trips of all probes.
    #[serde(default)]
    pub round_trips: RoundTripsReport,
    /// Bytes of the largest outer IP packet that is known to reach the peer whole.
    pub path_mtu: u16,
    /// Sealed bytes sent, headers included.
    pub tx_bytes: u64,
    /// Opened bytes received, headers included.
    pub rx_bytes: u64,
    /// Packets of it that belong to no flow known here, and that another gateway of our site was
    /// given.
    #[serde(default)]
    pub handed_over: u64,
    /// Packets dropped, by reason; reasons without drops are left out.
    pub drops: BTreeMap<String, u64>,
    /// What last went wrong, in an operator's words.
    pub last_error: Option<String>,
    /// It is that the peer has a session with another daemon that has our identity.
    #[serde(default)]
    pub displaced: bool,
    /// Organizations of whose record the peer holds another version.
    pub records_differ: Vec<String>,
    /// For each of them, who holds the older one.
    #[serde(default)]
    pub record_drift: Vec<RecordDriftReport>,
    /// The peer's certificate in the session in use; none while the tunnel is down.
    #[serde(default)]
    pub certificate: Option<PeerCertificateReport>,
    /// Prefixes that the peer announces and we refuse, and why.
    pub refused: BTreeMap<String, String>,
    /// Our prefixes that the peer refuses, and why.
    pub refused_by_peer: BTreeMap<String, String>,
}

/// One organization of whose record the two ends hold different versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordDriftReport {
    /// The organization.
    pub org: String,
    /// `peer-is-older`, `we-are-older`, `equivocation`, `unknown`, `missing-there` or
    /// `missing-here`.
    pub kind: String,
    /// Our record; none if the organization is no member here.
    pub ours: Option<HeldRecordReport>,
    /// The peer's, as it says; none if the organization is no member there.
    pub theirs: Option<HeldRecordReport>,
    /// The same for an operator, with what to do.
    pub what: String,
}

/// The record of an organization that a gateway holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldRecordReport {
    /// 0 for a record of version 1, and from a peer that does not say.
    pub serial: u64,
    /// SHA-256 of the record.
    pub digest: String,
}

/// Where a peer can be dialled, and what came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointReport {
    /// As the record has it.
    pub endpoint: String,
    /// What the last dial of it came to; `connected`, or what went wrong; none if it was not
    /// dialled since the start.
    pub result: Option<String>,
    /// When, RFC 3339.
    pub at: Option<String>,
}

/// One time that a tunnel was down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutageReport {
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it lasted, seconds; none while it lasts.
    pub lasted_s: Option<f64>,
    /// Why the session before it ended.
    pub reason: String,
}

/// One prefix of a member's site.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RouteReport {
    /// CIDR.
    pub prefix: String,
    /// The organization whose record lists it.
    pub org: String,
    /// The site that it belongs to.
    #[serde(default)]
    pub site: String,
    /// The site whose gateways serve it too, `<site>` or `<org>/<site>`, if it is served via one.
    #[serde(default)]
    pub via: Option<String>,
    /// True if it is served via this gateway's site: it lies behind this host.
    #[serde(default)]
    pub served_here: bool,
    /// The gateway that packets go to now, `<gateway>.<org>`.
    pub gateway: Option<String>,
    /// `available`, `conflicted`, or `refused`: its site is to be served via another one, whose
    /// gateways may not serve it.
    pub verdict: String,
    /// Why its site is refused.
    #[serde(default)]
    pub refused: Option<String>,
    /// With whom it conflicts, and where that is written.
    pub conflict_with: Option<String>,
    /// What that is.
    #[serde(default)]
    pub conflict_kind: ConflictKind,
    /// True if packets go through a tunnel now; else the kernel answers "unreachable".
    pub installed: bool,
}

/// What a prefix conflicts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictKind {
    /// Nothing, or something that an older gateway does not name.
    #[default]
    None,
    /// A range of another organization's site.
    Site,
    /// A range that this gateway's file reserves.
    Reserved,
    /// A network of this host.
    Host,
}

/// One zone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ZoneReport {
    /// Absolute name without the final dot.
    pub apex: String,
    /// SOA serial; none while the zone was never received.
    pub serial: Option<u32>,
    /// Seconds since its owner last confirmed it.
    pub age_s: Option<u64>,
    /// `own` or `replica`.
    pub origin: String,
    /// Which gateway of its owner last sent or offered names that were refused, and why; none since
    /// good ones.
    #[serde(default)]
    pub refused: Option<String>,
    /// The owner has been silent for longer than the hold: the zone's names fail.
    #[serde(default)]
    pub stale: bool,
    /// Every gateway of its organization has contributed, as far as is known. Otherwise names that
    /// it does not have fail.
    #[serde(default)]
    pub complete: bool,
    /// What it is made of, by gateway.
    #[serde(default)]
    pub fragments: Vec<FragmentReport>,
    /// For our zone: which gateways refuse our names or a part of them, and what they say.
    #[serde(default)]
    pub refused_by: Vec<String>,
    /// Those of them that answer from our names but for some, unless our file says that it has
    /// addresses which others leave out (`foreign-addresses`).
    #[serde(default)]
    pub left_out_by: Vec<String>,
}

/// What one gateway contributes to its organization's zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FragmentReport {
    /// Its owner.
    pub gateway: String,
    /// `own`, `held`, `expired` or `missing`.
    pub state: String,
    /// Number of records; none while it is missing.
    pub records: Option<usize>,
    /// Why the last one that its owner sent or offered was refused; none since a good one.
    pub refused: Option<String>,
    /// Records that are not answered, and why.
    pub left_out: Vec<String>,
}

/// One address of a host with a `check`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckReport {
    /// The host's name.
    pub host: String,
    /// Address and port that are probed.
    pub address: String,
    /// `good` or `failed`; a failed address is left out of our names, unless all of its host's
    /// have failed.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Why the last probe failed; none if it did not.
    pub error: Option<String>,
}

/// The certificate of a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerCertificateReport {
    /// Serial number, in hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// RFC 3339.
    pub not_after: String,
}

/// One certificate revocation list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevocationListReport {
    /// The organization.
    pub org: String,
    /// Subject of its CA.
    pub issuer: String,
    /// CRL number, in hexadecimal.
    pub number: String,
    /// Certificates that it revokes.
    pub revoked: usize,
    /// When the next one is due, RFC 3339.
    pub next_update: String,
    /// The next one is overdue.
    pub stale: bool,
}

impl RevocationListReport {
    /// What is shown of the list `list` of `org`.
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

/// One certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateReport {
    /// X.509 subject, or the SPIFFE id of a certificate without one.
    pub subject: String,
    /// RFC 3339.
    pub not_after: String,
    /// Three quarters of its lifetime are over; known of ours alone.
    #[serde(default)]
    pub is_due: bool,
}
