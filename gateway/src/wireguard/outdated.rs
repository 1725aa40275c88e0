//! [`Outdated`]: the WireGuard clients that may have an earlier key of the gateway in their files,
//! because it has made a new key since. They are kept beside the key: a restart does not give
//! the clients new files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use ringway_config::disk::{self, Access};
use ringway_config::{Node, NodeName, WireGuardKey, reading};
use ringway_wireguard::ClientStatus;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Outdated {
    path: PathBuf,
    /// Their public keys: a client with another one has another file.
    keys: BTreeSet<WireGuardKey>,
}

impl Outdated {
    /// Stores that the clients among `nodes` are there before a new key.
    pub(super) fn store(state_dir: &Path, nodes: &[Node]) -> io::Result<()> {
        let outdated = Outdated {
            path: path(state_dir),
            keys: nodes.iter().filter_map(|node| node.wireguard).collect(),
        };

        outdated.write()
    }

    /// Those that are stored. None are, if the file cannot be read: it is only for the operator.
    pub(super) fn load(state_dir: &Path) -> Outdated {
        let path = path(state_dir);
        let text = reading::read_text(&path).unwrap_or_default();

        Outdated {
            keys: text.lines().filter_map(|line| line.parse().ok()).collect(),
            path,
        }
    }

    /// Forgets the clients that have come up with the new key, or have another one themselves, or
    /// are gone. True if there were any.
    pub(super) fn forget(&mut self, nodes: &[Node], clients: &[ClientStatus]) -> bool {
        let before = self.keys.len();
        let waits = |key: &WireGuardKey| {
            let node = nodes.iter().find(|node| node.wireguard == Some(*key));
            node.is_some_and(|node| {
                let mut clients = clients.iter();
                !clients.any(|client| client.name == node.name && client.is_up)
            })
        };

        self.keys.retain(waits);
        self.keys.len() < before
    }

    /// The nodes that have the keys.
    pub(super) fn names(&self, nodes: &[Node]) -> Vec<NodeName> {
        let outdated = nodes
            .iter()
            .filter(|node| node.wireguard.is_some_and(|key| self.keys.contains(&key)));

        outdated.map(|node| node.name.clone()).collect()
    }

    /// Stores what is left.
    pub(super) fn write(&self) -> io::Result<()> {
        if self.keys.is_empty() {
            return disk::remove(&self.path);
        }

        let lines: String = self.keys.iter().map(|key| format!("{key}\n")).collect();
        disk::replace(&self.path, lines.as_bytes(), Access::Owner)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("wireguard.outdated")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ringway_config::{Place, PlacedPrefix};

    use super::*;

    fn node(name: &str, key: u8) -> Node {
        let place = Place::whole(Path::new("gateway.toml"));

        Node {
            name: name.parse().unwrap(),
            prefixes: vec![PlacedPrefix {
                prefix: "10.1.5.9/32".parse().unwrap(),
                place: place.clone(),
            }],
            wireguard: Some(WireGuardKey::new([key; 32])),
            place,
        }
    }

    fn up(name: &str) -> ClientStatus {
        ClientStatus {
            name: name.parse().unwrap(),
            is_up: true,
            since: None,
            last_received: None,
            remote: None,
            received: 0,
            sent: 0,
            counts: ringway_wireguard::Counts::default(),
        }
    }

    #[test]
    fn a_client_is_outdated_until_it_comes_up_or_has_another_key_or_is_gone() {
        let dir = std::env::temp_dir().join(format!("ringway-outdated-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let nodes = ["phone", "laptop", "tablet"].map(str::to_owned);
        let mut nodes: Vec<Node> = nodes.iter().zip(1..).map(|(n, key)| node(n, key)).collect();
        Outdated::store(&dir, &nodes).unwrap();
        let names = |outdated: &Outdated, nodes: &[Node]| -> Vec<String> {
            let names = outdated.names(nodes);
            names.iter().map(ToString::to_string).collect()
        };

        let mut outdated = Outdated::load(&dir);
        assert_eq!(names(&outdated, &nodes), ["phone", "laptop", "tablet"]);
        assert!(!outdated.forget(&nodes, &[]));
        assert!(outdated.forget(&nodes, &[up("laptop")]));
        outdated.write().unwrap();

        // After a restart, whether or not the one that came up is up still.
        let mut outdated = Outdated::load(&dir);
        assert_eq!(names(&outdated, &nodes), ["phone", "tablet"]);
        nodes[0] = node("phone", 9);
        assert!(outdated.forget(&nodes, &[]));
        assert_eq!(names(&outdated, &nodes), ["tablet"]);
        assert!(outdated.forget(&nodes[..2], &[]));
        outdated.write().unwrap();
        assert_eq!(dir.read_dir().unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }
}
