//! `ringway chaincode isolate`: restricts chaincode that Docker runs on this host to its peer.
//! Works without a gateway on the host.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::Prefix;
use ringway_host::firewall::FirewallError;
use ringway_host::firewall::isolation::{BridgeName, Isolation};

use super::{Failure, answer, block_on};

/// The port at which Fabric's peer listens for chaincode.
const CHAINCODE_PORT: u16 = 7052;

/// The verbs of `ringway chaincode`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Let the containers on a bridge of this host reach their peer and nothing else
    #[command(after_help = "Examples:\n  \
        ringway chaincode isolate --bridge br-chaincode --peer 172.30.0.2\n  \
        ringway chaincode isolate --bridge br-chaincode --peer 172.30.0.2:7051\n  \
        ringway chaincode isolate --bridge br-chaincode --remove\n\n\
        The bridge is that of a Docker network for chaincode alone, in which the peer is, too.\n\
        It need not exist yet. deploy/fabric.md says how to make it, and how to keep the rules\n\
        over a start of the host.")]
    Isolate(Isolate),
}

/// Arguments of `ringway chaincode isolate`.
#[derive(Debug, clap::Args)]
pub struct Isolate {
    /// The bridge on which chaincode runs
    #[arg(long, value_name = "NAME")]
    pub bridge: BridgeName,
    /// Where chaincode reaches a peer, at port 7052 unless it is named; may be repeated
    #[arg(
        long = "peer",
        value_name = "ADDRESS[:PORT]",
        required_unless_present = "remove",
        value_parser = peer
    )]
    pub peers: Vec<SocketAddr>,
    /// A prefix of the bridge's network, if the kernel cannot tell a frame's bridge; may be
    /// repeated
    #[arg(long = "network", value_name = "PREFIX")]
    pub networks: Vec<Prefix>,
    /// Let it reach everything again
    #[arg(long, conflicts_with_all = ["peers", "networks"])]
    pub remove: bool,
}

/// Runs `ringway chaincode`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    let Verb::Isolate(args) = verb;
    if args.remove {
        block_on(Isolation::remove(&args.bridge))?.map_err(anyhow::Error::from)?;
        return answer(format!("chaincode on {} is not isolated\n", args.bridge));
    }

    let isolation = Isolation {
        bridge: args.bridge,
        peers: args.peers,
        networks: args.networks,
    };
    apply(&isolation)?;
    let peers: Vec<String> = isolation.peers.iter().map(ToString::to_string).collect();
    answer(format!(
        "chaincode on {} reaches {} and nothing else, until this host starts again\n",
        isolation.bridge,
        peers.join(", ")
    ))
}

fn apply(isolation: &Isolation) -> anyhow::Result<()> {
    let applied = block_on(isolation.apply())?;

    match applied {
        Err(refused @ FirewallError::Refused { .. }) if isolation.networks.is_empty() => {
            Err(refused).context(
                "if this kernel cannot tell the bridge of a frame, name the prefixes of its \
                 network with --network",
            )
        }
        other => Ok(other?),
    }
}

fn peer(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, CHAINCODE_PORT));
    }

    text.parse()
        .map_err(|_| "is no address; it is written 172.30.0.2 or 172.30.0.2:7052".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_without_a_port_has_that_for_chaincode() {
        for (text, found) in [
            ("172.30.0.2", "172.30.0.2:7052"),
            ("172.30.0.2:7051", "172.30.0.2:7051"),
            ("fd00:30::2", "[fd00:30::2]:7052"),
            ("[fd00:30::2]:7051", "[fd00:30::2]:7051"),
        ] {
            assert_eq!(peer(text).unwrap().to_string(), found);
        }
        assert!(peer("peer0:7052").is_err());
    }
}
