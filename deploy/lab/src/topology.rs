//! The machines of a laboratory, their names and addresses. Only describes; creates nothing.
//!
//! Two laboratories on one host differ only in the names of their namespaces. Their addresses are
//! the same, because no packet passes from one to the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::data_centre;

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

/// Additional machines of a laboratory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Equipment {
    /// See [`Extra::Siblings`].
    pub siblings: bool,
    /// See [`Extra::Attach`].
    pub attach: bool,
}

/// An additional part of a laboratory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Extra {
    /// A second gateway at org0's site, and virtual addresses there
    Siblings,
    /// A host of org0 in a data centre behind NAT, attached to org0's gateways
    Attach,
}

impl Equipment {
    /// No additional machines.
    pub const PLAIN: Equipment = Equipment {
        siblings: false,
        attach: false,
    };
    /// All additional machines.
    pub const ALL: Equipment = Equipment {
        siblings: true,
        attach: true,
    };

    /// Only a second gateway.
    pub const SIBLINGS: Equipment = Equipment {
        siblings: true,
        ..Equipment::PLAIN
    };
}

impl FromIterator<Extra> for Equipment {
    fn from_iter<I: IntoIterator<Item = Extra>>(extras: I) -> Self {
        let mut equipment = Equipment::PLAIN;
        for extra in extras {
            match extra {
                Extra::Siblings => equipment.siblings = true,
                Extra::Attach => equipment.attach = true,
            }
        }
        equipment
    }
}

/// A gateway's link to the WAN: a /30 and a /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uplink {
    org: Org,
    is_second: bool,
}

impl Uplink {
    /// The name of the WAN's end: `org0`, and `org0b` for a second gateway.
    pub fn interface(&self) -> String {
        let suffix = if self.is_second { "b" } else { "" };
        format!("{}{suffix}", self.org.name)
    }

    /// The router's address (1) or the gateway's (2).
    pub fn v4(&self, end: u8) -> Ipv4Addr {
        let block = if self.is_second { 128 } else { 0 };
        Ipv4Addr::new(203, 0, 113, block + 4 * self.org.number + end)
    }

    /// The IPv6 counterpart of [`Uplink::v4`].
    pub fn v6(&self, end: u8) -> Ipv6Addr {
        let block = if self.is_second { 0x80 } else { 0 };
        let subnet = block + u16::from(self.org.number);
        Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, end.into())
    }

    /// Both addresses of the end `end`.
    pub(crate) fn addresses(&self, end: u8) -> [IpAddr; 2] {
        [self.v4(end).into(), self.v6(end).into()]
    }
}

/// One organization: one site, two nodes, one gateway or two.
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

    /// The organization whose site can have a second gateway and a data centre.
    pub fn equipped() -> Org {
        let (name, nodes) = ORGS[0];
        Org {
            number: 0,
            name,
            nodes,
        }
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

    /// The link of its first gateway to the WAN.
    pub fn uplink(&self) -> Uplink {
        Uplink {
            org: *self,
            is_second: false,
        }
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
    /// A host in a data centre, which runs `ringway attach`.
    Attached,
    /// The router of that data centre.
    Nat,
    /// The network between the organizations.
    Wan,
}

/// One machine, represented by one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `peer0.org1`, `gw.org1`, `dc0.org0`, `nat` or `wan`.
    pub name: String,
    /// Its role.
    pub kind: Kind,
    /// The organization that it belongs to; `None` for the WAN and the data centre's router.
    pub org: Option<Org>,
    /// Private IPv4 and IPv6 address first, then a gateway's addresses on the WAN, or an attached
    /// host's in its data centre.
    pub addresses: Vec<IpAddr>,
    /// A gateway's link to the WAN.
    pub uplink: Option<Uplink>,
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
            uplink: None,
        }
    }

    fn gateway(lab: &LabName, uplink: Uplink) -> Node {
        let org = uplink.org;
        let (label, host) = if uplink.is_second {
            ("gw2", 2)
        } else {
            ("gw", 1)
        };
        let name = format!("{label}.{}", org.name);
        Node {
            netns: format!("{lab}-{name}"),
            name,
            kind: Kind::Gateway,
            org: Some(org),
            addresses: vec![
                org.v4(host).into(),
                org.v6(host).into(),
                uplink.v4(2).into(),
                uplink.v6(2).into(),
            ],
            uplink: Some(uplink),
        }
    }

    fn wan(lab: &LabName, uplinks: &[Uplink]) -> Node {
        Node {
            netns: format!("{lab}-wan"),
            name: "wan".into(),
            kind: Kind::Wan,
            org: None,
            addresses: uplinks
                .iter()
                .flat_map(|uplink| uplink.addresses(1))
                .collect(),
            uplink: None,
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
    /// The additional machines.
    pub equipment: Equipment,
    /// Nodes, then gateways, the data centre, and the WAN.
    pub nodes: Vec<Node>,
}

impl Topology {
    /// The machines of the laboratory `lab`.
    pub fn of(lab: LabName, equipment: Equipment) -> Topology {
        let mut nodes = Vec::new();
        for org in Org::all() {
            for (host, label) in (11..).zip(org.nodes) {
                nodes.push(Node::inside(&lab, org, label, host));
            }
        }

        let mut uplinks: Vec<_> = Org::all().map(|org| org.uplink()).collect();
        if equipment.siblings {
            uplinks.push(Uplink {
                org: Org::equipped(),
                is_second: true,
            });
        }
        nodes.extend(uplinks.iter().map(|uplink| Node::gateway(&lab, *uplink)));
        if equipment.attach {
            nodes.extend(data_centre::machines(&lab, Org::equipped()));
        }
        nodes.push(Node::wan(&lab, &uplinks));

        Topology {
            lab,
            equipment,
            nodes,
        }
    }

    /// The gateways of `org`.
    pub(crate) fn gateways(&self, org: Org) -> impl Iterator<Item = &Node> {
        self.of_kind(Kind::Gateway)
            .filter(move |node| node.org == Some(org))
    }

    /// True if `org` has a data centre with an attached host.
    pub(crate) fn has_data_centre(&self, org: Org) -> bool {
        let mut attached = self.of_kind(Kind::Attached);
        attached.any(|node| node.org == Some(org))
    }

    /// The machines in the VPC of `org`.
    pub(crate) fn in_the_site_of(&self, org: Org) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| {
            node.org == Some(org) && matches!(node.kind, Kind::Node | Kind::Gateway)
        })
    }

    /// The virtual addresses of `org`'s site; `None` where there is one gateway.
    pub(crate) fn virtual_addresses(&self, org: Org) -> Option<[IpAddr; 2]> {
        let has_two = self.gateways(org).count() > 1;
        has_two.then(|| [org.v4(3).into(), org.v6(3).into()])
    }

    /// The addresses that the hosts of `org`'s site use as their router and resolver.
    pub(crate) fn routers(&self, org: Org) -> [IpAddr; 2] {
        let own = [org.v4(1).into(), org.v6(1).into()];
        self.virtual_addresses(org).unwrap_or(own)
    }

    /// The machine with the short or full name `name` (`peer0.org1`, `peer0.org1.<domain>`).
    pub fn find(&self, name: &str) -> Option<&Node> {
        let name = name
            .strip_suffix(DOMAIN)
            .and_then(|name| name.strip_suffix('.'))
            .unwrap_or(name);
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The machines that run applications and resolve names: those inside the sites, and an
    /// attached one.
    pub fn hosts(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| matches!(node.kind, Kind::Node | Kind::Attached))
    }

    /// The machines that run a daemon of Ringway: the gateways, and an attached host.
    pub fn daemons(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| matches!(node.kind, Kind::Gateway | Kind::Attached))
    }

    /// The machines with the role `kind`.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    /// The namespace of `org`'s switch, which stands for a cloud's network.
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

    /// Directory of the files of the organization `org`, and of its first gateway.
    pub(crate) fn org_dir(&self, org: Org) -> PathBuf {
        self.dir().join(org.name)
    }

    /// The file that the daemon of `node` reads; `None` if the machine runs none.
    pub(crate) fn config(&self, node: &Node) -> Option<PathBuf> {
        match (node.kind, node.uplink) {
            (Kind::Attached, _) => Some(self.data_centre_dir().join("node.toml")),
            (_, Some(uplink)) => Some(self.gateway_dir(uplink).join("gateway.toml")),
            _ => None,
        }
    }

    /// Directory of the files of the attached host.
    pub(crate) fn data_centre_dir(&self) -> PathBuf {
        self.dir().join(data_centre::LABEL)
    }

    /// Directory of the files of the gateway at the end of `uplink`.
    fn gateway_dir(&self, uplink: Uplink) -> PathBuf {
        self.dir().join(if uplink.is_second {
            format!("{}-gw2", uplink.org.name)
        } else {
            uplink.org.name.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology::of("ringway".parse().unwrap(), Equipment::PLAIN)
    }

    fn with_siblings() -> Topology {
        Topology::of("ringway".parse().unwrap(), Equipment::SIBLINGS)
    }

    #[test]
    fn the_machines_have_the_names_that_the_readme_uses() {
        let names: Vec<_> = topology().nodes.into_iter().map(|node| node.name).collect();
        let expected = "orderer0.org0 orderer1.org0 peer0.org1 peer1.org1 peer0.org2 peer1.org2 \
                        gw.org0 gw.org1 gw.org2 wan";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn siblings_are_one_gateway_more_and_an_address_that_the_hosts_use() {
        let topology = with_siblings();
        assert_eq!(
            topology.nodes.len(),
            super::tests::topology().nodes.len() + 1
        );
        let org = Org::all().next().unwrap();
        let gateways: Vec<_> = topology.gateways(org).map(|node| &node.name).collect();
        assert_eq!(gateways, ["gw.org0", "gw2.org0"]);
        let routers = topology.routers(org).map(|address| address.to_string());
        assert_eq!(routers, ["10.10.0.3", "fd00:10::3"]);
        let other = Org::all().nth(1).unwrap();
        assert_eq!(topology.virtual_addresses(other), None);
    }

    #[test]
    fn an_attached_host_is_one_host_more_and_its_router_none() {
        let equipment = Equipment::from_iter([Extra::Attach, Extra::Siblings]);
        assert_eq!(equipment, Equipment::ALL);
        let topology = Topology::of("ringway".parse().unwrap(), equipment);

        let hosts: Vec<_> = topology.hosts().map(|node| node.name.as_str()).collect();
        assert_eq!(hosts.len(), 7);
        assert_eq!(hosts.last(), Some(&"dc0.org0"));
        let daemons: Vec<_> = topology.daemons().map(|node| node.name.as_str()).collect();
        assert_eq!(
            daemons.join(" "),
            "gw.org0 gw.org1 gw.org2 gw2.org0 dc0.org0"
        );
        assert_eq!(topology.of_kind(Kind::Nat).count(), 1);
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
        let everything = Topology::of("ringway".parse().unwrap(), Equipment::ALL);
        let mut addresses: Vec<_> = everything
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
