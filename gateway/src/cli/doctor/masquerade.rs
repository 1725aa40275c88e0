//! Finds rules of other programs that rewrite the source of packets to the TUN device. Members
//! would see the gateway instead of the host, and the data plane drops packets without an address
//! of the site.

use ringway_config::{Config, Prefix};
use ringway_intent::{Finding, Remedy};
use serde_json::Value;

use super::ruleset::each;

pub(super) fn find(config: &Config, ruleset: &Value) -> Vec<Finding> {
    in_ruleset(ruleset, config.tun.as_str(), &config.served_prefixes())
}

fn in_ruleset(ruleset: &Value, tun: &str, own: &[Prefix]) -> Vec<Finding> {
    let mut spared = Vec::new();
    let mut findings = Vec::new();

    // In order: an earlier rule may exempt the device from a later one.
    for rule in each(ruleset, "rule") {
        let [family, table, chain] =
            ["family", "table", "chain"].map(|key| rule[key].as_str().unwrap_or_default());
        let name = format!("{family} {table} {chain}");
        let expressions = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
        if !concerns(expressions, tun, own) || spared.contains(&name) {
            continue;
        }

        if expressions.iter().any(|one| one.get("accept").is_some()) {
            // Packets to the device leave this chain here.
            spared.push(name);
        } else if expressions.iter().any(rewrites) {
            findings.push(finding(&name, tun));
        }
    }
    findings
}

pub(super) fn finding(chain: &str, tun: &str) -> Finding {
    Finding {
        name: format!("masquerade {chain}"),
        what: format!(
            "chain {chain} gives what leaves by {tun} another source: members see the gateway \
             instead of the site's hosts, or nothing"
        ),
        remedy: Remedy::command(format!("nft insert rule {chain} oifname \"{tun}\" accept")),
    }
}

/// True for `masquerade`, `snat`, and their forms in iptables-nft.
fn rewrites(expression: &Value) -> bool {
    let xt = expression["xt"]["name"].as_str();

    expression.get("masquerade").is_some()
        || expression.get("snat").is_some()
        || matches!(xt, Some("MASQUERADE" | "SNAT"))
}

/// False if a match of the rule excludes our hosts' packets to the device.
fn concerns(expressions: &[Value], tun: &str, own: &[Prefix]) -> bool {
    expressions.iter().all(|expression| {
        let Some(test) = expression.get("match") else {
            return true;
        };
        let is_equal = test["op"] == "==";
        let left = &test["left"];
        let right = &test["right"];

        if left["meta"]["key"] == "oifname" {
            let names_it = right.as_str().is_some_and(|name| is_name(name, tun));
            return right.as_str().is_none() || names_it == is_equal;
        }
        if left["payload"]["field"] == "saddr" {
            let range = prefix(right);
            let ours = range.map(|range| own.iter().any(|own| own.overlaps(&range)));
            return ours.is_none_or(|ours| ours == is_equal);
        }
        // Other matches are not understood: assume that the rule applies.
        true
    })
}

/// nft(8): a name may end with a wildcard.
fn is_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

fn prefix(value: &Value) -> Option<Prefix> {
    let text = match value {
        Value::String(address) => address.clone(),
        _ => {
            let prefix = &value["prefix"];
            format!("{}/{}", prefix["addr"].as_str()?, prefix["len"].as_u64()?)
        }
    };

    match text.parse() {
        Ok(prefix) => Some(prefix),
        // A single address of either family.
        Err(_) => format!("{text}/32")
            .parse()
            .or_else(|_| format!("{text}/128").parse())
            .ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(rules: &[Value]) -> Vec<String> {
        let rules: Vec<Value> = rules
            .iter()
            .map(|expr| {
                json!({"rule": {"family": "ip", "table": "nat", "chain": "POSTROUTING",
                                "expr": expr}})
            })
            .collect();
        let own = ["10.1.0.0/16".parse().unwrap()];
        let found = in_ruleset(&json!({"nftables": rules}), "ringway0", &own);
        found
            .into_iter()
            .map(|finding| finding.remedy.to_string())
            .collect()
    }

    fn leaves(op: &str, name: &str) -> Value {
        json!({"match": {"op": op, "left": {"meta": {"key": "oifname"}}, "right": name}})
    }

    fn from(addr: &str, len: u8) -> Value {
        let prefix = json!({"prefix": {"addr": addr, "len": len}});
        json!({"match": {"op": "==", "right": prefix,
                         "left": {"payload": {"protocol": "ip", "field": "saddr"}}}})
    }

    #[test]
    fn masquerading_of_the_sites_hosts_is_reported() {
        let masquerade = json!({"masquerade": null});
        let remedy = "nft insert rule ip nat POSTROUTING oifname \"ringway0\" accept";

        for rule in [
            json!([masquerade]),
            json!([leaves("!=", "docker0"), masquerade]),
            json!([from("10.1.0.0", 16), {"counter": null}, masquerade]),
            json!([leaves("==", "ring*"), {"snat": {"addr": "192.0.2.1"}}]),
            json!([{"xt": {"type": "target", "name": "MASQUERADE"}}]),
        ] {
            assert_eq!(found(std::slice::from_ref(&rule)), [remedy], "{rule}");
        }
    }

    #[test]
    fn masquerading_of_other_packets_is_not_reported() {
        let masquerade = json!({"masquerade": null});
        let spared: [&[Value]; 5] = [
            &[json!([leaves("==", "eth0"), masquerade])],
            &[json!([leaves("!=", "ringway0"), masquerade])],
            &[json!([
                from("172.17.0.0", 16),
                leaves("!=", "docker0"),
                masquerade
            ])],
            &[
                json!([leaves("==", "ringway0"), {"accept": null}]),
                json!([masquerade]),
            ],
            &[json!([{"accept": null}])],
        ];
        for rules in spared {
            assert_eq!(found(rules), [""; 0], "{rules:?}");
        }
    }
}
