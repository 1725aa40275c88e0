//! [`Findings`]: what the operator of WireGuard clients should know while they are served.

use ringway_config::Node;
use ringway_intent::Remedy;
use ringway_wireguard::Report;

use super::outdated::Outdated;
use crate::attention::Attention;

/// Names of the findings.
const OUTDATED: &str = "wireguard outdated";
const STRANGER: &str = "wireguard stranger";

/// Clients that a finding names.
const MOST_NAMED: usize = 3;

/// Raises and clears the findings.
pub(super) struct Findings {
    attention: Attention,
    outdated: Outdated,
}

impl Findings {
    pub(super) fn new(attention: Attention, outdated: Outdated) -> Findings {
        Findings {
            attention,
            outdated,
        }
    }

    /// Compares with the latest `report` of the clients among `nodes`.
    pub(super) fn update(&mut self, nodes: &[Node], report: &Report) {
        self.update_outdated(nodes, report);

        match report.stranger {
            Some(stranger) => self.attention.raise(
                STRANGER,
                &format!(
                    "a WireGuard client from {} is refused: no [[node]] has its public key {}",
                    stranger.remote, stranger.key
                ),
                "if it is one of yours, ringway node rekey NAME prints a new file for it; else \
                 switch it off, it has an earlier file of this gateway",
            ),
            None => self.attention.clear(STRANGER),
        }
    }

    fn update_outdated(&mut self, nodes: &[Node], report: &Report) {
        if self.outdated.forget(nodes, &report.clients)
            && let Err(error) = self.outdated.write()
        {
            tracing::warn!(%error, "Cannot store which WireGuard clients need a new file");
        }

        let names = self.outdated.names(nodes);
        let Some(first) = names.first() else {
            return self.attention.clear(OUTDATED);
        };
        let named = names.iter().take(MOST_NAMED).map(ToString::to_string);
        let mut named = named.collect::<Vec<_>>().join(", ");
        if names.len() > MOST_NAMED {
            named.push_str(&format!(" and {} more", names.len() - MOST_NAMED));
        }

        self.attention.raise(
            OUTDATED,
            &format!(
                "the state directory had no key for WireGuard clients, and a new one was made: \
                 {named} cannot connect with a file that has the earlier key"
            ),
            Remedy::ringway(format!(
                "node rekey {first}   # prints a new file for it; the same for each, then reload"
            )),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use ringway_config::{Place, WireGuardKey};

    use super::*;

    #[test]
    fn a_lost_key_is_said_until_the_client_has_another_one() {
        let node = |key: u8| Node {
            name: "phone".parse().unwrap(),
            prefixes: Vec::new(),
            wireguard: Some(WireGuardKey::new([key; 32])),
            place: Place::whole(Path::new("gateway.toml")),
        };
        let dir = std::env::temp_dir().join(format!("ringway-findings-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Outdated::store(&dir, &[node(1)]).unwrap();
        let attention = Attention::default();
        let mut findings = Findings::new(attention.clone(), Outdated::load(&dir));

        findings.update(&[node(1)], &Report::default());
        let item = attention.list()[OUTDATED].clone();
        assert!(
            item.what.contains(": phone cannot connect"),
            "{}",
            item.what
        );
        assert!(item.remedy.to_string().contains("node rekey phone"));

        findings.update(&[node(2)], &Report::default());
        assert!(attention.list().is_empty());
        fs::remove_dir_all(&dir).unwrap();
    }
}
