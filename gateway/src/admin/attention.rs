//! The list of findings that need attention: findings that parts of the daemon have raised, and
//! findings derived from the rest of the report. The text of `status` and `status --check` are made
//! of it.
//!
//! | kind | what |
//! |---|---|
//! | `duplicate-identity` | two daemons use one identity, or another one uses ours |
//! | `reload-refused` | the files are refused, so that an earlier configuration runs |
//! | `policy-test` | a test of the policy failed |
//! | `certificate-refused` | our new certificate is not used, or peers refuse ours |
//! | `certificate-expiry` | ours, a peer's or a CA's is about to expire, or has expired |
//! | `revocation-list` | a member's list of revoked certificates is overdue |
//! | `zone-refused`, `our-zone-refused` | names of a peer here, ours at a peer |
//! | `zone-stale` | names fail, since their owner has been silent for too long |
//! | `names-left-out` | names that are left out of answers: others' names here, or ours elsewhere |
//! | `address-failed` | addresses of our names that accept no connection |
//! | `record-withheld` | a record must not be used, so that its organization has no tunnels |
//! | `tunnel-down` | a tunnel is down |
//! | `never-meet` | neither this gateway nor the peer can be dialled |
//! | `records-differ` | a peer holds other member records |
//! | `site-refused` | a site is to be served via another one, whose gateways may not serve it |
//! | `not-announced` | a site with `[[announce]]` to which this host has no route |
//! | `prefix-conflict`, `prefix-refused`, `our-prefix-refused` | prefixes without a route |
//! | `foreign-firewall`, `foreign-route` | a rule of others is in our way; no route to a peer |
//! | `kernel-state`, `kernel-drift` | what is missing in the kernel, or is changed repeatedly |
//! | `state` | state that cannot be stored or read; a disk that is nearly full |
//! | `takeover` | the site's hosts may not follow this gateway's role |
//! | `site-network` | this gateway's interfaces to the site's network have no carrier |
//! | `drained` | this gateway was drained, and takes no part until that is cancelled |
//! | `address-missing` | this host lacks an address of ours, or another program has its port |
//! | `kubernetes` | names of Kubernetes Services that are not answered, or may be out of date |
//! | `http` | metrics and health are not served |
//! | `admin-socket` | the admin socket was removed and cannot be made again |
//! | `resolver` | this node's host does not ask for the consortium's names |
//! | `clock` | the certificate is not valid by this clock |
//! | `no-effect` | something in the files matches nothing, as a rule about no member |
//! | `grace` | packets pass without a known connection |
//! | `other` | see its text |

mod beginnings;
mod kind;
mod refused;
mod siblings;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use ringway_intent::Remedy;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::{
    AttentionReport, ConflictKind, Report, RevocationListReport, RouteReport, TunnelReport,
    ZoneReport,
};
use super::site::SiblingReport;

pub use beginnings::Beginnings;
pub use kind::Kind;
pub(crate) use refused::{Refused, add_to_nodes, align, differing, fact};

/// Seconds that the first connection of a tunnel may take before it is a finding.
const STARTUP_SECONDS: u64 = 10;

/// Days before the end of a certificate at which it becomes a finding: a CA's, and a peer's. Ours
/// does so after three quarters of its lifetime.
const CA_DAYS: i64 = 30;
const PEER_DAYS: i64 = 7;

/// The name of our certificate in findings.
const OURS: &str = "our certificate";

/// Adds the findings derived from the rest of `report`, and sets its state. `beginnings` are those
/// of the report before it.
pub fn complete(report: &mut Report, beginnings: &mut Beginnings, now: SystemTime) {
    let mut items = std::mem::take(&mut report.attention);
    for item in &mut items {
        item.kind = Kind::of(&item.name).word().to_owned();
    }
    let raised: BTreeSet<String> = items.iter().map(|item| item.name.clone()).collect();

    // A peer without endpoints can still dial us, if we have one.
    let is_dialled = !report.daemon.endpoints.is_empty();
    if !raised.contains("identity ours") {
        items.extend(report.tunnels.iter().find_map(displaced));
    }
    let conflicted = report
        .routes
        .iter()
        .filter(|route| route.conflict_with.is_some());
    let conflicted: BTreeSet<&str> = conflicted.map(|route| route.prefix.as_str()).collect();
    for tunnel in &report.tunnels {
        if displaced(tunnel).is_some() {
            continue;
        }
        let mut lost = down(tunnel, &report.gateway, is_dialled);
        if let Some(found) = &mut lost {
            found.what.push_str(&detour(&report.routes, &tunnel.org));
        }
        items.extend(lost);
        if !raised.contains(&format!("records {}", tunnel.peer)) {
            items.extend(drift(tunnel));
        }
        items.extend(refused::of_tunnel(tunnel, &conflicted, report));
        items.extend(peer_expiry(tunnel, now));
    }
    items.extend(report.nodes.iter().filter_map(refused::of_node));
    items.extend(report.routes.iter().filter_map(conflict));
    items.extend(refused_sites(&report.routes));
    items.extend(report.zones.iter().flat_map(of_zone));
    for list in &report.revocation_lists {
        if !raised.contains(&format!("revocation-list {}", list.org)) {
            items.extend(overdue(list));
        }
    }
    items.extend(siblings::differing(report));
    items.extend(certificates(report, now));
    if report.grace_without_end {
        let what = "another gateway of this site has no session with this one: TCP to the ports of \
                    [policy] grace-ports passes without a known connection";
        items.push(item(
            Kind::Grace,
            "siblings",
            what,
            Remedy::ringway("status   # why the tunnel between them is down"),
        ));
    }

    beginnings.set(&mut items, now);
    // A stable sort: within a kind, the order of the report stays.
    items.sort_by_key(|item| Kind::named(&item.kind).rank());
    report.attention = items;
    report.state = state(report).to_owned();
}

/// `good`, `attention` or `down`, as [`Report::state`].
pub fn state(report: &Report) -> &'static str {
    let mut tunnels = report.tunnels.iter();

    // A gateway that waits for the right time has no tunnels yet.
    if waiting(report).is_some()
        || (!report.tunnels.is_empty() && tunnels.all(|tunnel| tunnel.state != "up"))
    {
        "down"
    } else if report.attention.is_empty() {
        "good"
    } else {
        "attention"
    }
}

/// Why a gateway waits for the right time; `None` if it does not wait.
pub fn waiting(report: &Report) -> Option<&AttentionReport> {
    let mut items = report.attention.iter();

    items.find(|item| item.kind == Kind::Clock.word())
}

fn item(kind: Kind, about: &str, what: &str, fix: impl Into<Remedy>) -> AttentionReport {
    let kind = kind.word();
    let fix = fix.into();

    AttentionReport {
        kind: kind.to_owned(),
        name: format!("{kind} {about}"),
        what: what.to_owned(),
        since: String::new(),
        remedy: fix.to_string(),
        fix,
    }
}

/// The finding that the configuration file of a running gateway is missing.
pub fn missing_file(path: &Path) -> AttentionReport {
    let what = format!(
        "{} is missing: this gateway runs with what it has read before, and would not start again",
        path.display()
    );
    item(
        Kind::ReloadRefused,
        "file",
        &what,
        "the file must come back, such as from a backup",
    )
}

/// The finding that a peer has a session with another daemon that has our identity.
fn displaced(tunnel: &TunnelReport) -> Option<AttentionReport> {
    if tunnel.state != "down" || !tunnel.displaced {
        return None;
    }

    let mut found = item(
        Kind::DuplicateIdentity,
        "ours",
        &format!(
            "another daemon uses the identity of this gateway: {} has a session with it",
            tunnel.peer
        ),
        Remedy::ringway(
            "cert renew --new-key   # if the key is in wrong hands: then revoke the earlier one; \
             a machine that was copied needs a name of its own (ringway gateway add)",
        ),
    );
    found.since.clone_from(&tunnel.since);
    Some(found)
}

/// The finding about a tunnel that is not up.
fn down(tunnel: &TunnelReport, gateway: &str, is_dialled: bool) -> Option<AttentionReport> {
    let peer = &tunnel.peer;
    // At a start, the first attempts are still under way. After an outage there is no such delay.
    let is_starting = tunnel.outages.is_empty() && tunnel.age_s < STARTUP_SECONDS;
    if tunnel.state != "down" || is_starting {
        return None;
    }

    let mut found = if tunnel.endpoints.is_empty() && !is_dialled {
        item(
            Kind::NeverMeet,
            peer,
            &format!("no tunnel to {peer} can ever come up: neither end has an endpoint"),
            Remedy::ringway(format!(
                "gateway set {} --add-endpoint …   # and hand the record out; or the peer does so",
                gateway.split('.').next().unwrap_or_default()
            )),
        )
    } else {
        let reason = tunnel.last_error.as_deref().unwrap_or("no answer yet");
        item(
            Kind::TunnelDown,
            peer,
            &format!("the tunnel to {peer} is down: {reason}"),
            Remedy::ringway(format!("status --peer {peer}   # shows each endpoint")),
        )
    };
    found.since.clone_from(&tunnel.since);
    Some(found)
}

/// Which gateway of this site passes on what no tunnel of ours to `org` carries.
fn detour(routes: &[RouteReport], org: &str) -> String {
    let passed_on = routes
        .iter()
        .filter(|route| route.org == org && route.by_sibling);
    let passed_on: Vec<&RouteReport> = passed_on.collect();
    let first = passed_on.first();

    match first.and_then(|route| Some((route, route.gateway.as_ref()?))) {
        Some((route, sibling)) => format!(
            "; {sibling}, of this site, passes packets to {}{} on",
            route.prefix,
            more(passed_on.len())
        ),
        None => String::new(),
    }
}

/// The finding that a peer holds other records.
fn drift(tunnel: &TunnelReport) -> Option<AttentionReport> {
    // A peer can invent any number of organizations, so there is one finding for all.
    let first = tunnel.record_drift.first()?;
    let more = more(tunnel.record_drift.len());

    let what = format!("{}{more}", first.what);
    Some(item(Kind::RecordsDiffer, &tunnel.peer, &what, ""))
}

/// The finding that a peer's certificate is about to expire, whether the tunnel is up or not.
fn peer_expiry(tunnel: &TunnelReport, now: SystemTime) -> Option<AttentionReport> {
    let until = tunnel.certificate_until.as_deref()?;
    let name = format!("the certificate of {}", tunnel.peer);

    expiry(&name, until, PEER_DAYS, now)
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    }
}

fn conflict(route: &RouteReport) -> Option<AttentionReport> {
    let with = route.conflict_with.as_ref()?;
    let of = match route.org.as_str() {
        "" => String::new(),
        org => format!(" of {org}"),
    };

    Some(item(
        Kind::PrefixConflict,
        &route.prefix,
        &format!("{}{of} has no route: it overlaps {with}", route.prefix),
        agreement(route.conflict_kind),
    ))
}

/// How to resolve the overlap, and who has to.
fn agreement(kind: ConflictKind) -> Remedy {
    match kind {
        ConflictKind::Host => Remedy::command(
            "ip address show   # one of the two must be renumbered: this host's network or the \
             member's",
        ),
        ConflictKind::Reserved => Remedy::from(
            "this site reserves the range: take it out of reserved, or the organization uses \
             another",
        ),
        ConflictKind::Site | ConflictKind::None => {
            Remedy::from("the two organizations must agree which of them uses the range")
        }
    }
}

/// One finding for each site, however many prefixes it has.
fn refused_sites(routes: &[RouteReport]) -> Vec<AttentionReport> {
    let mut items: Vec<AttentionReport> = Vec::new();
    for route in routes {
        let (Some(why), Some(via)) = (&route.refused, &route.via) else {
            continue;
        };
        let found = item(
            Kind::SiteRefused,
            &format!("{}/{}", route.org, route.site),
            &format!(
                "site {}/{} has no route: it is to be served via {via}, and {why}",
                route.org, route.site
            ),
            "the two organizations must hand out records that fit each other",
        );
        if items.iter().all(|known| known.name != found.name) {
            items.push(found);
        }
    }
    items
}

fn overdue(list: &RevocationListReport) -> Option<AttentionReport> {
    let RevocationListReport {
        org,
        issuer,
        next_update,
        ..
    } = list;

    list.stale.then(|| {
        let mut found = item(
            Kind::RevocationList,
            &format!("{org} {issuer}"),
            &format!("the revocation list of {org} ({issuer}) was due {next_update}"),
            "its organization must hand over the newest one",
        );
        found.since.clone_from(next_update);
        found
    })
}

fn of_zone(zone: &ZoneReport) -> Vec<AttentionReport> {
    let apex = &zone.apex;
    let mut items = Vec::new();

    if zone.stale {
        items.push(item(
            Kind::ZoneStale,
            apex,
            &format!("names of {apex} fail: its organization has been silent for too long"),
            "",
        ));
    }
    if let Some(first) = zone.left_out_by.first() {
        let more = more(zone.left_out_by.len());
        items.push(item(
            Kind::NamesLeftOut,
            apex,
            &format!("names of ours are left out elsewhere: {first}{more}"),
            "correct them, or hand our newest record to the organization that leaves them out",
        ));
    }
    for fragment in &zone.fragments {
        let gateway = &fragment.gateway;
        if let Some(first) = fragment.left_out.first() {
            let more = more(fragment.left_out.len());
            items.push(item(
                Kind::NamesLeftOut,
                gateway,
                &format!("names of {gateway} are not answered: {first}{more}"),
                "",
            ));
        }
        if fragment.state == "expired" && !zone.stale {
            items.push(item(
                Kind::ZoneStale,
                gateway,
                &format!("names of {gateway} fail: it has been silent for too long"),
                "",
            ));
        }
    }
    items
}

/// Findings about certificates. The report lists ours first, then the members' CAs.
fn certificates(report: &Report, now: SystemTime) -> Vec<AttentionReport> {
    let certificates = report.certificates.iter().enumerate();

    let expiring = certificates.filter_map(|(place, certificate)| {
        let subject = &certificate.subject;
        // The start of others' certificates is not known here, so they have a fixed number of days.
        let (name, days) = match place {
            0 if certificate.is_due => (ours(subject), i64::MAX),
            0 => (ours(subject), 0),
            _ => (authority(subject), CA_DAYS),
        };
        expiry(&name, &certificate.not_after, days, now)
    });
    expiring.collect()
}

/// Our certificate, as findings name it.
pub fn ours(subject: &str) -> String {
    format!("{OURS} ({subject})")
}

/// A member's CA certificate, as findings name it.
pub fn authority(subject: &str) -> String {
    format!("the CA certificate {subject}")
}

/// The finding that a certificate has expired, or expires in fewer than `days`.
fn expiry(name: &str, until: &str, days: i64, now: SystemTime) -> Option<AttentionReport> {
    let end = OffsetDateTime::parse(until, &Rfc3339).ok()?;
    let left = end - OffsetDateTime::from(now);
    if left.is_positive() && left.whole_days() >= days {
        return None;
    }

    let what = if left.is_negative() {
        format!("{name} has expired: it was valid until {until}")
    } else {
        format!(
            "{name} expires in {}: it is valid until {until}",
            in_words(left)
        )
    };
    let remedy = if name.starts_with(OURS) {
        Remedy::ringway("cert renew")
    } else {
        Remedy::from("its organization must renew it before it ends")
    };
    Some(item(Kind::CertificateExpiry, name, &what, remedy))
}

fn in_words(left: time::Duration) -> String {
    match (left.whole_days(), left.whole_hours()) {
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests;
