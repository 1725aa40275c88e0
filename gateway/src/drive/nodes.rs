//! Where the attached nodes of the site are: here, at another gateway of the site, or nowhere.

use std::net::IpAddr;
use std::time::Instant;

use ringway_config::{GatewayId, Node, Opening};
use ringway_core::{NodeAway, RouteStatus};

use super::Drive;
use crate::admin::report::TunnelReport;

impl Drive {
    /// The attached nodes and WireGuard clients, as the report has them.
    pub(super) fn nodes(
        &self,
        nodes: Vec<TunnelReport>,
        routes: &[RouteStatus],
    ) -> Vec<TunnelReport> {
        let mut nodes = nodes;
        nodes.extend(self.clients());

        let config = self.in_force.config();
        for listed in &config.nodes.list {
            let id = listed.id(&config.own.org).to_string();
            let node = nodes.iter_mut().find(|node| node.peer == id);
            if let Some(node) = node.filter(|node| node.state != "up") {
                node.attached_to = sibling_of(listed, routes).map(ToString::to_string);
            }
        }
        nodes
    }

    /// Why the end of `opening` in this site is not reached, if it is an attached node.
    pub(super) fn node_away(&self, opening: &Opening) -> Option<NodeAway> {
        let config = self.in_force.config();
        let ends = [opening.source, opening.destination];
        let mut nodes = config.nodes.list.iter();
        let node = nodes.find(|node| ends.iter().any(|end| holds(node, *end)))?;

        let status = self.shell.status(Instant::now());
        let mut routes = status.routes.iter();
        let is_routed = routes.any(|route| leads_to(route, node) && route.gateway.is_some());
        if is_routed {
            return None;
        }
        let Some(_) = node.wireguard else {
            return Some(NodeAway::Down);
        };
        let id = node.id(&config.own.org).to_string();
        let clients = self.clients();
        let mut clients = clients.iter();
        let is_up = clients.any(|client| client.peer == id && client.state == "up");
        (!is_up).then_some(NodeAway::Silent)
    }
}

/// The other gateway of the site that has a session with `node`.
fn sibling_of<'r>(node: &Node, routes: &'r [RouteStatus]) -> Option<&'r GatewayId> {
    let routes = routes.iter().filter(|route| leads_to(route, node));
    let mut gateways = routes.filter_map(|route| route.gateway.as_ref());

    gateways.find(|gateway| !gateway.is_node())
}

fn leads_to(route: &RouteStatus, node: &Node) -> bool {
    let mut prefixes = node.prefixes.iter();

    prefixes.any(|placed| placed.prefix.covers(&route.prefix))
}

fn holds(node: &Node, address: IpAddr) -> bool {
    let mut prefixes = node.prefixes.iter();

    prefixes.any(|placed| placed.prefix.contains(address))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ringway_config::{Place, PlacedPrefix};

    use super::*;

    #[test]
    fn a_node_with_a_session_elsewhere_names_that_gateway() {
        let prefix = |text: &str| text.parse().unwrap();
        let place = Place {
            file: Arc::new("gateway.toml".into()),
            position: None,
            unwritten: None,
        };
        let node = Node {
            name: "db1".parse().unwrap(),
            prefixes: vec![PlacedPrefix {
                prefix: prefix("10.1.77.0/24"),
                place: place.clone(),
            }],
            wireguard: None,
            place,
        };
        let route = |to: &str, gateway: Option<&GatewayId>| RouteStatus {
            prefix: prefix(to),
            org: "acme".parse().unwrap(),
            site: "east".parse().unwrap(),
            gateway: gateway.cloned(),
            is_by_sibling: false,
        };
        let sibling: GatewayId = "gw2.acme".parse().unwrap();
        let itself = node.id(&sibling.org);

        let routes = [
            route("10.2.0.0/16", Some(&sibling)),
            route("10.1.77.0/24", None),
        ];
        assert_eq!(sibling_of(&node, &routes), None);
        let routes = [route("10.1.77.0/24", Some(&sibling))];
        assert_eq!(sibling_of(&node, &routes), Some(&sibling));
        let routes = [route("10.1.77.0/24", Some(&itself))];
        assert_eq!(sibling_of(&node, &routes), None);
    }
}
