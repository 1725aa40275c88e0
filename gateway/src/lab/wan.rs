//! The WAN's filter: what a real one does to private addresses, with counters.
//!
//! The counters count in any case; with the filter off the packets go on, so that a test can see a leak
//! arrive instead of merely believing that it was stopped.

use anyhow::{Context as _, Result};

use super::program::{command, feed, output};
use super::topology::Node;

/// Packets with private addresses that came to the WAN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leaks {
    /// With a private source.
    pub sources: u64,
    /// With a private destination (and no private source, if the filter is on).
    pub destinations: u64,
}

/// Installs the filter, in the place of an earlier one. Private means RFC 1918 and RFC 4193.
pub fn install(wan: &Node, drops: bool) -> Result<()> {
    let verdict = if drops { "drop" } else { "" };
    let rules = format!(
        "table inet wan
        delete table inet wan
        table inet wan {{
            counter sources {{ }}
            counter destinations {{ }}
            chain arriving {{
                type filter hook prerouting priority raw; policy accept;
                ip saddr {{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }} counter name sources {verdict}
                ip6 saddr fc00::/7 counter name sources {verdict}
                ip daddr {{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }} counter name destinations {verdict}
                ip6 daddr fc00::/7 counter name destinations {verdict}
            }}
        }}\n"
    );
    feed(
        &mut command("ip", ["netns", "exec", &wan.netns, "nft", "-f", "-"]),
        &rules,
    )?;
    Ok(())
}

/// Reads the counters.
pub fn leaks(wan: &Node) -> Result<Leaks> {
    let list = [
        "netns", "exec", &wan.netns, "nft", "--json", "list", "counters",
    ];
    let text = output(&mut command("ip", list))?;
    read(&text).with_context(|| format!("cannot read the WAN's counters in {text}"))
}

fn read(json: &str) -> Option<Leaks> {
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    let packets = |name: &str| {
        let mut counters = document["nftables"]
            .as_array()?
            .iter()
            .map(|entry| &entry["counter"]);
        counters.find(|counter| counter["name"] == name)?["packets"].as_u64()
    };
    Some(Leaks {
        sources: packets("sources")?,
        destinations: packets("destinations")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_nft_prints() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "sources", "table": "wan", "packets": 3, "bytes": 252}},
            {"counter": {"family": "inet", "name": "destinations", "table": "wan", "packets": 1, "bytes": 84}}]}"#;
        assert_eq!(
            read(json),
            Some(Leaks {
                sources: 3,
                destinations: 1
            })
        );
    }
}
