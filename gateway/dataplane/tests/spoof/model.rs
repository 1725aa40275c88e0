//! The model: lists and loops, no trie, no parser, no code of the data plane.

use std::net::IpAddr;

use ringway_dataplane::DropReason;

use crate::craft::Crafted;

/// A range of addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net {
    pub(crate) first: IpAddr,
    pub(crate) len: u32,
}

impl Net {
    pub(crate) fn new(text: &str) -> Net {
        let (first, len) = text.split_once('/').unwrap();
        Net {
            first: first.parse().unwrap(),
            len: len.parse().unwrap(),
        }
    }

    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        let same =
            |a: &[u8], b: &[u8]| (0..self.len as usize).all(|bit| bit_of(a, bit) == bit_of(b, bit));
        match (self.first, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets()),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets()),
            _ => false,
        }
    }
}

fn bit_of(bytes: &[u8], bit: usize) -> bool {
    bytes[bit / 8] & (0x80 >> (bit % 8)) != 0
}

/// Addresses that no tunnel carries.
pub(crate) const NEVER: &str = "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 \
                                ::/96 ::ffff:0:0/96 fe80::/10 ff00::/8";

#[derive(Default)]
pub(crate) struct Model {
    /// Every authorized prefix and the site whose gateways serve it.
    pub(crate) authorized: Vec<(Net, usize)>,
    pub(crate) never: Vec<Net>,
    pub(crate) gateways: Vec<View>,
}

/// What differs between gateways.
pub(crate) struct View {
    pub(crate) site: usize,
    /// Connected networks that are not the site's.
    pub(crate) connected: Vec<Net>,
    /// Prefixes and the gateways they lead to.
    pub(crate) routes: Vec<(Net, usize)>,
}

impl Model {
    /// The site whose gateways serve an address.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<usize> {
        most_specific(&self.authorized, address)
    }

    fn forbids(&self, gateway: usize, address: IpAddr) -> bool {
        self.never
            .iter()
            .chain(&self.gateways[gateway].connected)
            .any(|net| net.holds(address))
    }

    /// Whether gateway `to` admits this from a gateway of `site`.
    pub(crate) fn admits(
        &self,
        site: usize,
        to: usize,
        crafted: &Crafted,
    ) -> Result<(), DropReason> {
        crafted.shape?;
        if self.forbids(to, crafted.source) || self.holder(crafted.source) != Some(site) {
            return Err(DropReason::Source);
        }
        let own = self.gateways[to].site;
        let is_good = match self.holder(crafted.destination) {
            Some(holder) if holder == own => true,
            // A gateway of its own site passes it on.
            Some(_) => site == own,
            None => false,
        };
        if self.forbids(to, crafted.destination) || !is_good {
            return Err(DropReason::Destination);
        }
        Ok(())
    }

    /// The peer that gateway `from` sends this to.
    pub(crate) fn routes(&self, from: usize, crafted: &Crafted) -> Result<usize, DropReason> {
        crafted.shape?;
        let view = &self.gateways[from];
        if self.forbids(from, crafted.source) || self.holder(crafted.source) != Some(view.site) {
            return Err(DropReason::OwnSource);
        }
        if self.forbids(from, crafted.destination) {
            return Err(DropReason::NoRoute);
        }
        most_specific(&view.routes, crafted.destination).ok_or(DropReason::NoRoute)
    }
}

fn most_specific(list: &[(Net, usize)], address: IpAddr) -> Option<usize> {
    let holding = list.iter().filter(|(net, _)| net.holds(address));
    holding
        .max_by_key(|(net, _)| net.len)
        .map(|(_, value)| *value)
}
