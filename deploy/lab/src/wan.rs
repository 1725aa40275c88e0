//! The WAN's packet filter: drops and counts private addresses, as a real WAN does.
//!
//! It counts in any case. With dropping switched off, a leaked packet arrives where a test can see
//! it; the test does not have to trust the filter.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::program::{command, feed, output};
use crate::topology::Node;

/// Packets with private addresses that have arrived at the WAN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leaks {
    /// Packets with a private source.
    pub sources: u64,
    /// Packets with a private destination; if the filter drops, only those with a public source.
    pub destinations: u64,
}

/// Installs the filter and replaces an earlier one.
pub(crate) fn install(wan: &Node, drops: bool) -> Result<()> {
    let verdict = if drops { "drop" } else { "" };

    // RFC 1918 (IPv4) and RFC 4193 (IPv6) define the private addresses.
    let private_v4 = "{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }";
    let private_v6 = "fc00::/7";
    // The first two lines create the table if it is missing and delete it, so that the rules
    // replace an earlier filter. nft applies the file in one transaction.
    let rules = format!(
        "table inet wan
        delete table inet wan
        table inet wan {{
            counter sources {{ }}
            counter destinations {{ }}
            chain arriving {{
                type filter hook prerouting priority raw; policy accept;
                ip saddr {private_v4} counter name sources {verdict}
                ip6 saddr {private_v6} counter name sources {verdict}
                ip daddr {private_v4} counter name destinations {verdict}
                ip6 daddr {private_v6} counter name destinations {verdict}
            }}
        }}\n"
    );

    let nft = ["netns", "exec", &wan.netns, "nft", "-f", "-"];
    feed(&mut command("ip", nft), &rules)?;
    Ok(())
}

/// Reads the filter's counters.
pub fn leaks(wan: &Node) -> Result<Leaks> {
    let nft = [
        "netns", "exec", &wan.netns, "nft", "--json", "list", "counters",
    ];
    let json = output(&mut command("ip", nft))?;
    parse(&json).with_context(|| format!("cannot read the WAN's counters in {json}"))
}

fn parse(json: &str) -> Option<Leaks> {
    let document: Value = serde_json::from_str(json).ok()?;
    let entries = document["nftables"].as_array()?;
    Some(Leaks {
        sources: packets(entries, "sources")?,
        destinations: packets(entries, "destinations")?,
    })
}

fn packets(entries: &[Value], name: &str) -> Option<u64> {
    entries
        .iter()
        .map(|entry| &entry["counter"])
        .find(|counter| counter["name"] == name)?["packets"]
        .as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_read_from_the_output_of_nft() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "sources", "packets": 3, "bytes": 252}},
            {"counter": {"family": "inet", "name": "destinations", "packets": 1, "bytes": 84}}]}"#;
        let expected = Leaks {
            sources: 3,
            destinations: 1,
        };
        assert_eq!(parse(json), Some(expected));
    }
}
