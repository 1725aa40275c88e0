//! Checks connection tracking, if other programs use it: a nearly full table drops new connections,
//! and the tunnel's packets need not be in it.

use std::fs;

use ringway_config::Config;
use ringway_host::firewall::is_tracking_unused;
use ringway_intent::{Finding, Remedy};
use serde_json::Value;

use super::ruleset::each;

/// Number of tracked connections, and its limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) count: u64,
    pub(super) most: u64,
}

/// Without the kernel module, nothing is tracked.
pub(super) fn find(config: &Config, ruleset: &Value) -> Vec<Finding> {
    let [Some(count), Some(most)] = ["count", "max"].map(read) else {
        return Vec::new();
    };
    let table = Table { count, most };

    let tracked = table.tracks(ruleset, config.tun.as_str(), config.listen.port());
    table.nearly_full().into_iter().chain(tracked).collect()
}

/// A number of this network namespace (nf_conntrack-sysctl).
fn read(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");

    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Table {
    pub(super) fn nearly_full(&self) -> Option<Finding> {
        let Table { count, most } = *self;
        // 0 means no limit.
        if most == 0 || count < most - most / 10 {
            return None;
        }

        Some(Finding {
            name: "tracking full".to_owned(),
            what: format!(
                "this host tracks {count} connections and can {most}: new ones are dropped when \
                 the table is full, also of the tunnel"
            ),
            remedy: Remedy::command(format!(
                "sysctl -w net.netfilter.nf_conntrack_max={}",
                most.saturating_mul(2)
            )),
        })
    }

    /// The finding that the tunnel's packets are tracked. The guard exempts them, unless a filter
    /// at the input depends on tracking.
    pub(super) fn tracks(&self, ruleset: &Value, tun: &str, port: u16) -> Option<Finding> {
        let is_read = ruleset["nftables"].is_array();
        let text = ruleset.to_string();
        if self.count == 0 || !is_read || is_tracking_unused(text.as_bytes(), tun) {
            return None;
        }
        if each(ruleset, "rule").any(|rule| takes_out(rule, port)) {
            return None;
        }

        Some(Finding {
            name: "tracking tunnel".to_owned(),
            what: format!(
                "a firewall of this host uses connection tracking, so each packet of the tunnel \
                 (UDP port {port}) costs a look-up, and is dropped when the table is full"
            ),
            remedy: Remedy::command(remedy(ruleset, tun, port)),
        })
    }
}

/// True if `rule` exempts packets to the tunnel port from tracking.
fn takes_out(rule: &Value, port: u16) -> bool {
    let expressions = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
    let is_notrack = expressions.iter().any(|one| one.get("notrack").is_some());

    is_notrack
        && expressions.iter().all(|one| {
            let Some(test) = one.get("match") else {
                return true;
            };
            test["left"]["payload"]["field"] == "dport" && test["right"] == port
        })
}

/// The filters must first accept the packets by port, since they are not "established" afterwards.
fn remedy(ruleset: &Value, tun: &str, port: u16) -> String {
    let inputs = each(ruleset, "chain").filter(|chain| {
        let is_ip = ["ip", "ip6", "inet"]
            .iter()
            .any(|ip| chain["family"] == *ip);
        is_ip && chain["hook"] == "input" && chain["type"] == "filter" && chain["table"] != tun
    });
    let mut commands: Vec<String> = inputs
        .map(|chain| {
            let [family, table, name] =
                ["family", "table", "name"].map(|key| chain[key].as_str().unwrap_or_default());
            format!("nft insert rule {family} {table} {name} udp dport {port} accept")
        })
        .collect();

    commands.push(format!(
        "nft 'table inet untracked_tunnel {{ chain in {{ type filter hook prerouting priority \
         raw; udp dport {port} notrack; }}; chain out {{ type filter hook output priority raw; \
         udp sport {port} notrack; }}; }}'"
    ));
    commands.join(" && ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOME: Table = Table {
        count: 5,
        most: 100,
    };

    fn ruleset(rules: &[Value]) -> Value {
        let mut objects = vec![json!({"chain": {"family": "inet", "table": "filter",
            "name": "input", "hook": "input", "type": "filter", "policy": "drop"}})];
        objects.extend(rules.iter().map(
            |expr| json!({"rule": {"family": "inet", "table": "raw", "chain": "in", "expr": expr}}),
        ));
        json!({"nftables": objects})
    }

    #[test]
    fn a_table_is_named_before_it_is_full() {
        let full = |count, most| Table { count, most }.nearly_full().is_some();
        assert!(full(90, 100) && full(100, 100));
        assert!(!full(89, 100) && !full(89, 0));
        let found = Table { count: 95, ..SOME }.nearly_full().unwrap();
        assert_eq!(
            found.remedy.to_string(),
            "sysctl -w net.netfilter.nf_conntrack_max=200"
        );
    }

    #[test]
    fn a_tunnel_that_a_firewall_has_tracked_is_named_until_it_is_taken_out() {
        let found = SOME.tracks(&ruleset(&[]), "ringway0", 4600).unwrap();
        assert!(
            found
                .remedy
                .to_string()
                .starts_with("nft insert rule inet filter input udp dport 4600 accept && nft '"),
            "{}",
            found.remedy
        );

        let port = |port: u16| {
            json!({"match": {"op": "==", "right": port,
                "left": {"payload": {"protocol": "udp", "field": "dport"}}}})
        };
        let out = |test: Value| ruleset(&[json!([test, {"notrack": null}])]);
        assert!(SOME.tracks(&out(port(4600)), "ringway0", 4600).is_none());
        assert!(SOME.tracks(&out(port(53)), "ringway0", 4600).is_some());
    }

    #[test]
    fn without_connections_or_filters_nothing_is_found() {
        let idle = Table { count: 0, ..SOME };
        assert!(idle.tracks(&ruleset(&[]), "ringway0", 4600).is_none());
        for empty in [json!({"nftables": []}), Value::Null] {
            assert!(SOME.tracks(&empty, "ringway0", 4600).is_none());
        }
    }
}
