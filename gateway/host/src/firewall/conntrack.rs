//! [`is_unused`]: whether this host's packet filters would still accept the tunnel's packets in
//! both directions if connection tracking did not see them. A filter that drops by default and
//! accepts "established" accepts answers to our dials, and our answers to peers' dials, only
//! because they are tracked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

/// A chain, by family, table and name.
type Chain = (String, String, String);

/// The hooks that this host's own packets pass.
const HOOKS: [&str; 4] = ["prerouting", "input", "output", "postrouting"];

/// True if no chain of `ruleset` (`nft -j list ruleset`) that sees packets of this host drops by
/// default or uses connection tracking. The table `ours` is ignored.
pub fn is_unused(ruleset: &[u8], ours: &str) -> bool {
    // A ruleset that cannot be parsed may depend on connection tracking.
    let Ok(ruleset) = serde_json::from_slice::<Value>(ruleset) else {
        return false;
    };
    let Some(objects) = ruleset["nftables"].as_array() else {
        return false;
    };

    let mut reached = BTreeSet::new();
    for chain in objects.iter().map(|object| &object["chain"]) {
        let is_on_the_way = HOOKS.iter().any(|hook| chain["hook"] == **hook);
        // Untracked packets skip chains that translate addresses.
        if !is_on_the_way || chain["type"] == "nat" || chain["table"] == ours {
            continue;
        }
        if chain["policy"] == "drop" {
            return false;
        }
        reached.extend(chain_of(chain, "name"));
    }

    !uses_connections(&rules_by_chain(objects), reached) && !has_legacy_filter()
}

/// True if one of the chains, or one that they lead to, uses connection tracking.
fn uses_connections(rules: &BTreeMap<Chain, Vec<String>>, mut pending: BTreeSet<Chain>) -> bool {
    let mut seen = BTreeSet::new();

    while let Some(chain) = pending.pop_first() {
        let expressions = rules.get(&chain).into_iter().flatten();

        for expression in expressions {
            // `nft` does not show iptables extensions in detail: "xt" may be "conntrack".
            if ["\"ct\":", "\"ct helper\":", "\"xt\":"]
                .iter()
                .any(|word| expression.contains(word))
            {
                return true;
            }
            let (family, table, _) = &chain;
            let targets = targets(expression).map(|name| (family.clone(), table.clone(), name));
            pending.extend(targets.filter(|target| !seen.contains(target)));
        }
        seen.insert(chain);
    }

    false
}

/// The chains that the rule `expression` jumps to.
fn targets(expression: &str) -> impl Iterator<Item = String> {
    expression
        .split("\"target\":\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name.to_owned())
}

fn rules_by_chain(objects: &[Value]) -> BTreeMap<Chain, Vec<String>> {
    let mut rules: BTreeMap<Chain, Vec<String>> = BTreeMap::new();

    for rule in objects.iter().map(|object| &object["rule"]) {
        if let Some(chain) = chain_of(rule, "chain") {
            rules
                .entry(chain)
                .or_default()
                .push(rule["expr"].to_string());
        }
    }

    rules
}

fn chain_of(object: &Value, name: &str) -> Option<Chain> {
    Some((
        text_of(object, "family")?,
        text_of(object, "table")?,
        text_of(object, name)?,
    ))
}

fn text_of(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(str::to_owned)
}

/// True if iptables-legacy has a filter table, which nftables does not show.
pub(super) fn has_legacy_filter() -> bool {
    ["ip_tables_names", "ip6_tables_names"].iter().any(|file| {
        fs::read_to_string(format!("/proc/thread-self/net/{file}"))
            .is_ok_and(|names| names.lines().any(|name| name == "filter"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unused(objects: &[Value]) -> bool {
        let ruleset = json!({ "nftables": objects });
        is_unused(ruleset.to_string().as_bytes(), "ringway0")
    }

    fn chain(table: &str, name: &str, hook: &str, policy: &str) -> Value {
        json!({ "chain": { "family": "inet", "table": table, "name": name, "hook": hook,
            "policy": policy } })
    }

    fn rule(table: &str, chain: &str, expr: &Value) -> Value {
        json!({ "rule": { "family": "inet", "table": table, "chain": chain, "expr": [expr] } })
    }

    fn ct() -> Value {
        json!({ "match": { "op": "in", "left": { "ct": { "key": "state" } }, "right": "new" } })
    }

    #[test]
    fn a_chain_at_input_that_drops_or_looks_at_connections_needs_them() {
        let open = chain("filter", "input", "input", "accept");
        assert!(unused(&[]));
        assert!(unused(std::slice::from_ref(&open)));
        assert!(!unused(&[chain("filter", "input", "input", "drop")]));
        assert!(!unused(&[open.clone(), rule("filter", "input", &ct())]));

        let jump = rule("filter", "input", &json!({ "jump": { "target": "ufw" } }));
        let there = rule("filter", "ufw", &ct());
        assert!(!unused(&[open.clone(), jump.clone(), there.clone()]));
        assert!(unused(&[open, there]), "a chain that input does not reach");
        let iptables = json!({ "xt": { "type": "match", "name": "conntrack" } });
        assert!(!unused(&[
            chain("filter", "INPUT", "input", "accept"),
            rule("filter", "INPUT", &iptables)
        ]));
    }

    #[test]
    fn every_hook_of_this_hosts_packets_counts_but_for_translation() {
        for hook in HOOKS {
            assert!(!unused(&[chain("filter", "c", hook, "drop")]), "{hook}");
            let open = chain("filter", "c", hook, "accept");
            assert!(
                !unused(&[open.clone(), rule("filter", "c", &ct())]),
                "{hook}"
            );

            let mut nat = open;
            nat["chain"]["type"] = json!("nat");
            assert!(unused(&[nat, rule("filter", "c", &ct())]), "{hook}");
        }
    }

    #[test]
    fn our_own_table_and_other_hooks_do_not_count() {
        assert!(unused(&[
            chain("ringway0", "input", "input", "drop"),
            chain("filter", "forward", "forward", "drop"),
            rule("filter", "forward", &ct()),
        ]));
    }

    #[test]
    fn an_answer_that_is_not_understood_needs_them() {
        assert!(!is_unused(b"{}", "ringway0"));
        assert!(!is_unused(b"table inet filter {", "ringway0"));
    }
}
