//! [`Remembered`]: rules in addresses, and when each was last in force.

use std::path::Path;

use ringway_config::{Allow, Origin, Place, PortRange, Prefix, Service, Target};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The rules in force, and those that ended recently.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    rules: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: StoredRule,
    /// When it ended, seconds since 1970; `None` if it is in force.
    ended: Option<u64>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredRule {
    from: StoredOrigins,
    to: Vec<Text>,
    services: Vec<StoredService>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredOrigins {
    All,
    Prefixes(Vec<Text>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredService {
    Tcp(Vec<(u16, u16)>),
    Udp(Vec<(u16, u16)>),
    Echo,
    Protocol(u8),
}

/// A prefix, stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Text(Prefix);

impl Remembered {
    /// Rules that are in force.
    pub(super) fn new(rules: Vec<StoredRule>) -> Remembered {
        let entries = rules.into_iter().map(|rule| Entry { rule, ended: None });
        Remembered {
            rules: entries.collect(),
        }
    }

    /// Rules that were in force until `now`.
    pub(super) fn ended(rules: &[Allow], now: u64) -> Remembered {
        let mut remembered = Remembered::default();
        remembered.replace_former(rules, now);
        remembered
    }

    /// Replaces the rules in force by `current` at `now`. Other rules end now, or have ended
    /// already; those that ended more than `keep` seconds ago are dropped.
    pub(super) fn set_current(&mut self, current: Vec<StoredRule>, now: u64, keep: u64) {
        self.rules.retain_mut(|entry| {
            let ended = *entry.ended.get_or_insert(now);
            // If the clock was set back, the end seems later, which admits less.
            !current.contains(&entry.rule) && now < ended.saturating_add(keep)
        });

        self.rules.extend(Remembered::new(current).rules);
    }

    /// Replaces all ended rules by `rules`.
    pub(super) fn replace_former(&mut self, rules: &[Allow], now: u64) {
        self.rules.retain(|entry| entry.ended.is_none());
        self.rules.extend(rules.iter().map(|rule| Entry {
            rule: StoredRule::of(rule),
            ended: Some(now),
        }));
    }

    /// The rules that have ended.
    pub(super) fn former(&self) -> Vec<Allow> {
        let ended = self.rules.iter().filter(|entry| entry.ended.is_some());
        ended.map(|entry| entry.rule.allow()).collect()
    }

    /// Size on disk, bytes.
    pub(super) fn len(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }
}

impl StoredRule {
    /// A rule without names: see [`meaning`](ringway_filter::RulesSpec::meaning).
    pub(super) fn of(rule: &Allow) -> StoredRule {
        let mut prefixes = Vec::new();
        for origin in &rule.from {
            if let Origin::Prefix(prefix) = origin {
                prefixes.push(Text(*prefix));
            }
        }
        let mut to = Vec::new();
        for target in &rule.to {
            if let Target::Prefix(prefix) = target {
                to.push(Text(*prefix));
            }
        }

        StoredRule {
            from: if rule.from.contains(&Origin::All) {
                StoredOrigins::All
            } else {
                StoredOrigins::Prefixes(prefixes)
            },
            to,
            services: rule.services.iter().map(StoredService::of).collect(),
        }
    }

    fn allow(&self) -> Allow {
        let from = match &self.from {
            StoredOrigins::All => vec![Origin::All],
            StoredOrigins::Prefixes(prefixes) => {
                prefixes.iter().map(|text| Origin::Prefix(text.0)).collect()
            }
        };

        Allow {
            from,
            to: self.to.iter().map(|text| Target::Prefix(text.0)).collect(),
            services: self.services.iter().map(StoredService::service).collect(),
            place: Place::whole(Path::new("policy.json")),
        }
    }
}

impl StoredService {
    fn of(service: &Service) -> StoredService {
        match service {
            Service::Tcp(ports) => StoredService::Tcp(pairs(ports)),
            Service::Udp(ports) => StoredService::Udp(pairs(ports)),
            Service::Icmp => StoredService::Echo,
            Service::Protocol(number) => StoredService::Protocol(*number),
        }
    }

    fn service(&self) -> Service {
        match self {
            StoredService::Tcp(ports) => Service::Tcp(ranges(ports)),
            StoredService::Udp(ports) => Service::Udp(ranges(ports)),
            StoredService::Echo => Service::Icmp,
            StoredService::Protocol(number) => Service::Protocol(*number),
        }
    }
}

fn pairs(ports: &[PortRange]) -> Vec<(u16, u16)> {
    ports
        .iter()
        .map(|range| (range.first, range.last))
        .collect()
}

fn ranges(pairs: &[(u16, u16)]) -> Vec<PortRange> {
    let ranges = pairs.iter().map(|&(first, last)| PortRange { first, last });
    ranges.collect()
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Text).map_err(serde::de::Error::custom)
    }
}
