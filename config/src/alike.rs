//! Digests of what the files of a site's gateways must have alike: the rules, and the attached
//! nodes.
//!
//! They are made of a text that depends neither on the order in a file nor on comments, nor on the
//! version of this program, since siblings compare them.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::{Allow, AllowEgress, Digest, Egress, Node, Nodes, OnDenied, Policy};

impl Policy {
    /// A digest of what decides whether a packet passes. Tests and the limits of this host
    /// (`flows`, `grace`) are left out.
    pub fn digest(&self) -> Digest {
        let egress = match self.egress {
            Egress::All => "egress all",
            Egress::Named => "egress named",
            Egress::None => "egress none",
        };
        let denied = match self.denied {
            OnDenied::Drop => "denied drop",
            OnDenied::Reject => "denied reject",
        };
        let allow = match &self.allow {
            Some(_) => "allow listed",
            None => "allow unlisted",
        };

        let mut lines = BTreeSet::from([egress, denied, allow].map(str::to_owned));
        lines.extend(self.allow.iter().flatten().map(entry));
        lines.extend(self.allow_egress.iter().map(exit));
        of_lines(&lines)
    }
}

impl Nodes {
    /// A digest of the nodes and of what each may use.
    pub fn digest(&self) -> Digest {
        let mut lines = BTreeSet::from([format!("reach each other {}", self.reach_each_other)]);

        lines.extend(self.list.iter().map(node));
        of_lines(&lines)
    }
}

fn entry(rule: &Allow) -> String {
    format!(
        "allow from {} to {} services {}",
        sorted(&rule.from),
        sorted(&rule.to),
        sorted(&rule.services)
    )
}

fn exit(rule: &AllowEgress) -> String {
    format!(
        "allow-egress from {} to {} services {}",
        sorted(&rule.from),
        sorted(&rule.to),
        sorted(&rule.services)
    )
}

fn node(node: &Node) -> String {
    let prefixes = node.prefixes.iter().map(|placed| placed.prefix);
    let prefixes: Vec<_> = prefixes.collect();
    let key = node.wireguard.as_ref().map(ToString::to_string);

    format!(
        "node {} prefixes {} key {}",
        node.name,
        sorted(&prefixes),
        key.unwrap_or_default()
    )
}

/// The parts in one order, each once.
fn sorted(parts: &[impl Display]) -> String {
    let parts: BTreeSet<String> = parts.iter().map(ToString::to_string).collect();

    parts.into_iter().collect::<Vec<_>>().join(";")
}

fn of_lines(lines: &BTreeSet<String>) -> Digest {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();

    Digest::of(lines.join("\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, Place, PlacedPrefix, PortRange, Service, Target};

    fn place(line: &str) -> Place {
        Place::whole(line.as_ref())
    }

    fn rule(from: &[&str], ports: &[u16], line: &str) -> Allow {
        let ports = ports
            .iter()
            .map(|port| Service::Tcp(vec![PortRange::one(*port)]));

        Allow {
            from: from
                .iter()
                .map(|org| Origin::Org(org.parse().unwrap()))
                .collect(),
            to: vec![Target::Prefix("10.1.0.0/16".parse().unwrap())],
            services: ports.collect(),
            place: place(line),
        }
    }

    fn policy(allow: Option<Vec<Allow>>) -> Policy {
        Policy {
            allow,
            ..Policy::default()
        }
    }

    #[test]
    fn rules_have_one_digest_in_any_order_and_place() {
        let one = policy(Some(vec![
            rule(&["beta", "gamma"], &[7051, 7050], "one:1"),
            rule(&["beta"], &[443], "one:5"),
        ]));
        let mut other = policy(Some(vec![
            rule(&["beta"], &[443], "other:9"),
            rule(&["gamma", "beta"], &[7050, 7051], "other:1"),
            rule(&["beta"], &[443], "other:20"),
        ]));
        other.flows += 1;
        assert_eq!(one.digest(), other.digest());

        other.egress = Egress::None;
        assert_ne!(one.digest(), other.digest());
        let unlisted = policy(None).digest();
        assert_ne!(unlisted, policy(Some(Vec::new())).digest());
        assert_ne!(
            policy(Some(vec![rule(&["beta"], &[443], "")])).digest(),
            unlisted
        );
        // The version of this program must not change it: siblings may have another one.
        assert_eq!(
            unlisted,
            Digest::of(b"allow unlisted\ndenied drop\negress all")
        );
    }

    #[test]
    fn nodes_have_one_digest_in_any_order() {
        let node = |name: &str, prefix: &str| Node {
            name: name.parse().unwrap(),
            prefixes: vec![PlacedPrefix {
                prefix: prefix.parse().unwrap(),
                place: place(name),
            }],
            wireguard: None,
            place: place(name),
        };
        let nodes = |list: [Node; 2]| Nodes {
            list: list.into(),
            ..Nodes::default()
        };
        let [a, b] = [node("a", "10.1.0.1/32"), node("b", "10.1.0.2/32")];
        let one = nodes([a.clone(), b.clone()]);
        assert_eq!(one.digest(), nodes([b.clone(), a]).digest());
        assert_ne!(one.digest(), nodes([b, node("a", "10.1.0.3/32")]).digest());
        let open = Nodes {
            reach_each_other: true,
            ..one.clone()
        };
        assert_ne!(one.digest(), open.digest());
    }
}
