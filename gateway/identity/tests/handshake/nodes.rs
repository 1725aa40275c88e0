//! Certificates of attached nodes: who accepts which, and as what. As in the identity table
//! (`rows`), each row is an attempt and the check that refuses it.

use std::fs;

use rcgen::{CertificateParams, SerialNumber};
use ringway_config::{Config, GatewayId, Node, Place, PlacedPrefix, Prefix};
use ringway_identity::certificate::Certificate;
use ringway_identity::{Code, Refusal, Role, Trust};
use rustls_pki_types::UnixTime;
use time::{Duration, OffsetDateTime};

use super::world::{Ca, DOMAIN, Presented, REVOKED_SERIAL, World, good, named, uri};

/// The view of the gateway `gw.<org>`, whose file lists the node `db1`.
fn with_node(world: &World, org: &str) -> Config {
    let mut config = world.config_of(org);
    let prefix: Prefix = "10.1.0.9/32".parse().unwrap();
    config.nodes.list.push(Node {
        wireguard: None,
        name: "db1".parse().unwrap(),
        prefixes: vec![PlacedPrefix {
            prefix,
            place: Place::whole(&config.path),
        }],
        place: Place::whole(&config.path),
    });
    config
}

/// The view of the node `db1.alpha`, which is attached to `gw.alpha`.
fn of_the_node(world: &World) -> Config {
    let gateway = world.config_of("alpha");
    let dir = gateway.path.parent().unwrap();
    let text = "version = 1\norg = \"alpha\"\nnode = \"db1\"\nsite = \"home\"\n\
                addresses = [\"10.101.0.9\"]\n\n\
                [[gateway]]\nname = \"gw\"\nendpoints = [\"127.0.0.1:4600\"]\n\n\
                [identity]\nrecord = \"alpha.member.toml\"\ncertificate = \"gateway.crt\"\n\
                key = \"gateway.key\"\n";
    let path = dir.join("node.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn params(org: &str, path: &str) -> CertificateParams {
    named(&format!("spiffe://{org}.{DOMAIN}/{path}"))
}

fn of(ca: &Ca, org: &str, path: &str) -> Presented {
    ca.issue(&params(org, path))
}

/// The good certificate of `db1.alpha`, but for this change.
fn but(world: &World, change: impl FnOnce(&mut CertificateParams)) -> Presented {
    let mut params = params("alpha", "node/db1");
    change(&mut params);
    world.alpha.issue(&params)
}

fn judge(
    config: &Config,
    presented: &Presented,
    role: Role,
    dialled: Option<&str>,
) -> Result<String, Code> {
    let trust = Trust::build(config).unwrap();
    let dialled: Option<GatewayId> = dialled.map(|id| id.parse().unwrap());
    let verdict = trust.verify(&presented.chain, role, dialled.as_ref(), UnixTime::now());

    verdict
        .map(|verified| verified.id.to_string())
        .map_err(|refusal| Refusal::code(&refusal))
}

/// As one that dials.
fn dials(config: &Config, presented: &Presented) -> Result<String, Code> {
    judge(config, presented, Role::Client, None)
}

/// What somebody presents to `gw.alpha`, and why it is refused.
fn impostors(world: &World) -> Vec<(&'static str, Presented, Code)> {
    let World {
        alpha, beta, omega, ..
    } = world;
    vec![
        (
            "a node that is not listed",
            of(alpha, "alpha", "node/db2"),
            Code::UnknownGateway,
        ),
        (
            "a node as a gateway",
            of(alpha, "alpha", "gateway/db1"),
            Code::UnknownGateway,
        ),
        (
            "a gateway as a node",
            of(alpha, "alpha", "node/gw2"),
            Code::UnknownGateway,
        ),
        (
            "another member's node",
            of(beta, "beta", "node/db1"),
            Code::UnknownGateway,
        ),
        (
            "its gateway as a node",
            of(beta, "beta", "node/gw"),
            Code::UnknownGateway,
        ),
        (
            "the node's name, by another member's CA",
            of(beta, "alpha", "node/db1"),
            Code::Issuer,
        ),
        (
            "the node's name, by a CA of nobody",
            of(omega, "alpha", "node/db1"),
            Code::Issuer,
        ),
        (
            "a node of an organization that is no member",
            of(omega, "omega", "node/db1"),
            Code::UnknownOrg,
        ),
    ]
}

/// Certificates of `db1.alpha` by its own CA that are out of date or name something else beside.
fn spoilt(world: &World) -> Vec<(&'static str, Presented, Code)> {
    let now = OffsetDateTime::now_utc();
    let spelt = |path: &str| of(&world.alpha, "alpha", path);
    vec![
        (
            "expired",
            but(world, |params| {
                params.not_before = now - Duration::days(2);
                params.not_after = now - Duration::hours(1);
            }),
            Code::Expired,
        ),
        (
            "not yet valid",
            but(world, |params| params.not_before = now + Duration::hours(2)),
            Code::NotYetValid,
        ),
        (
            "a gateway's name beside the node's",
            but(world, |params| {
                let second = format!("spiffe://alpha.{DOMAIN}/gateway/gw2");
                params.subject_alt_names.push(uri(&second));
            }),
            Code::UriCount,
        ),
        ("in capitals", spelt("node/DB1"), Code::Uri),
        ("one level more", spelt("node/db1/gateway/gw2"), Code::Uri),
        ("another kind", spelt("nodes/db1"), Code::Uri),
        ("no name", spelt("node/"), Code::Uri),
        (
            "as we write it ourselves",
            spelt("gateway/node:db1"),
            Code::Uri,
        ),
    ]
}

#[test]
fn nodes_are_accepted_where_they_are_listed_and_as_nodes_alone() {
    let world = World::new();
    let ours = with_node(&world, "alpha");
    let node = of(&world.alpha, "alpha", "node/db1");
    assert_eq!(dials(&ours, &node), Ok("node:db1.alpha".to_owned()));
    let theirs = world.config_of("beta");
    assert_eq!(dials(&theirs, &node), Err(Code::UnknownGateway));
    let without = world.config_of("alpha");
    assert_eq!(dials(&without, &node), Err(Code::UnknownGateway), "removed");

    for (what, presented, code) in impostors(&world).into_iter().chain(spoilt(&world)) {
        assert_eq!(dials(&ours, &presented), Err(code), "{what}");
        let answers = judge(&ours, &presented, Role::Server, Some("gw2.alpha"));
        assert!(answers.is_err(), "{what}, where a gateway was dialled");
    }
    let answers = judge(&ours, &node, Role::Server, Some("gw2.alpha"));
    assert_eq!(answers, Err(Code::NotDialled));
}

#[test]
fn a_revoked_key_or_certificate_of_a_node_counts_as_a_gateways() {
    let world = World::new();
    let node = of(&world.alpha, "alpha", "node/db1");
    let mut revoked = with_node(&world, "alpha");
    let key = Certificate::read(&node.chain[0]).unwrap().key;
    revoked.own.revoked.keys.insert(key);
    assert_eq!(dials(&revoked, &node), Err(Code::RevokedKey));

    // Beta's CA has a revocation list, beside its record.
    let listed = with_node(&world, "beta");
    let list = world.beta.list(7, Duration::days(7), &[REVOKED_SERIAL]);
    fs::write(listed.path.with_file_name("beta.crl"), list).unwrap();
    let mut params = params("beta", "node/db1");
    let good = world.beta.issue(&params);
    assert_eq!(dials(&listed, &good), Ok("node:db1.beta".to_owned()));
    params.serial_number = Some(SerialNumber::from(REVOKED_SERIAL));
    let on_the_list = world.beta.issue(&params);
    assert_eq!(dials(&listed, &on_the_list), Err(Code::RevokedByList));
}

#[test]
fn a_node_accepts_the_gateways_of_its_own_organization_alone() {
    let world = World::new();
    let config = of_the_node(&world);
    let answers = |presented: &Presented| judge(&config, presented, Role::Server, Some("gw.alpha"));
    let gateway = world.alpha.issue(&good("alpha", "gw"));
    assert_eq!(answers(&gateway), Ok("gw.alpha".to_owned()));

    let World {
        alpha, beta, omega, ..
    } = &world;
    for (what, presented, code) in [
        (
            "another node of its organization",
            of(alpha, "alpha", "node/db2"),
            Code::UnknownGateway,
        ),
        (
            "a node of the gateway's name",
            of(alpha, "alpha", "node/gw"),
            Code::UnknownGateway,
        ),
        ("itself", of(alpha, "alpha", "node/db1"), Code::OwnIdentity),
        (
            "a gateway that is not in the record",
            of(alpha, "alpha", "gateway/gw9"),
            Code::UnknownGateway,
        ),
        (
            "another organization's gateway",
            of(beta, "beta", "gateway/gw"),
            Code::UnknownOrg,
        ),
        (
            "the gateway's name, by another organization's CA",
            of(beta, "alpha", "gateway/gw"),
            Code::Issuer,
        ),
        (
            "the gateway's name, by a CA of nobody",
            of(omega, "alpha", "gateway/gw"),
            Code::Issuer,
        ),
    ] {
        assert_eq!(answers(&presented), Err(code), "{what}");
    }
}
