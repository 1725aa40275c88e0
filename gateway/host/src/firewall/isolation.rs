//! [`Isolation`]: restricts what runs on one bridge of this host (chaincode) to its peer, by two
//! nftables tables of one name: in the family `bridge` for frames between ports of the bridge, in
//! `inet` for packets to this host and through it.
//!
//! ```text
//!   chaincode ──┐               ┌── peer           table bridge: forward
//!   chaincode ──┴── the bridge ─┤
//!                               └── this host ──   table inet: input, forward
//! ```
//! Both only drop, and no rule uses connection tracking: an answer is a TCP segment from the peer's
//! port that opens no connection. The mesh, the cloud's metadata service and every other address
//! are unreachable, because they are not the peer's. The guard is independent of it, and no daemon
//! maintains it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use nftables::schema::Nftables;
use nftables::types::{NfFamily, NfHook};
use ringway_config::Prefix;

use super::draft::Draft;
use super::terms::{self, Family, Step};
use super::{FirewallError, nft};

/// Prefix of the tables' names; the bridge's name follows.
pub const TABLES: &str = "ringway-chaincode-";

/// Prefix of the comment of a rule that admits packets to a peer; the peer's address follows.
pub const PEER: &str = "peer=";

const FRAMES: &str = "frames";
const CHAINCODE: &str = "chaincode";
const PRIORITY: i32 = 0;

/// The name of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeName(String);

/// The text is not a valid name of a bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to 15 letters, digits, dots, hyphens and underscores")]
pub struct BridgeNameError;

impl FromStr for BridgeName {
    type Err = BridgeNameError;

    fn from_str(text: &str) -> Result<BridgeName, BridgeNameError> {
        let is_short = (1..=15).contains(&text.len());

        if is_short && text.bytes().all(is_plain) {
            Ok(BridgeName(text.to_owned()))
        } else {
            Err(BridgeNameError)
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The isolation of one bridge.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The bridge.
    pub bridge: BridgeName,
    /// Addresses and TCP ports at which chaincode reaches its peers.
    pub peers: Vec<SocketAddr>,
    /// The prefixes on the bridge, by which its frames are recognized. Without any, they are
    /// recognized by the bridge, which not every kernel supports.
    pub networks: Vec<Prefix>,
}

impl Isolation {
    /// Puts the isolation in force, in place of an earlier one of the same bridge, in one
    /// transaction.
    pub async fn apply(&self) -> Result<(), FirewallError> {
        nft::transact(&self.commands()).await
    }

    /// Removes the isolation of `bridge`, if there is one.
    pub async fn remove(bridge: &BridgeName) -> Result<(), FirewallError> {
        nft::transact(&over(bridge).finish()).await
    }

    fn commands(&self) -> Nftables<'static> {
        let mut draft = over(&self.bridge);

        self.add_packets(&mut draft);
        draft.turn_to(NfFamily::Bridge);
        self.add_frames(&mut draft);
        draft.finish()
    }

    /// Rules for packets to this host and through it.
    fn add_packets(&self, draft: &mut Draft) {
        draft.begin();
        draft.chain(CHAINCODE);
        for (chain, hook) in [("input", NfHook::Input), ("forward", NfHook::Forward)] {
            draft.base_chain(chain, hook, PRIORITY);
            draft.rule(
                chain,
                [terms::entered_by(&self.bridge), terms::goto(CHAINCODE)],
            );
        }

        let discovery = [terms::is_neighbour_discovery(), terms::accept()];
        draft.rule(CHAINCODE, discovery);
        for peer in &self.peers {
            add_way_to(draft, peer);
            // With bridge netfilter, the bridge's own frames pass here too.
            let bridged = [terms::leaves_by(&self.bridge)];
            draft.rule(CHAINCODE, bridged.into_iter().chain(answers_of(peer)));
        }
        draft.rule(CHAINCODE, [terms::discard()]);
    }

    /// Rules for frames between ports of the bridge.
    fn add_frames(&self, draft: &mut Draft) {
        draft.begin();
        draft.chain(CHAINCODE);
        draft.base_chain(FRAMES, NfHook::Forward, PRIORITY);

        if self.networks.is_empty() {
            let of_it = terms::is_of_bridge(&self.bridge);
            draft.rule(FRAMES, [of_it, terms::goto(CHAINCODE)]);
        }
        for network in &self.networks {
            let family = Family::of(network);
            for end in [terms::source(family), terms::destination(family)] {
                let of_it = terms::is(end, terms::prefix(network));
                draft.rule(FRAMES, [of_it, terms::goto(CHAINCODE)]);
            }
        }

        draft.rule(CHAINCODE, [terms::is_arp(), terms::accept()]);
        let discovery = [terms::is_neighbour_discovery(), terms::accept()];
        draft.rule(CHAINCODE, discovery);
        for peer in &self.peers {
            add_way_to(draft, peer);
            draft.rule(CHAINCODE, answers_of(peer));
        }
        draft.rule(CHAINCODE, [terms::discard()]);
    }
}

/// Starts with commands that delete both tables.
fn over(bridge: &BridgeName) -> Draft {
    let mut draft = Draft::over(&format!("{TABLES}{bridge}"));
    draft.turn_to(NfFamily::Bridge);
    draft.begin();
    draft.delete();

    draft.turn_to(NfFamily::INet);
    draft
}

fn add_way_to(draft: &mut Draft, peer: &SocketAddr) {
    let way = [
        terms::is(terms::destination(family(peer)), terms::address(peer.ip())),
        terms::is(terms::port("tcp"), terms::number(peer.port())),
        terms::accept(),
    ];

    draft.commented_rule(CHAINCODE, way, &format!("{PEER}{peer}"));
}

fn answers_of(peer: &SocketAddr) -> [Step; 4] {
    [
        terms::is(terms::source(family(peer)), terms::address(peer.ip())),
        terms::is(terms::source_port("tcp"), terms::number(peer.port())),
        terms::opens_nothing(),
        terms::accept(),
    ]
}

fn family(peer: &SocketAddr) -> Family {
    if peer.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::draft;

    #[test]
    fn frames_are_known_by_the_bridge_or_by_its_prefixes() {
        let text = |networks: &[&str]| {
            let networks = networks.iter().map(|text| text.parse().unwrap());
            let isolation = Isolation {
                bridge: "br-cc".parse().unwrap(),
                peers: vec!["172.30.0.2:7052".parse().unwrap()],
                networks: networks.collect(),
            };
            String::from_utf8(draft::write(&isolation.commands()).unwrap()).unwrap()
        };

        let by_bridge =
            r#"{"match":{"left":{"meta":{"key":"ibrname"}},"right":"br-cc","op":"=="}}"#;
        assert!(text(&[]).contains(by_bridge), "{}", text(&[]));
        let by_prefix = text(&["172.30.0.0/24"]);
        assert!(
            !by_prefix.contains("ibr") && by_prefix.contains(r#""addr":"172.30.0.0","len":24"#)
        );
    }

    #[test]
    fn names_of_bridges_fit_into_a_tables_name() {
        for bad in ["", "1234567890123456", "a b", "a\"b", "a/b", "a*"] {
            assert!(bad.parse::<BridgeName>().is_err(), "{bad:?}");
        }
        for good in ["br-0123456789ab", "docker0", "a_b.c"] {
            assert_eq!(good.parse::<BridgeName>().unwrap().to_string(), good);
        }
    }
}
