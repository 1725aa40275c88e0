//! Who there is in a laboratory, and under which names and addresses. Pure: makes nothing.
//!
//! All that tells two laboratories on one host apart is the namespaces' names; the addresses are the same
//! in each, since no two of them can see each other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The consortium's domain.
pub const DOMAIN: &str = "consortium.example";
/// The tunnel port of every gateway.
pub const TUNNEL_PORT: u16 = 4600;

/// Each organization's nodes, in order of address.
const ORGS: [(&str, [&str; 2]); 3] = [
    ("org0", ["orderer0", "orderer1"]),
    ("org1", ["peer0", "peer1"]),
    ("org2", ["peer0", "peer1"]),
];

/// A laboratory's name: 1 to 32 characters of `a-z`, `0-9` and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName(String);

/// Why a text is no laboratory's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name for a laboratory; use 1 to 32 of a-z, 0-9 and inner hyphens")]
pub struct LabNameError(String);

impl FromStr for LabName {
    type Err = LabNameError;
    fn from_str(text: &str) -> Result<Self, LabNameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let hyphen_at_an_end = text.starts_with('-') || text.ends_with('-');
        match (1..=32).contains(&text.len()) && text.bytes().all(inner) && !hyphen_at_an_end {
            true => Ok(Self(text.into())),
            false => Err(LabNameError(text.into())),
        }
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One organization: one site, two nodes, one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Org {
    /// 0, 1 or 2; the third octet of its addresses.
    pub number: u8,
    /// `org0` and so on.
    pub name: &'static str,
    /// Its nodes' first labels.
    pub nodes: [&'static str; 2],
}

impl Org {
    /// The organizations, in order.
    pub fn all() -> impl Iterator<Item = Org> {
        (0..).zip(ORGS).map(|(number, (name, nodes))| Org {
            number,
            name,
            nodes,
        })
    }

    /// `10.10.<n>.<host>`.
    pub fn v4(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 10, self.number, host)
    }

    /// `fd00:10:<n>::<host>`, the host written as in IPv4 (`::11`).
    pub fn v6(&self, host: u8) -> Ipv6Addr {
        let decimal_look = u16::from(host / 10) * 16 + u16::from(host % 10);
        Ipv6Addr::new(0xfd00, 0x10, self.number.into(), 0, 0, 0, 0, decimal_look)
    }

    /// Its site's ranges, a /24 and a /64.
    pub fn prefixes(&self) -> [String; 2] {
        [format!("{}/24", self.v4(0)), format!("{}/64", self.v6(0))]
    }

    /// The ends of its WAN link: the WAN's router (1) or the gateway (2), in a /30.
    pub fn wan_v4(&self, end: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, 4 * self.number + end)
    }

    /// The ends of its WAN link in IPv6, in a /64.
    pub fn wan_v6(&self, end: u8) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, self.number.into(), 0, 0, 0, end.into())
    }

    /// `gw.<org>`.
    pub fn gateway(&self) -> String {
        format!("gw.{}", self.name)
    }
}

/// What a namespace stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A machine of an organization that knows nothing of Ringway.
    Node,
    /// A machine that runs a gateway.
    Gateway,
    /// The network between the organizations.
    Wan,
}

/// One machine: one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `peer0.org1`, `gw.org1` or `wan`.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// Whose it is; the WAN is nobody's.
    pub org: Option<Org>,
    /// Its addresses: private ones first, then a gateway's on the WAN.
    pub addresses: Vec<IpAddr>,
    /// Its network namespace.
    pub netns: String,
}

impl Node {
    /// Its name in the consortium's DNS.
    pub fn fqdn(&self) -> Option<String> {
        self.org.map(|_| format!("{}.{DOMAIN}", self.name))
    }

    /// Its name in its own zone: `peer0`.
    pub fn label(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }
}

/// All machines of one laboratory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The laboratory's name.
    pub lab: LabName,
    /// Nodes, then gateways, then the WAN.
    pub nodes: Vec<Node>,
}

impl Topology {
    /// The machines of the laboratory `lab`.
    pub fn of(lab: LabName) -> Topology {
        let netns = |name: &str| format!("{lab}-{name}");
        let mut nodes = Vec::new();
        for org in Org::all() {
            for (host, label) in (11..).zip(org.nodes) {
                let name = format!("{label}.{}", org.name);
                let addresses = vec![org.v4(host).into(), org.v6(host).into()];
                nodes.push(Node {
                    netns: netns(&name),
                    name,
                    kind: Kind::Node,
                    org: Some(org),
                    addresses,
                });
            }
        }
        for org in Org::all() {
            let name = org.gateway();
            let addresses = vec![
                org.v4(1).into(),
                org.v6(1).into(),
                org.wan_v4(2).into(),
                org.wan_v6(2).into(),
            ];
            nodes.push(Node {
                netns: netns(&name),
                name,
                kind: Kind::Gateway,
                org: Some(org),
                addresses,
            });
        }
        let addresses = Org::all()
            .flat_map(|org| [org.wan_v4(1).into(), org.wan_v6(1).into()])
            .collect();
        nodes.push(Node {
            name: "wan".into(),
            kind: Kind::Wan,
            org: None,
            addresses,
            netns: netns("wan"),
        });
        Topology { lab, nodes }
    }

    /// The machine called `name`, by its short or its full name.
    pub fn find(&self, name: &str) -> Option<&Node> {
        let name = name
            .strip_suffix(DOMAIN)
            .and_then(|name| name.strip_suffix('.'))
            .unwrap_or(name);
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The machines of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    /// The namespace of `org`'s switch: what a cloud keeps out of sight.
    pub fn switch(&self, org: Org) -> String {
        format!("{}-vpc.{}", self.lab, org.name)
    }

    /// All namespaces: the machines' and the switches'.
    pub fn namespaces(&self) -> Vec<String> {
        let machines = self.nodes.iter().map(|node| node.netns.clone());
        machines
            .chain(Org::all().map(|org| self.switch(org)))
            .collect()
    }

    /// Where the laboratory keeps its state, files and logs.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from("/run/ringway-lab").join(self.lab.to_string())
    }

    /// Where the organization `org` keeps its files.
    pub fn org_dir(&self, org: Org) -> PathBuf {
        self.dir().join(org.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology::of("ringway".parse().unwrap())
    }

    #[test]
    fn names_are_those_that_the_readme_uses() {
        let names: Vec<_> = topology().nodes.into_iter().map(|node| node.name).collect();
        let expected = "orderer0.org0 orderer1.org0 peer0.org1 peer1.org1 peer0.org2 peer1.org2 gw.org0 gw.org1 \
                        gw.org2 wan";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn a_machine_is_found_by_its_short_and_its_full_name() {
        let topology = topology();
        let node = topology.find("peer0.org1.consortium.example").unwrap();
        assert_eq!(topology.find("peer0.org1"), Some(node));
        assert_eq!(node.netns, "ringway-peer0.org1");
        assert_eq!(
            node.fqdn().as_deref(),
            Some("peer0.org1.consortium.example")
        );
        assert_eq!(topology.find("peer0"), None);
    }

    #[test]
    fn no_address_is_used_twice() {
        let mut addresses: Vec<_> = topology()
            .nodes
            .into_iter()
            .flat_map(|node| node.addresses)
            .collect();
        let count = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), count);
    }

    #[test]
    fn addresses_read_alike_in_both_families() {
        let org = Org::all().nth(2).unwrap();
        assert_eq!(
            (org.v4(11).to_string(), org.v6(11).to_string()),
            ("10.10.2.11".into(), "fd00:10:2::11".into())
        );
        assert_eq!(org.prefixes(), ["10.10.2.0/24", "fd00:10:2::/64"]);
    }

    #[test]
    fn a_laboratorys_name_cannot_leave_its_directory() {
        for bad in ["", "..", "a/b", "A", "-a", "a-", &"x".repeat(33)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad:?}");
        }
        assert!("two-3".parse::<LabName>().is_ok());
    }
}
