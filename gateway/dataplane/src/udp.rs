//! [`Udp`]: the tunnel's UDP socket of one lane, as its threads use it.
//!
//! [`TunnelSocket`] is the kernel's, [`ChannelUdp`] a version in memory for tests, simulation and
//! fuzzing. The threads are generic over the trait, so that its calls are static and cost nothing.
//!
//! Owns what a failed send means: which drop is counted, and when the kernel must choose another
//! source address. What is in a datagram is for the callers.

mod channel;
mod fragment;
#[cfg(test)]
pub(crate) mod recording;
mod socket;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Instant;

pub use self::channel::{ChannelNetwork, ChannelUdp};
pub use self::socket::TunnelSocket;
use crate::counters::DropReason;
use crate::session::{Outgoing, Path};
use crate::traffic_class::TrafficClass;

/// Datagrams in one send (UDP_MAX_SEGMENTS of older kernels).
pub(crate) const MAX_SEGMENTS: usize = 64;

/// Bytes in one send: below the largest UDP payload by what headers may take.
pub(crate) const MAX_SEND: usize = 65_000;

/// Bytes up to which the kernel joins datagrams in one receive.
pub(crate) const MAX_RECEIVE: usize = 0xffff;

/// A UDP socket that sends along a path and joins what it receives (UDP_GRO). Nothing here waits;
/// poll(2) on the descriptor does. Addresses are in their plain form: IPv4 is never mapped into
/// IPv6.
pub trait Udp: AsFd + Send + Sync + 'static {
    /// Sends `payload` along `path`, cut into datagrams of `segment` bytes if given, with `class`
    /// in their IP headers. Datagrams leave whole or not at all.
    fn send_as(
        &self,
        path: &Path,
        payload: &[u8],
        segment: Option<u16>,
        class: TrafficClass,
    ) -> io::Result<()>;

    /// [`Udp::send_as`] with the default class.
    fn send(&self, path: &Path, payload: &[u8], segment: Option<u16>) -> io::Result<()> {
        self.send_as(path, payload, segment, TrafficClass::default())
    }

    /// As [`Udp::send`] with one datagram, and certainly not while [`Udp::send_in_fragments`]
    /// allows fragments: a padded probe proves the path MTU.
    fn send_unfragmented(&self, path: &Path, payload: &[u8]) -> io::Result<()>;

    /// Sends one datagram that is longer than the path takes in IP fragments. `id` identifies its
    /// fragments and must not repeat within seconds.
    fn send_in_fragments(
        &self,
        path: &Path,
        payload: &[u8],
        id: u32,
        class: TrafficClass,
    ) -> io::Result<()>;

    /// Receives one datagram, or several of one length that the kernel has joined. `buffer` has
    /// 65,535 bytes, as many as the kernel joins. Error: `WouldBlock` if there is none.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Metadata>;

    /// The time now. One clock for all sockets of a process: budgets outlive the threads that read
    /// it.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// What is known about received datagrams besides their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes of all of them.
    pub len: usize,
    /// Address and port of the sender.
    pub from: SocketAddr,
    /// The local address that they were sent to, if the kernel says so.
    pub to: Option<IpAddr>,
    /// Length of each datagram but the last, if there are several.
    pub segment: Option<usize>,
    /// The two ECN bits of their IP headers (RFC 3168, section 5).
    pub ecn: Option<u8>,
    /// Datagrams that the kernel dropped since the previous receive, because the socket's buffer
    /// was full.
    pub lost: u32,
}

impl Metadata {
    /// One datagram of `len` bytes.
    pub(crate) fn new(len: usize, from: SocketAddr) -> Metadata {
        Metadata {
            len,
            from,
            to: None,
            segment: None,
            ecn: None,
            lost: 0,
        }
    }
}

/// [`Udp::send_as`] along the path of `session`. If the path's local address is no longer this
/// host's, the kernel chooses the source from now on; the peer will challenge the new address.
pub(crate) fn send_along<U: Udp>(
    udp: &U,
    session: &Outgoing,
    payload: &[u8],
    segment: Option<u16>,
    class: TrafficClass,
) -> io::Result<()> {
    let path = session.path();
    let sent = udp.send_as(&path, payload, segment, class);

    let Err(error) = &sent else { return sent };
    if path.local().is_none() || !is_foreign_source(error) {
        return sent;
    }

    let any_source = Path::new(path.remote(), None);
    udp.send_as(&any_source, payload, segment, class)?;
    session.set_path(any_source);
    Ok(())
}

/// True for the errors that a source address which is not this host's may cause.
fn is_foreign_source(error: &io::Error) -> bool {
    // EINVAL: IPv6, and IPv4 before Linux 5.2; ENETUNREACH: IPv4. EADDRNOTAVAIL is what bind(2)
    // says, and would be the natural choice of a later kernel.
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::ENETUNREACH | libc::EADDRNOTAVAIL)
    )
}

/// Why datagrams are dropped whose send has failed with `error`; `None` if none is.
pub(crate) fn drop_reason(error: &io::Error) -> Option<DropReason> {
    match error.raw_os_error() {
        // An ICMP error that an earlier datagram has caused.
        Some(libc::ECONNREFUSED) => None,
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Some(DropReason::SocketFull),
        Some(libc::EMSGSIZE) => Some(DropReason::TooBig),
        _ => Some(DropReason::Unreachable),
    }
}
