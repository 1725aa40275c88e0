//! The finding that another program has removed one of the two tables of `ringway chaincode
//! isolate`.

use std::collections::{BTreeMap, BTreeSet};

use ringway_host::firewall::isolation::{PEER, TABLES};
use ringway_intent::{Finding, Remedy};
use serde_json::Value;

use super::ruleset::each;

pub(super) fn find(ruleset: &Value) -> Vec<Finding> {
    let mut families: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for table in each(ruleset, "table") {
        let [name, family] = ["name", "family"].map(|key| table[key].as_str().unwrap_or_default());
        if let Some(bridge) = name.strip_prefix(TABLES) {
            families.entry(bridge).or_default().insert(family);
        }
    }

    let halves = families.iter().filter(|(_, families)| families.len() == 1);
    halves
        .map(|(bridge, families)| {
            let gone = if families.contains("inet") {
                "bridge"
            } else {
                "inet"
            };
            finding(bridge, gone, &peers(ruleset, bridge))
        })
        .collect()
}

/// The peers that the remaining table admits.
fn peers<'a>(ruleset: &'a Value, bridge: &str) -> BTreeSet<&'a str> {
    let name = format!("{TABLES}{bridge}");
    let rules = each(ruleset, "rule").filter(|rule| rule["table"] == *name);

    rules
        .filter_map(|rule| rule["comment"].as_str()?.strip_prefix(PEER))
        .collect()
}

fn finding(bridge: &str, family: &str, peers: &BTreeSet<&str>) -> Finding {
    let peers: String = peers.iter().map(|peer| format!(" --peer {peer}")).collect();
    let command = format!("sudo ringway chaincode isolate --bridge {bridge}{peers}");

    Finding {
        name: format!("isolation {bridge}"),
        what: format!(
            "chaincode on {bridge} is not isolated any more: the nftables table {family} \
             {TABLES}{bridge} is gone"
        ),
        remedy: Remedy::command(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_an_isolation_is_found_with_the_command_that_restores_it() {
        let table = |family: &str, name: &str| {
            let table = serde_json::json!({"family": family, "name": name});
            serde_json::json!({ "table": table })
        };
        let rule = serde_json::json!({"rule": {
            "family": "bridge", "table": "ringway-chaincode-br-cc",
            "comment": "peer=172.30.0.2:7052",
        }});
        let [packets, frames] =
            ["inet", "bridge"].map(|family| table(family, "ringway-chaincode-br-cc"));
        let other = table("inet", "ringway0");

        let whole = serde_json::json!({"nftables": [packets, frames, rule, other]});
        assert!(find(&whole).is_empty());
        let half = serde_json::json!({"nftables": [frames, rule, other]});
        let [found] = &find(&half)[..] else {
            panic!("one finding");
        };
        assert!(found.what.contains("inet ringway-chaincode-br-cc is gone"));
        assert_eq!(
            found.remedy.text(""),
            "sudo ringway chaincode isolate --bridge br-cc --peer 172.30.0.2:7052"
        );
    }
}
