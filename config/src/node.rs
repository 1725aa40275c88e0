//! [`Nodes`]: the attached nodes of a gateway's site, and [`Attach`]: what the file of a node says
//! that is no gateway's.
//!
//! A node is a host or a router of our organization that dials the gateways of one of our sites, as
//! from a data centre behind NAT. Its prefixes lie in those that the site's gateways serve, so that
//! no other organization needs to know of it. Where the mesh works with gateways and sites, a node
//! stands as the gateway [`GatewayName::of_node`](crate::GatewayName::of_node) of the site
//! [`SiteId::of_node`]: names that no file, certificate or message can say otherwise.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::{
    Config, Connected, Fault, GatewayId, NodeName, OrgId, Place, PlacedPrefix, Prefix, Site,
    SiteId, WireGuardKey,
};

/// Offers that are shown of those that are not accepted.
const SHOWN: usize = 8;

/// The nodes that a gateway serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Each `[[node]]`, in file order.
    pub list: Vec<Node>,
    /// Nodes may reach each other (`[nodes] isolation = false`).
    pub reach_each_other: bool,
}

/// One `[[node]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name in the organization.
    pub name: NodeName,
    /// Its address ranges: each inside one that this gateway's site serves, none another node's.
    pub prefixes: Vec<PlacedPrefix>,
    /// It is a standard WireGuard client with this key, and no daemon of ours.
    pub wireguard: Option<WireGuardKey>,
    /// Where it was written.
    pub place: Place,
}

impl Node {
    /// What stands for it in the mesh.
    pub fn id(&self, org: &OrgId) -> GatewayId {
        GatewayId::of_node(&self.name, org)
    }

    /// What stands for its site in the mesh.
    pub fn site(&self) -> SiteId {
        SiteId::of_node(&self.name)
    }
}

impl Config {
    /// True if `prefix` is one of this attached node's own addresses. The kernel has it as a local
    /// one, so that a route to what is around it does no harm.
    pub fn is_own_address(&self, prefix: &Prefix) -> bool {
        let attach = self.attach.as_ref();

        attach.is_some_and(|attach| attach.has(prefix))
    }

    /// What the gateways of an attached node offer, and the file does not accept.
    pub fn not_accepted(&self) -> Option<Fault> {
        let left_out = &self.attach.as_ref()?.left_out;
        let shown: Vec<String> = left_out.iter().take(SHOWN).map(Prefix::to_string).collect();
        if shown.is_empty() {
            return None;
        }

        let more = match left_out.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(Fault {
            place: Place::whole(&self.path),
            message: format!(
                "the gateways offer {}{more}, which accept leaves out, so that this node does not \
                 reach it through them; extend accept if it is to",
                shown.join(", ")
            ),
        })
    }

    /// Nodes whose addresses lie in networks that the host is connected to: its neighbours there
    /// would look for them on the link.
    pub fn nodes_on_links(&self, connected: &[Connected]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for placed in self.nodes.list.iter().flat_map(|node| &node.prefixes) {
            let network = connected
                .iter()
                .find(|network| network.prefix.overlaps(&placed.prefix));
            faults.extend(network.map(|network| Fault {
                place: placed.place.clone(),
                message: format!(
                    "{} lies in {}, which this host is connected to by {}: hosts there would look \
                     for the node on the link; give it addresses of another network of the site",
                    placed.prefix, network.prefix, network.interface
                ),
            }));
        }
        faults
    }
}

/// What only the file of an attached node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// This node.
    pub node: NodeName,
    /// The site whose gateways it is attached to.
    pub site: SiteId,
    /// The organization's sites, as its record lists them.
    pub sites: Vec<Site>,
    /// Addresses of its own that the TUN device is to have.
    pub addresses: Vec<IpAddr>,
    /// What the gateways offer is taken inside these ranges only.
    pub accept: Vec<Prefix>,
    /// What they offer outside of these ranges, or wider than one of them.
    pub left_out: Vec<Prefix>,
    /// How this host gets to know the consortium's names.
    pub resolver: NodeResolver,
}

/// Which resolver of an attached node's host is to ask the gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NodeResolver {
    /// None.
    #[default]
    None,
    /// systemd-resolved.
    SystemdResolved,
    /// The one that reads this file, in the form of resolv.conf(5).
    File(PathBuf),
}

impl Attach {
    /// The site of this organization that has `prefix`. `None`: it belongs to another one, of which
    /// a node knows nothing.
    pub fn owner(&self, prefix: &Prefix) -> Option<&SiteId> {
        let mut sites = self.sites.iter();
        let owner = sites.find(|site| {
            let mut placed = site.prefixes.iter();
            placed.any(|placed| placed.prefix.covers(prefix))
        });

        owner.map(|site| &site.name)
    }

    /// True if `prefix` is one of the addresses.
    pub(crate) fn has(&self, prefix: &Prefix) -> bool {
        self.addresses
            .iter()
            .any(|address| Prefix::host(*address) == *prefix)
    }
}
