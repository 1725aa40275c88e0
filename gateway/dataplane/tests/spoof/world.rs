//! The consortium of this test: eight gateways at six sites of four organizations, with nested
//! prefixes, and three sites that are to be served via others.
//!
//! ```text
//!  0 acme/east    10.1/16        gateways 0, 1
//!  1 acme/west    10.11/16       gateway 2
//!  2 beta/main    10.2/16        gateways 3, 4
//!  3 gamma/main   10.3/16, ...   gateway 5
//!  4 delta/north  10.4/16, ...   gateway 6
//!  5 delta/south  10.4.200/24    gateway 7
//!  6 acme/idc     10.21/16, ...  via acme/east
//!  7 gamma/idc    10.22/16       via beta/main, which consents
//!  8 delta/plant  10.23/16       via beta/main, which does not: nobody serves it
//! ```
//! gamma's 10.2.128/24 lies in beta's 10.2/16, delta/south's 10.4.200/24 in delta/north's 10.4/16,
//! delta/north's 10.1.77/24 in acme/east's 10.1/16, and gamma's 172.17.5/24 in 172.17/16, to which
//! beta's hosts are connected. acme/idc's 10.3.99/24 lies in gamma's 10.3/16. Likewise in IPv6.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_dataplane::*;

use crate::craft::Rng;
use crate::model::{Model, NEVER, Net, View};

const SITES: [&str; 9] = [
    "10.1.0.0/16 fd00:1::/32",
    "10.11.0.0/16 fd00:11::/32",
    "10.2.0.0/16 fd00:2::/32",
    "10.3.0.0/16 10.2.128.0/24 172.17.5.0/24 fd00:3::/32 fd00:2:8000::/48 fd17:5::/32",
    "10.4.0.0/16 10.1.77.0/24 fd00:4::/32 fd00:1:77::/48",
    "10.4.200.0/24 fd00:4:200::/48",
    "10.21.0.0/16 10.3.99.0/24 fd00:21::/32 fd00:3:99::/48",
    "10.22.0.0/16 fd00:22::/32",
    "10.23.0.0/16 fd00:23::/32",
];

/// The site whose gateways serve each site; `None`: nobody.
const SERVERS: [Option<usize>; 9] = [
    Some(0),
    Some(1),
    Some(2),
    Some(3),
    Some(4),
    Some(5),
    Some(0),
    Some(2),
    None,
];

/// Sites with gateways.
const SERVING: usize = 6;

/// The one that would serve the last site if it consented.
const WANTED: usize = 2;

/// The site of each gateway.
const GATEWAYS: [usize; 8] = [0, 0, 1, 2, 2, 3, 4, 5];

/// Networks that every host is connected to besides its site's.
const WAN: &str = "203.0.113.0/24 2001:db8:ffff::/64";

/// Beta's hosts are connected to these too.
const BRIDGE: &str = "172.17.0.0/16 fd17::/16";

/// A check taken away, by a snapshot in which it cannot fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weakness {
    None,
    /// All sites are one.
    AnySource,
    /// Every address is this site's.
    AnyDestination,
    /// Every site may use every address that no site holds.
    WideAuthorization,
    /// A site is served without the consent of the organization that is to serve it.
    NoConsent,
}

pub(crate) struct World {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) model: Model,
}

pub(crate) struct Gateway {
    pub(crate) snapshot: Snapshot,
    /// By the number of the peer.
    pub(crate) outgoing: BTreeMap<usize, Arc<Outgoing>>,
}

impl World {
    pub(crate) fn new(weakness: Weakness) -> World {
        let model = model();
        let gateways = (0..GATEWAYS.len())
            .map(|number| gateway(number, &model, weakness))
            .collect();
        World { gateways, model }
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = 0..GATEWAYS.len();
        all.clone()
            .flat_map(move |from| all.clone().map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
    }

    pub(crate) fn site(&self, gateway: usize) -> usize {
        GATEWAYS[gateway]
    }

    pub(crate) fn sites(&self) -> usize {
        SERVING
    }

    /// The prefixes in one family that the gateways of a site serve.
    pub(crate) fn prefixes(&self, site: usize, v6: bool) -> Vec<Net> {
        served_by(Some(site), v6)
    }

    /// Those that nobody serves.
    pub(crate) fn refused(v6: bool) -> Vec<Net> {
        served_by(None, v6)
    }

    /// A gateway that is none of these.
    pub(crate) fn other_than(&self, not: &[usize], rng: &mut Rng) -> usize {
        let others: Vec<usize> = (0..GATEWAYS.len())
            .filter(|number| !not.contains(number))
            .collect();
        others[rng.below(others.len())]
    }

    /// The index under which gateway `to` knows the session from gateway `from`.
    pub(crate) fn index(from: usize, to: usize) -> u32 {
        (from * 100 + to) as u32
    }

    /// The gateway that chose an index.
    pub(crate) fn receiver(index: u32) -> usize {
        index as usize % 100
    }
}

fn served_by(server: Option<usize>, v6: bool) -> Vec<Net> {
    SITES
        .iter()
        .zip(SERVERS)
        .filter(|(_, known)| *known == server)
        .flat_map(|(text, _)| nets(text))
        .filter(|net| net.first.is_ipv6() == v6)
        .collect()
}

fn nets(text: &str) -> Vec<Net> {
    text.split_whitespace().map(Net::new).collect()
}

fn connected(gateway: usize) -> String {
    if GATEWAYS[gateway] == 2 {
        format!("{WAN} {BRIDGE}")
    } else {
        WAN.into()
    }
}

fn model() -> Model {
    let authorized = SITES
        .iter()
        .zip(SERVERS)
        .filter_map(|(text, server)| Some((text, server?)))
        .flat_map(|(text, server)| nets(text).into_iter().map(move |net| (net, server)));
    let mut model = Model {
        authorized: authorized.collect(),
        never: nets(NEVER),
        gateways: Vec::new(),
    };
    for (number, site) in GATEWAYS.iter().enumerate() {
        let others = model.authorized.iter().filter(|(_, holder)| holder != site);
        let routes = others
            .map(|(net, holder)| (*net, first_gateway_of(*holder)))
            .collect();
        model.gateways.push(View {
            site: *site,
            connected: nets(&connected(number)),
            routes,
        });
    }
    model
}

fn first_gateway_of(site: usize) -> usize {
    GATEWAYS.iter().position(|of| *of == site).unwrap()
}

fn gateway(number: usize, model: &Model, weakness: Weakness) -> Gateway {
    let site_no = |site: usize| {
        SiteNo(if weakness == Weakness::AnySource {
            0
        } else {
            site as u32
        })
    };
    let site = GATEWAYS[number];
    let shared = Arc::new(Peer::new());
    let secret = |from: usize, to: usize| {
        Secret::new([World::index(from, to) as u8 ^ (from * 16) as u8; 48])
    };
    let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
    let mut builder = SnapshotBuilder::new(site_no(site));
    let mut outgoing = BTreeMap::new();
    for peer in (0..GATEWAYS.len()).filter(|peer| *peer != number) {
        let index = World::index(number, peer);
        let sealing = Outgoing::new(
            index,
            Aead::Aes128Gcm,
            &secret(number, peer),
            path,
            shared.clone(),
        );
        outgoing.insert(peer, Arc::new(sealing));
        let index = World::index(peer, number);
        let from = site_no(GATEWAYS[peer]);
        let opening = Incoming::new(
            index,
            Aead::Aes128Gcm,
            &secret(peer, number),
            from,
            shared.clone(),
        );
        builder.incoming(Arc::new(opening));
    }
    for (net, holder) in &model.authorized {
        let prefix = format!("{}/{}", net.first, net.len).parse().unwrap();
        if *holder == site {
            // The gateway's host is connected to the site's network.
            builder.site_prefix(prefix).connected(prefix);
        } else {
            builder
                .authorize(prefix, site_no(*holder))
                .route(prefix, outgoing[&first_gateway_of(*holder)].clone());
        }
    }
    for text in connected(number).split_whitespace() {
        builder.connected(text.parse().unwrap());
    }
    for everything in ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()] {
        match weakness {
            Weakness::AnyDestination => _ = builder.site_prefix(everything),
            Weakness::WideAuthorization => {
                _ = builder.authorize(everything, SiteNo((site as u32 + 1) % 6))
            }
            Weakness::None | Weakness::AnySource | Weakness::NoConsent => {}
        }
    }
    if weakness == Weakness::NoConsent {
        for net in nets(SITES[SITES.len() - 1]) {
            let prefix = format!("{}/{}", net.first, net.len).parse().unwrap();
            builder.authorize(prefix, site_no(WANTED));
        }
    }
    Gateway {
        snapshot: builder.build(),
        outgoing,
    }
}
