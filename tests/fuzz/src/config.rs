//! The files of an operator: member records, which come from other organizations, and
//! `gateway.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ringway_config::{
    Config, Faults, Member, NewMember, Service, Target, Verdict, conflicts, limits, member_text,
    rule, socket_of,
};

/// The record of the gateway under test, and of its only fellow member.
const RECORD: &str = "version = 2\nserial = 1\norg = \"acme\"\ndomain = \"consortium.example\"\n\
    ca = \"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\"\n\
    [[site]]\nname = \"west\"\nprefixes = [\"10.1.0.0/16\", \"fd00:1::/48\"]\n\
    [[gateway]]\nname = \"gw\"\nsite = \"west\"\nendpoints = [\"203.0.113.5:4600\"]\n[end]\n";

/// A member record. One without faults is written and read again as the same. True if it has no
/// faults.
pub fn record(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let file = Path::new("acme.member.toml");
    match Member::parse(&text, file) {
        Err(faults) => {
            check(&faults, &text, file);
            false
        }
        Ok(member) => {
            check_limits(&member);

            let text = member_text(&new_member(&member));
            let again = Member::parse(&text, file)
                .unwrap_or_else(|faults| panic!("{member:?} gives {text}: {faults}"));
            assert_eq!(new_member(&again), new_member(&member), "{text}");
            true
        }
    }
}

/// `gateway.toml` beside sound records. True if it has no faults.
pub fn gateway(data: &[u8]) -> bool {
    static DIR: LazyLock<PathBuf> = LazyLock::new(consortium);
    let text = String::from_utf8_lossy(data);
    // Threads of a test have a file each.
    let file = DIR.join(format!("{:?}.toml", std::thread::current().id()));
    fs::write(&file, &*text).expect("a writable directory");

    let socket = socket_of(&file);
    match Config::load(&file) {
        Err(faults) => {
            check(&faults, &text, &file);
            false
        }
        Ok(config) => {
            assert_eq!(socket.as_ref(), Ok(&config.socket), "{text}");
            check_config(&config);
            true
        }
    }
}

/// A temporary directory with the records.
fn consortium() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ringway-fuzz-{}", std::process::id()));
    let beta = RECORD.replace("acme", "beta").replace("10.1.", "10.2.");
    let beta = beta.replace("fd00:1:", "fd00:2:");
    fs::create_dir_all(dir.join("members")).expect("a writable directory");
    fs::write(dir.join("acme.member.toml"), RECORD).expect("a writable directory");
    fs::write(dir.join("members/beta.member.toml"), beta).expect("a writable directory");
    dir
}

/// There are faults, in order, each once, and those in `file` are at a character that it has.
pub fn check(faults: &Faults, text: &str, file: &Path) {
    assert!(!faults.is_empty(), "{text}");
    assert!(
        faults.0.is_sorted_by(|a, b| a < b),
        "out of order or twice: {faults}"
    );

    let lines: Vec<&str> = text.split('\n').collect();
    for fault in &faults.0 {
        let Some(position) = fault.place.position else {
            continue;
        };
        if **fault.place.file != *file {
            continue;
        }
        let line = position
            .line
            .checked_sub(1)
            .map(|line| lines.get(line as usize));
        let columns = line.flatten().map_or(0, |line| line.chars().count() + 1);
        assert!(
            (1..=columns).contains(&(position.column as usize)),
            "no such place: {fault}"
        );
    }
}

/// A gateway may rely on these.
fn check_limits(member: &Member) {
    assert!((1..=limits::ROOTS).contains(&member.roots.len()));
    assert!(member.sites.len() <= limits::SITES);
    assert!(member.gateways.len() <= limits::GATEWAYS);
    for site in &member.sites {
        assert!(site.prefixes.len() <= limits::PREFIXES);
        assert!(site.prefixes.iter().all(|placed| placed.prefix.len() > 0));
    }
    for gateway in &member.gateways {
        let site = member.site(&gateway.site);
        assert!(site.is_some_and(|site| site.via.is_none()), "{gateway:?}");
        assert!(gateway.endpoints.len() <= limits::ENDPOINTS);
    }
}

/// What a record without revocations says.
fn new_member(member: &Member) -> NewMember {
    let mut sites = Vec::new();
    for site in &member.sites {
        let prefixes = site.prefixes.iter().map(|placed| placed.prefix).collect();
        sites.push((site.name.clone(), prefixes));
    }
    let mut gateways = Vec::new();
    for gateway in &member.gateways {
        gateways.push((
            gateway.name.clone(),
            gateway.site.clone(),
            gateway.endpoints.clone(),
        ));
    }

    NewMember {
        org: member.org.clone(),
        domain: member.domain.clone(),
        // A record of version 1 has none, and is written as one of version 2.
        serial: member.serial.max(1),
        ca_pem: member.roots.iter().map(|root| root.pem.as_str()).collect(),
        sites,
        gateways,
    }
}

fn check_targets(targets: &[Target], config: &Config) {
    let zone = config.own.domain.zone_of(&config.own.org);

    assert!(!targets.is_empty());
    for target in targets {
        let ours = match target {
            // What may be served via this site some time is said, and kept.
            Target::Prefix(prefix) => config.is_own(prefix) || is_noted(target, config),
            Target::Name(name) => name.is_within(&zone),
            Target::Node(node) => {
                let mut nodes = config.nodes.list.iter();
                !node.prefixes.is_empty() && nodes.any(|known| known.name == node.node)
            }
        };
        assert!(ours, "{target}");
    }
}

fn is_noted(target: &Target, config: &Config) -> bool {
    let text = format!("{target} is in no site that is served here");
    let mut notes = config.notes.0.iter();
    notes.any(|note| note.message.starts_with(&text))
}

fn check_services(services: &[Service]) {
    for service in services {
        if let Service::Tcp(ports) | Service::Udp(ports) = service {
            let apart = ports.is_sorted_by(|a, b| a.last < b.first);
            assert!(apart, "ports that overlap: {service}");
        }
    }
}

fn check_config(config: &Config) {
    let none = BTreeSet::new();
    let rulings = rule(config, &[], &none);
    let disputed = rulings
        .iter()
        .any(|ruling| matches!(ruling.verdict, Verdict::Conflicted { .. }));
    assert_eq!(disputed, !conflicts(config, &[], &none).is_empty());

    for allow in config.policy.allow.iter().flatten() {
        assert!(!allow.from.is_empty() && !allow.services.is_empty());
        check_targets(&allow.to, config);
        check_services(&allow.services);
    }
    for allow in &config.policy.allow_egress {
        assert!(!allow.to.is_empty() && !allow.services.is_empty());
        check_targets(&allow.from, config);
        check_services(&allow.services);
    }

    let zone = config.own.domain.zone_of(&config.own.org);
    for record in &config.dns.records {
        assert!(record.name.is_within(&zone), "{record:?}");
    }
    for forward in &config.dns.forward {
        let suffix = forward.suffix.as_ref();
        let leaks = suffix.is_some_and(|suffix| suffix.is_within(&config.own.domain));
        assert!(!leaks && !forward.servers.is_empty(), "{forward:?}");
    }
}
