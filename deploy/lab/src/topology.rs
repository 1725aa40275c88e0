//! The machines of a laboratory, their names and addresses. Only describes; creates nothing.
//!
//! Two laboratories on one host differ only in the names of their namespaces. Their addresses are
//! the same, because no packet passes from one to the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The consortium's domain.
pub const DOMAIN: &str = "consortium.example";
/// The tunnel port of every gateway.
pub const TUNNEL_PORT: u16 = 4600;

/// Each organization's name and the first labels of its nodes, in order of address.
const ORGS: [(&str, [&str; 2]); 3] = [
    ("org0", ["orderer0", "orderer1"]),
    ("org1", ["peer0", "peer1"]),
    ("org2", ["peer0", "peer1"]),
];

/// A laboratory's name: 1 to 32 characters of `a-z`, `0-9` and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName(String);

/// The text that is not a laboratory's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a laboratory's name; use 1 to 32 of a-z, 0-9 and inner hyphens")]
pub struct LabNameError(String);

impl FromStr for LabName {
    type Err = LabNameError;
    fn from_str(text: &str) -> Result<Self, LabNameError> {
        let good_length = (1..=32).contains(&text.len());
        let good_bytes = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let hyphen_at_an_end = text.starts_with('-') || text.ends_with('-');

        if good_length && good_bytes && !hyphen_at_an_end {
            Ok(Self(text.into()))
        } else {
            Err(LabNameError(text.into()))
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
    /// `org0`, `org1` or `org2`.
    pub name: &'static str,
    /// First labels of its nodes: `peer0`, `peer1`.
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

    /// `10.10.<n>.<host>`, an address in its VPC.
    pub fn v4(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 10, self.number, host)
    }

    /// `fd00:10:<n>::<host>`, the counterpart of [`Org::v4`]. The hexadecimal digits of `host` are
    /// its decimal ones, so host 11 has the address `::11`. For hosts below 100.
    pub fn v6(&self, host: u8) -> Ipv6Addr {
        let same_digits = u16::from(host / 10) * 16 + u16::from(host % 10);
        Ipv6Addr::new(0xfd00, 0x10, self.number.into(), 0, 0, 0, 0, same_digits)
    }

    /// The prefixes of its site, a /24 and a /64.
    pub fn prefixes(&self) -> [String; 2] {
        [format!("{}/24", self.v4(0)), format!("{}/64", self.v6(0))]
    }

    /// An end of its link to the WAN, a /30: the router's address (1) or the gateway's (2).
    pub fn wan_v4(&self, end: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, 4 * self.number + end)
    }

    /// The IPv6 counterpart of [`Org::wan_v4`], in a /64.
    pub fn wan_v6(&self, end: u8) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, self.number.into(), 0, 0, 0, end.into())
    }

    /// `gw.<org>`.
    pub fn gateway(&self) -> String {
        format!("gw.{}", self.name)
    }
}

/// Role of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A machine inside a site, which runs nothing of Ringway.
    Node,
    /// A machine that runs the gateway of its site.
    Gateway,
    /// The network between the organizations.
    Wan,
}

/// One machine, represented by one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `peer0.org1`, `gw.org1` or `wan`.
    pub name: String,
    /// Its role.
    pub kind: Kind,
    /// The organization that it belongs to; `None` for the WAN.
    pub org: Option<Org>,
    /// Private IPv4 and IPv6 address first, then a gateway's addresses on the WAN.
    pub addresses: Vec<IpAddr>,
    /// Name of its network namespace.
    pub netns: String,
}

impl Node {
    fn inside(lab: &LabName, org: Org, label: &str, host: u8) -> Node {
        let name = format!("{label}.{}", org.name);
        Node {
            netns: format!("{lab}-{name}"),
            name,
            kind: Kind::Node,
            org: Some(org),
            addresses: vec![org.v4(host).into(), org.v6(host).into()],
        }
    }

    fn gateway(lab: &LabName, org: Org) -> Node {
        let name = org.gateway();
        Node {
            netns: format!("{lab}-{name}"),
            name,
            kind: Kind::Gateway,
            org: Some(org),
            addresses: vec![
                org.v4(1).into(),
                org.v6(1).into(),
                org.wan_v4(2).into(),
                org.wan_v6(2).into(),
            ],
        }
    }

    fn wan(lab: &LabName) -> Node {
        Node {
            netns: format!("{lab}-wan"),
            name: "wan".into(),
            kind: Kind::Wan,
            org: None,
            addresses: Org::all()
                .flat_map(|org| [org.wan_v4(1).into(), org.wan_v6(1).into()])
                .collect(),
        }
    }

    /// Its name in the consortium's DNS.
    pub fn fqdn(&self) -> Option<String> {
        self.org.map(|_| format!("{}.{DOMAIN}", self.name))
    }

    /// Its first label: `peer0` of `peer0.org1`.
    pub(crate) fn label(&self) -> &str {
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
        let mut nodes = Vec::new();
        for org in Org::all() {
            for (host, label) in (11..).zip(org.nodes) {
                nodes.push(Node::inside(&lab, org, label, host));
            }
        }
        for org in Org::all() {
            nodes.push(Node::gateway(&lab, org));
        }
        nodes.push(Node::wan(&lab));

        Topology { lab, nodes }
    }

    /// The machine with the short or full name `name` (`peer0.org1`, `peer0.org1.<domain>`).
    pub fn find(&self, name: &str) -> Option<&Node> {
        let name = name
            .strip_suffix(DOMAIN)
            .and_then(|name| name.strip_suffix('.'))
            .unwrap_or(name);
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The machines with the role `kind`.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    /// The namespace of `org`'s switch, which stands for the network that a cloud provides.
    pub(crate) fn switch(&self, org: Org) -> String {
        format!("{}-vpc.{}", self.lab, org.name)
    }

    /// All namespaces: the machines' and the switches'.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| node.netns.clone())
            .chain(Org::all().map(|org| self.switch(org)))
            .collect()
    }

    /// Directory of the laboratory's state, its gateways' logs and all other files.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from("/run/ringway-lab").join(self.lab.to_string())
    }

    /// Directory of the files of the organization `org`.
    pub(crate) fn org_dir(&self, org: Org) -> PathBuf {
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
    fn the_machines_have_the_names_that_the_readme_uses() {
        let names: Vec<_> = topology().nodes.into_iter().map(|node| node.name).collect();
        let expected = "orderer0.org0 orderer1.org0 peer0.org1 peer1.org1 peer0.org2 peer1.org2 \
                        gw.org0 gw.org1 gw.org2 wan";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn finds_a_machine_by_its_short_and_its_full_name() {
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
    fn no_two_machines_have_the_same_address() {
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
    fn a_host_has_the_same_digits_in_both_families() {
        let org = Org::all().nth(2).unwrap();
        assert_eq!(
            (org.v4(11).to_string(), org.v6(11).to_string()),
            ("10.10.2.11".into(), "fd00:10:2::11".into())
        );
        assert_eq!(org.prefixes(), ["10.10.2.0/24", "fd00:10:2::/64"]);
    }

    #[test]
    fn refuses_a_laboratory_name_that_is_not_a_plain_file_name() {
        for bad in ["", "..", "a/b", "A", "-a", "a-", &"x".repeat(33)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad:?}");
        }
        assert!("two-3".parse::<LabName>().is_ok());
    }
}
