//! [`Announcer`]: announces virtual addresses to the hosts of a network, and probes for other hosts
//! that have them: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861), on packet sockets.
//! Needs CAP_NET_RAW.
//!
//! Answers prove nothing: any host of the site can answer for any address. They inform the
//! operator, and keep a gateway that starts from taking an address that is in use.

mod frame;
mod socket;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::IpAddr;

use socket2::Socket;

use super::Interface;
use crate::sysctl;

/// Maximum of frames read at a time, which bounds the cost of a flood.
const MOST: usize = 64;

/// Frames are truncated to this length; the relevant fields come first.
const FRAME: usize = 128;

/// Why announcing is impossible.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The capability is missing.
    #[error("not permitted to open a packet socket: ringway needs CAP_NET_RAW")]
    NotPermitted(#[source] io::Error),
    /// The interface has no Ethernet address.
    #[error("the interface is no Ethernet")]
    NotEthernet,
    /// Another error.
    #[error("cannot open a packet socket: {0}")]
    Failed(#[source] io::Error),
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware(pub [u8; 6]);

/// Sends and receives on one interface.
#[derive(Debug)]
pub struct Announcer {
    interface: Interface,
    hardware: [u8; 6],
    /// Receives ARP from hosts that claim one of the IPv4 addresses.
    arp: Socket,
    /// Receives neighbour advertisements.
    neighbours: Socket,
}

impl Announcer {
    /// Opens the sockets for these addresses, on `interface`.
    pub fn open(interface: Interface, addresses: &[IpAddr]) -> Result<Announcer, AnnounceError> {
        let hardware = interface.hardware.ok_or(AnnounceError::NotEthernet)?;

        Ok(Announcer {
            arp: socket::arp(interface.index, addresses).map_err(classify)?,
            neighbours: socket::neighbours(interface.index).map_err(classify)?,
            interface,
            hardware,
        })
    }

    /// The interface that it uses.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// Announces to all hosts that this host has `address`, on the interface `name`: gratuitous ARP
    /// (RFC 5227, section 2.3) or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6).
    pub fn announce(&self, address: IpAddr, name: &str) -> io::Result<()> {
        match address {
            IpAddr::V4(v4) => self.send(&self.arp, &frame::announcement(self.hardware, v4)),
            IpAddr::V6(v6) => {
                let frame = frame::advertisement(self.hardware, v6, is_router(name));
                self.send(&self.neighbours, &frame)
            }
        }
    }

    /// Asks who has `address`, without claiming it: an ARP probe (RFC 5227, section 2.1.1), or the
    /// solicitation of duplicate address detection (RFC 4862, section 5.4.2).
    pub fn probe(&self, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(v4) => self.send(&self.arp, &frame::probe(self.hardware, v4)),
            IpAddr::V6(v6) => self.send(&self.neighbours, &frame::solicitation(self.hardware, v6)),
        }
    }

    /// Hosts that have claimed one of `addresses` since the last call.
    pub fn others(&self, addresses: &[IpAddr]) -> BTreeMap<IpAddr, Hardware> {
        let mut others = BTreeMap::new();
        let heard = [&self.arp, &self.neighbours].map(read);

        for (address, hardware) in heard.into_iter().flatten() {
            if hardware != self.hardware && addresses.contains(&address) {
                others.insert(address, Hardware(hardware));
            }
        }
        others
    }

    fn send(&self, socket: &Socket, frame: &[u8]) -> io::Result<()> {
        socket.send(frame).map(drop)
    }
}

/// The claims in the frames that have arrived: address and sender.
fn read(socket: &Socket) -> Vec<(IpAddr, [u8; 6])> {
    let mut socket = socket;
    let mut heard = Vec::new();
    let mut frame = [0; FRAME];

    for _ in 0..MOST {
        // The socket is non-blocking; after an error there is nothing more to read now.
        let Ok(length) = socket.read(&mut frame) else {
            break;
        };
        heard.extend(frame::holder(&frame[..length]));
    }
    heard
}

/// RFC 4861, section 7.2.5: hosts remove a router that advertises itself as none from their lists.
/// The kernel answers solicitations in the same way.
fn is_router(name: &str) -> bool {
    sysctl::read(&format!("net/ipv6/conf/{name}/forwarding")).is_ok_and(|value| value != "0")
}

fn classify(error: io::Error) -> AnnounceError {
    // A service manager may forbid the address family instead.
    let is_forbidden = error.raw_os_error() == Some(libc::EAFNOSUPPORT);

    match error.kind() {
        io::ErrorKind::PermissionDenied => AnnounceError::NotPermitted(error),
        _ if is_forbidden => AnnounceError::NotPermitted(error),
        _ => AnnounceError::Failed(error),
    }
}

impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
