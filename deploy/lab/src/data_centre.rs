//! The data centre of a laboratory with [`Extra::Attach`]: a host behind NAT that is attached to
//! org0's gateways, and its router.
//!
//! ```text
//!   dc0.org0 192.168.7.2 ── 192.168.7.1 nat 203.0.113.66 ── wan ── gw.org0 (and gw2.org0)
//!   10.20.0.11, fd00:20::11 (org0's site idc, via vpc)
//! ```
//! Its TUN device gets addresses of the mesh; the data centre's network does not know them.
//!
//! [`Extra::Attach`]: crate::topology::Extra::Attach

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};

use crate::laboratory::Lab;
use crate::network::resolver_file;
use crate::program::{command, feed, output};
use crate::topology::{Kind, LabName, Node, Org, Topology};

/// The host's first label, and its name as a node.
pub(crate) const LABEL: &str = "dc0";

/// Its addresses in the mesh.
const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 20, 0, 11)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, 0x11)),
];

/// The prefixes of its site.
pub(crate) const PREFIXES: [&str; 2] = ["10.20.0.0/24", "fd00:20::/64"];

/// The network of the data centre: the router's address and the host's.
const LAN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 7, 1), Ipv4Addr::new(192, 168, 7, 2)];

/// The router's link to the WAN: the WAN's address and the router's.
const UPLINK: [Ipv4Addr; 2] = [
    Ipv4Addr::new(203, 0, 113, 65),
    Ipv4Addr::new(203, 0, 113, 66),
];

/// The WAN's end of the router's link.
const ON_THE_WAN: &str = "nat0";

/// Packets that leave the data centre get the router's address.
const MASQUERADE: &str = "table ip nat {
    chain leaves {
        type nat hook postrouting priority srcnat
        oifname wan0 masquerade
    }
}
";

/// The host of `org`, and its router.
pub(crate) fn machines(lab: &LabName, org: Org) -> [Node; 2] {
    let name = format!("{LABEL}.{}", org.name);
    let host = Node {
        netns: format!("{lab}-{name}"),
        name,
        kind: Kind::Attached,
        org: Some(org),
        addresses: ADDRESSES.into_iter().chain([LAN[1].into()]).collect(),
        uplink: None,
    };
    let router = Node {
        netns: format!("{lab}-nat"),
        name: "nat".into(),
        kind: Kind::Nat,
        org: None,
        addresses: vec![LAN[0].into(), UPLINK[1].into()],
        uplink: None,
    };

    [host, router]
}

/// The `ip` commands for the link of `node`, one of the data centre, towards the WAN.
pub(crate) fn link(topology: &Topology, node: &Node) -> String {
    let lab = &topology.lab;
    match node.kind {
        Kind::Attached => format!(
            "link add eth0 netns {} type veth peer name lan0 netns {lab}-nat\n",
            node.netns
        ),
        Kind::Nat => format!(
            "link add wan0 netns {} type veth peer name {ON_THE_WAN} netns {lab}-wan\n",
            node.netns
        ),
        Kind::Node | Kind::Gateway | Kind::Wan => String::new(),
    }
}

/// The `ip` commands for the addresses and routes of `node`, one of the data centre or the WAN.
pub(crate) fn addresses(node: &Node) -> String {
    let [router, host] = LAN;
    let [wan, outside] = UPLINK;
    match node.kind {
        Kind::Attached => format!(
            "address add {host}/24 dev eth0\nlink set eth0 up\nroute add default via {router}\n"
        ),
        Kind::Nat => format!(
            "address add {router}/24 dev lan0\nlink set lan0 up\n\
             address add {outside}/30 dev wan0\nlink set wan0 up\nroute add default via {wan}\n"
        ),
        Kind::Wan => {
            format!("address add {wan}/30 dev {ON_THE_WAN}\nlink set {ON_THE_WAN} up\n")
        }
        Kind::Node | Kind::Gateway => String::new(),
    }
}

/// Makes the router translate addresses.
pub(crate) fn translate(router: &Node) -> Result<()> {
    let nft = ["netns", "exec", &router.netns, "nft", "-f", "-"];
    feed(&mut command("ip", nft), MASQUERADE)?;
    Ok(())
}

/// Adds the data centre to the record of `org`, whose first gateway has its files.
pub(crate) fn add_site(lab: &Lab, org: Org) -> Result<()> {
    let gateway = org.gateway();
    let mut add = lab.ringway(&gateway)?;
    add.args(["site", "add"])
        .arg(format!("idc={}", PREFIXES.join(",")))
        .args(["--via", "vpc", "-c"])
        .arg(lab.config(&gateway)?);
    output(&mut add)?;
    Ok(())
}

/// Adds the host to each gateway of `org`, and makes its own files.
pub(crate) fn add_node(lab: &Lab, org: Org) -> Result<()> {
    for gateway in lab.topology().gateways(org) {
        let mut add = lab.ringway(&gateway.name)?;
        add.args(["node", "add", LABEL]);
        for (address, length) in ADDRESSES.iter().zip([32, 128]) {
            add.arg("--prefix").arg(format!("{address}/{length}"));
        }
        output(add.arg("-c").arg(lab.config(&gateway.name)?))?;
    }

    init(lab, org)
}

fn init(lab: &Lab, org: Org) -> Result<()> {
    let topology = lab.topology();
    let host = topology.of_kind(Kind::Attached).next();
    let host = host.context("the laboratory has no data centre")?;
    let theirs = topology.org_dir(org);
    let mut init = lab.ringway(&host.name)?;
    init.args(["attach", "init", LABEL, "--site", "vpc", "--record"])
        .arg(theirs.join(format!("{}.member.toml", org.name)))
        .arg("--ca")
        .arg(theirs.join("ca"))
        .arg("--dir")
        .arg(topology.data_centre_dir());
    for address in ADDRESSES {
        init.arg("--address").arg(address.to_string());
    }
    output(&mut init)?;

    let config = lab.config(&host.name)?;
    let resolver = resolver_file(&host.netns);
    let dns = format!("\n[dns]\nresolver = \"{}\"\n", resolver.display());
    let file = File::options().append(true).open(&config);
    file.and_then(|mut file| file.write_all(dns.as_bytes()))
        .with_context(|| format!("cannot write {}", config.display()))
}
