//! [`Tunnel`]: one of the two tunnels to a data centre, and the parameters that both ends share.

use std::net::IpAddr;

use crate::cli::Failure;

/// Ids of the XFRM interfaces (ip-link(8)): those of one data centre are consecutive.
const FIRST_ID: usize = 46_001;

/// Metric of the route through the first tunnel; the standby's is higher.
const FIRST_METRIC: usize = 101;

/// Bytes: 1500 minus the outer headers of ESP in UDP (RFC 3948), for AES-CBC and SHA-256, rounded
/// down.
pub(super) const MTU: u32 = 1400;
/// Minus the IPv4 and TCP headers.
pub(super) const MSS: u32 = MTU - 40;

/// Lifetimes of an IKE SA and of a CHILD SA, seconds. Our end rekeys each some time before.
pub(super) const IKE_LIFE: u32 = 86_400;
pub(super) const CHILD_LIFE: u32 = 3600;

/// Seconds between two dead-peer probes (RFC 7296, section 2.4).
pub(super) const DPD: u32 = 5;

/// One of the tunnels to a data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tunnel {
    /// 1 or 2.
    pub(super) number: usize,
    /// The other end's public address.
    pub(super) peer: String,
    /// Our XFRM interface, and its id.
    pub(super) interface: String,
    pub(super) id: usize,
    pub(super) metric: usize,
}

/// The tunnels of the data centre with this `number`.
pub(super) fn tunnels(number: usize, peers: &[IpAddr]) -> Result<Vec<Tunnel>, Failure> {
    let peers: Vec<String> = match peers {
        [] => ["<address 1>", "<address 2>"].map(str::to_owned).into(),
        [one, two] if one == two => {
            return Err(Failure::Usage(
                "two tunnels need two addresses of the other end, and --peer names one twice"
                    .into(),
            ));
        }
        [_] | [_, _] => peers.iter().map(ToString::to_string).collect(),
        _ => return Err(Failure::Usage("at most two tunnels: --peer twice".into())),
    };

    let places = peers.into_iter().enumerate();
    Ok(places
        .map(|(place, peer)| {
            let interface = 2 * number + place;
            Tunnel {
                number: place + 1,
                peer,
                interface: format!("ipsec{}", interface + 1),
                id: FIRST_ID + interface,
                metric: FIRST_METRIC + place,
            }
        })
        .collect())
}
