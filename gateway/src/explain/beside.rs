//! Connections that are not subject to this gateway's rules: both ends are in its own site
//! ([`WithinSite`]), or neither is ([`OtherSites`]). Says what can be seen from here, and where to
//! ask.

use std::net::IpAddr;

use ringway_config::{Asked, Opening};
use ringway_host::watch::Reach;

use super::host::{attached, check, unlisted};
use super::{Step, Verdict};
use crate::admin::Report;

/// A connection between two hosts of the sites that this gateway serves.
#[derive(Debug, Clone, Copy)]
pub struct WithinSite<'a> {
    /// The connection.
    pub opening: Opening,
    /// Status of this gateway.
    pub report: &'a Report,
    /// The client and the server.
    pub ends: [NearEnd<'a>; 2],
    /// `[nodes] isolation = false`.
    pub nodes_reach_each_other: bool,
}

/// A host of a site that this gateway serves.
#[derive(Debug, Clone, Copy)]
pub struct NearEnd<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its site, `<org>/<site>`.
    pub site: &'a str,
    /// The attached node that it is, or is behind.
    pub node: Option<&'a str>,
    /// How the gateway's host reaches it; `None` if that could not be asked.
    pub reach: Option<&'a Reach>,
}

impl WithinSite<'_> {
    /// Every step except the probe.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::new(Verdict::WithinSite, self.site())];
        if !self.is_within_node() {
            steps.extend(self.nodes());
            let listed = self.ends.iter().filter(|end| self.unlisted(end).is_none());
            steps.extend(listed.filter_map(NearEnd::route));
        }
        steps.extend(check(self.report, &self.opening));
        steps
    }

    /// True if the packets do not leave the network of one attached node.
    pub fn is_within_node(&self) -> bool {
        let [from, to] = self.ends;
        from.node.is_some() && from.node == to.node
    }

    fn site(&self) -> String {
        let [from, to] = self.ends;

        match (from.node, to.node) {
            (Some(one), Some(other)) if one == other => {
                format!("both ends are behind {one}: their packets do not pass this gateway")
            }
            (None, None) if from.site == to.site => format!(
                "both ends are in {}, the site of this gateway: their packets need not pass it, \
                 and no rule judges them",
                from.site
            ),
            _ => format!(
                "this gateway serves both ends, {} and {}: no rule judges packets between them",
                from.place(),
                to.place()
            ),
        }
    }

    fn nodes(&self) -> Vec<Step> {
        let nodes = self.ends.iter().filter_map(|end| end.node);
        let mut steps: Vec<Step> = nodes.map(|node| attached(self.report, node)).collect();
        steps.extend(self.ends.iter().filter_map(|end| self.unlisted(end)));

        if self.ends.iter().all(|end| end.node.is_some()) && !self.nodes_reach_each_other {
            let text = "attached nodes do not reach each other";
            let remedy = "[nodes] isolation = false, if they are to";
            steps.push(Step::new(Verdict::NodesApart, text).with(remedy));
        }
        steps
    }

    /// The step about an end that only another gateway of the site knows as an attached node.
    fn unlisted(&self, end: &NearEnd<'_>) -> Option<Step> {
        match end.node {
            Some(_) => None,
            None => unlisted(self.report, end.address),
        }
    }
}

impl NearEnd<'_> {
    fn place(&self) -> String {
        match self.node {
            Some(node) => format!("{} ({node})", self.address),
            None => format!("{} in {}", self.address, self.site),
        }
    }

    /// How this host reaches it; a node is reached by its tunnel.
    fn route(&self) -> Option<Step> {
        let reach = self.reach.filter(|_| self.node.is_none())?;
        let address = self.address;

        Some(match reach {
            Reach::Local => Step::new(
                Verdict::OwnAddress,
                format!("{address} is this host's own address"),
            ),
            Reach::Interface { name, router } => {
                let mut text = format!("{address} is reached by {name}");
                if let Some(router) = router {
                    text.push_str(&format!(", through {router}"));
                }
                Step::new(Verdict::SiteRoute, text)
            }
            Reach::NoRoute => {
                let text = format!("this host has no route to {address}: no member reaches it");
                Step::new(Verdict::NoSiteRoute, text).with(format!("ip route get {address}"))
            }
        })
    }
}

/// A connection between two hosts of sites that other gateways serve.
#[derive(Debug, Clone, Copy)]
pub struct OtherSites<'a> {
    /// The connection.
    pub opening: Opening,
    /// The site of this gateway, `<org>/<site>`.
    pub here: &'a str,
    /// The client and the server.
    pub ends: [FarEnd<'a>; 2],
}

/// A host of a site that other gateways serve.
#[derive(Debug, Clone, Copy)]
pub struct FarEnd<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its site, `<org>/<site>`.
    pub site: &'a str,
    /// The gateways that serve it, `<gateway>.<org>`.
    pub gateways: &'a [String],
}

impl OtherSites<'_> {
    /// The only step.
    pub fn step(&self) -> Step {
        let [from, to] = self.ends;
        let (verdict, text) = if from.site == to.site {
            let text = format!(
                "both ends are in {}: their packets pass no gateway of another site, and {} is not \
                 on the way",
                from.site, self.here
            );
            (Verdict::OtherSite, text)
        } else {
            let text = format!(
                "neither end is in {}, the site of this gateway: {} is in {}, and {} in {}",
                self.here, from.address, from.site, to.address, to.site
            );
            (Verdict::OtherSites, text)
        };

        let mut gateways: Vec<&str> = Vec::new();
        for gateway in self.ends.iter().flat_map(|end| end.gateways) {
            if !gateways.contains(&gateway.as_str()) {
                gateways.push(gateway);
            }
        }
        let place = if gateways.is_empty() {
            "at a gateway of either end".to_owned()
        } else {
            format!("at {}", gateways.join(" or "))
        };
        Step::new(verdict, text).with(format!("{place}: {}", same_question(&self.opening)))
    }
}

/// The command that asks about `opening` at another gateway.
pub fn same_question(opening: &Opening) -> String {
    let Opening {
        source,
        destination,
        service,
    } = opening;
    let port = match service {
        Asked::Tcp(port) => format!(" --port {port}"),
        Asked::Udp(port) => format!(" --port {port}/udp"),
        Asked::Echo | Asked::Protocol(_) => String::new(),
    };

    format!("ringway explain {source} {destination}{port}")
}
