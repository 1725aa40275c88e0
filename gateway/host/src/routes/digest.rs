//! [`RouteDigest`]: a digest of all rules of this host and all routes of our table, so that an
//! unchanged state costs only microseconds each second.

use std::io;

use ringway_config::Routes as Numbers;
use rtnetlink::IpVersion;
use rtnetlink::packet_core::NLM_F_DUMP;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use super::message;
use crate::netlink::raw::{Answer, RawSocket, digest_of};

/// rtnetlink(7).
const RTM_GETROUTE: u16 = 26;
/// linux/rtnetlink.h.
const RTM_GETRULE: u16 = 34;

/// Computes the digest.
#[derive(Debug)]
pub(super) struct RouteDigest {
    socket: RawSocket,
}

impl RouteDigest {
    pub(super) fn open() -> io::Result<RouteDigest> {
        Ok(RouteDigest {
            socket: RawSocket::open(NETLINK_ROUTE)?,
        })
    }

    /// The current digest. `None` if something changed while it was read.
    pub(super) fn read(
        &mut self,
        numbers: &Numbers,
        families: &[IpVersion],
    ) -> io::Result<Option<u64>> {
        let mut digest: u64 = 0;
        let mut is_whole = true;

        for family in families {
            let family = match family {
                IpVersion::V4 => AddressFamily::Inet,
                IpVersion::V6 => AddressFamily::Inet6,
            };
            let mut rules = RuleMessage::default();
            rules.header.family = family;

            for (kind, request) in [
                (RTM_GETRULE, emit(&rules)),
                (RTM_GETROUTE, emit(&message::filter(numbers, family))),
            ] {
                let answer = self.socket.ask(kind, NLM_F_DUMP, &request, |_, message| {
                    // The order matters: of two rules with the same priority, the first decides.
                    digest = digest.rotate_left(7).wrapping_add(digest_of(message));
                });
                match answer {
                    Ok(answer) => is_whole &= answer == Answer::Whole,
                    // A table exists only once it has a route.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    Err(error) => return Err(error),
                }
                digest = digest.rotate_left(7).wrapping_add(u64::from(kind));
            }
        }

        Ok(is_whole.then_some(digest))
    }
}

fn emit(message: &impl rtnetlink::packet_core::Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];

    message.emit(&mut bytes);
    bytes
}
