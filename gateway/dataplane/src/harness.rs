//! Plain functions over bytes for benches, fuzz targets and tests outside of this crate. No thread,
//! no socket and no key is needed; nothing else may use them.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Allow, OrgId, Origin, Place, Policy, Prefix, Service, SiteId, Target};
use ringway_filter::{Filter, RemoteSite, Rules, RulesSpec, Settings};

use crate::coalesce::Coalesce;
use crate::counters::DropReason;
use crate::header::Checksum;
use crate::ip;
use crate::offload::{Gso, GsoType, OFFLOAD_LEN, Offload};
pub use crate::replay::WINDOW;
use crate::split::Split;
use crate::transport::Transport;

/// Bytes of headroom in front of each packet that [`join`] takes.
pub const HEADROOM: usize = OFFLOAD_LEN;

/// Rules of site `site` that let every TCP, UDP and echo packet pass between its prefixes and those
/// of the other sites, which are given with their numbers.
pub fn permissive(site: u32, own: &[Prefix], others: &[(u32, Prefix)]) -> Arc<Rules> {
    let place = Place::whole("gateway.toml".as_ref());
    let allow = Allow {
        from: vec![Origin::All],
        to: own.iter().copied().map(Target::Prefix).collect(),
        services: vec![
            Service::Tcp(Vec::new()),
            Service::Udp(Vec::new()),
            Service::Icmp,
        ],
        place,
    };
    let policy = Policy {
        allow: Some(vec![allow]),
        ..Policy::default()
    };

    rules(policy, site, own, others)
}

/// The rules of site `site` that follow from `policy`. Every other site is of one organization.
pub fn rules(policy: Policy, site: u32, own: &[Prefix], others: &[(u32, Prefix)]) -> Arc<Rules> {
    let org: OrgId = "beta".parse().expect("it is a name");
    let mut prefixes: BTreeMap<u32, Vec<Prefix>> = BTreeMap::new();
    for (number, prefix) in others {
        prefixes.entry(*number).or_default().push(*prefix);
    }
    let sites = prefixes.into_iter().map(|(number, prefixes)| RemoteSite {
        number,
        org: org.clone(),
        site: format!("site{number}").parse::<SiteId>().expect("likewise"),
        prefixes,
        has_gateways: true,
        via: None,
    });

    let spec = RulesSpec {
        policy,
        former: Vec::new(),
        site,
        own: own.to_vec(),
        sites: sites.collect(),
        names: [].into(),
        dns: Vec::new(),
        gateway: Vec::new(),
        tunnel_port: 4600,
    };
    Arc::new(Rules::compile(&spec))
}

/// A filter without flows.
pub fn filter(now: Instant) -> Arc<Filter> {
    let settings = Settings::of(&Policy::default());
    Arc::new(Filter::new(&settings, [7; 16], now))
}

/// Source and destination of an IP packet, if its shape is right.
pub fn parse(packet: &[u8]) -> Result<(IpAddr, IpAddr), DropReason> {
    let addresses = ip::parse(packet)?;
    Ok((addresses.source, addresses.destination))
}

/// Cuts a TCP/IPv4 super-packet into segments with `size` bytes of payload, written behind each
/// other into `out`, and gives their number. Error: the reason for which the sending thread would
/// drop it.
pub fn cut(packet: &mut [u8], size: usize, out: &mut [u8]) -> Result<usize, DropReason> {
    let gso = Gso {
        kind: GsoType::TcpV4,
        header_len: 0,
        size,
    };
    let mut split = Split::new(packet, &gso, usize::MAX)?;
    let mut rest = out;
    for at in 0..split.count() {
        let (segment, behind) = rest.split_at_mut(split.len(at));
        split.write(at, segment);
        rest = behind;
    }
    Ok(split.count())
}

/// Joins packets that lie behind each other, each of `len` bytes with [`HEADROOM`] in front, and
/// gives the number of writes to the TUN device that it took.
pub fn join(packets: &mut [u8], len: usize, checksum: Checksum) -> usize {
    let mut writes = 0;
    let mut coalesce = Coalesce::new(true, |_: &[IoSlice<'_>], _| writes += 1);
    for packet in packets.chunks_exact_mut(HEADROOM + len) {
        let transport = Transport::locate(&packet[HEADROOM..]);
        coalesce.push(packet, checksum, transport);
    }
    coalesce.flush();
    writes
}

/// Cuts what a read of the TUN device may give, offload header first, into packets. A packet that
/// is no super-packet is given back as it is. Error: the reason for which the sending thread would
/// drop it.
pub fn split(read: &mut [u8], max_packet: usize) -> Result<Vec<Vec<u8>>, DropReason> {
    let (header, packet) = read
        .split_first_chunk_mut::<OFFLOAD_LEN>()
        .ok_or(DropReason::Malformed)?;
    let Some(gso) = Offload::decode(header)?.gso else {
        return Ok(vec![packet.to_vec()]);
    };
    let mut split = Split::new(packet, &gso, max_packet)?;
    let mut segments = Vec::with_capacity(split.count());
    for at in 0..split.count() {
        let mut segment = vec![0; split.len(at)];
        split.write(at, &mut segment);
        segments.push(segment);
    }
    Ok(segments)
}

/// Joins `packets` as the receiving thread does, and gives what it would write to the TUN device:
/// each write with its offload header, and the number of packets in it.
pub fn coalesce(packets: &[(Vec<u8>, Checksum)]) -> Vec<(Vec<u8>, usize)> {
    let mut buffers: Vec<Vec<u8>> = packets
        .iter()
        .map(|(packet, _)| [&[0; OFFLOAD_LEN][..], packet].concat())
        .collect();
    let mut written = Vec::new();
    let mut coalesce = Coalesce::new(true, |parts: &[IoSlice<'_>], count| {
        let bytes = parts.iter().flat_map(|part| part.iter().copied());
        written.push((bytes.collect(), count));
    });
    for (buffer, (packet, checksum)) in buffers.iter_mut().zip(packets) {
        coalesce.push(buffer, *checksum, Transport::locate(packet));
    }
    coalesce.flush();
    written
}
