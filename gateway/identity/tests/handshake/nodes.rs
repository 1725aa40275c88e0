//! Certificates of attached nodes: who accepts which, and as what.

use ringway_config::{Config, Node, Place, Prefix};
use ringway_identity::{Code, Refusal, Role, Trust};
use rustls_pki_types::UnixTime;

use super::world::{Ca, DOMAIN, Presented, World, good, named};

/// The view of `org`, whose file lists the node `db1`.
fn with_node(world: &World, org: &str) -> Config {
    let mut config = world.config_of(org);
    let prefix: Prefix = "10.1.0.9/32".parse().unwrap();
    config.nodes.list.push(Node {
        name: "db1".parse().unwrap(),
        prefixes: vec![ringway_config::PlacedPrefix {
            prefix,
            place: Place::whole(&config.path),
        }],
        place: Place::whole(&config.path),
    });
    config
}

fn of(ca: &Ca, org: &str, path: &str) -> Presented {
    ca.issue(&named(&format!("spiffe://{org}.{DOMAIN}/{path}")))
}

fn judge(config: &Config, presented: &Presented) -> Result<String, Code> {
    let trust = Trust::build(config).unwrap();
    let verdict = trust.verify(&presented.chain, Role::Client, None, UnixTime::now());

    verdict
        .map(|verified| verified.id.to_string())
        .map_err(|refusal| Refusal::code(&refusal))
}

#[test]
fn nodes_are_accepted_where_they_are_listed_and_as_nodes_alone() {
    let world = World::new();
    let ours = with_node(&world, "alpha");
    let theirs = world.config_of("beta");

    let node = of(&world.alpha, "alpha", "node/db1");
    assert_eq!(judge(&ours, &node), Ok("node:db1.alpha".to_owned()));
    for (what, config, presented) in [
        ("at another organization", &theirs, &node),
        (
            "a node that is not listed",
            &ours,
            &of(&world.alpha, "alpha", "node/db2"),
        ),
        (
            "a node as a gateway",
            &ours,
            &of(&world.alpha, "alpha", "gateway/db1"),
        ),
        (
            "a gateway as a node",
            &ours,
            &of(&world.alpha, "alpha", "node/gw"),
        ),
        (
            "another organization's node",
            &ours,
            &of(&world.beta, "beta", "node/db1"),
        ),
        (
            "its gateway as a node",
            &ours,
            &of(&world.beta, "beta", "node/gw"),
        ),
    ] {
        assert_eq!(
            judge(config, presented),
            Err(Code::UnknownGateway),
            "{what}"
        );
    }
    let forged = of(&world.beta, "alpha", "node/db1");
    assert!(judge(&ours, &forged).is_err(), "signed by another CA");

    // A revoked key counts whatever its holder is.
    let mut revoked = with_node(&world, "alpha");
    let key = ringway_identity::certificate::Certificate::read(&node.chain[0])
        .unwrap()
        .key;
    revoked.own.revoked.keys.insert(key);
    assert_eq!(judge(&revoked, &node), Err(Code::RevokedKey));

    // Its own files say which gateways it knows.
    let gateway = world.beta.issue(&good("beta", "gw"));
    assert_eq!(judge(&ours, &gateway), Ok("gw.beta".to_owned()));
}
