//! [`Session`] and [`Sessions`]: what the shell knows of each connection. Which of them carries a
//! tunnel is the mesh's to decide; connections and keys are the executor's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ringway_config::GatewayId;
use ringway_core::{ConnId, Lane, SessionIndex};
use ringway_intent::Links;

use crate::challenges::Challenges;
use crate::input::{Activity, Handshake};
use crate::silence::Silence;

/// Bytes that sealing adds to a packet: header and tag. The executor checks that it is the data
/// plane's.
pub const OVERHEAD: u16 = 32;

/// Bytes of a UDP header.
const UDP: u16 = 8;

/// The smallest MTU that IPv6 allows (RFC 8200, section 5).
const LEAST_MTU: u16 = 1280;

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: GatewayId,
    /// When the first certificate of the peer's chain expires: time since 1970, by the wall clock.
    pub(crate) expires: Duration,
    /// Where the data path finds the peer.
    remote: SocketAddr,
    /// Our index of each lane, once its opening keys are installed.
    indices: Vec<SessionIndex>,
    /// Sealing keys are installed.
    pub(crate) seals: bool,
    /// The certificate that we presented was replaced while the handshake was under way. The mesh
    /// learned of the replacement before it knew of this session.
    pub(crate) is_outdated: bool,
    challenges: Challenges,
    silence: Silence,
}

/// Every connection that the mesh knows of.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<ConnId, Session>);

impl Session {
    pub(crate) fn new(
        peer: GatewayId,
        expires: Duration,
        handshake: &Handshake,
        is_outdated: bool,
        links: &Links,
        now: Instant,
    ) -> Session {
        Session {
            peer,
            expires,
            remote: canonical(handshake.remote),
            indices: Vec::new(),
            seals: false,
            is_outdated,
            challenges: Challenges::default(),
            silence: Silence::new(handshake.local, links, now),
        }
    }

    pub(crate) fn open(&mut self, lanes: &[Lane]) {
        self.indices = lanes.iter().map(|lane| lane.index).collect();
    }

    pub(crate) fn opens(&self) -> bool {
        !self.indices.is_empty()
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The MTU of routes through this session, whose peer is reached by outer packets of `path_mtu`
    /// bytes.
    pub(crate) fn mtu(&self, path_mtu: u16) -> u32 {
        // RFC 791, section 3.1, and RFC 8200, section 3: headers without options or extensions.
        let ip = if self.remote.is_ipv4() { 20 } else { 40 };

        // Never below what IPv6 needs: what is then too long for the path goes in outer fragments.
        path_mtu
            .saturating_sub(ip + UDP + OVERHEAD)
            .max(LEAST_MTU)
            .into()
    }

    /// The token that `from` must echo, if the peer is not known to be there.
    pub(crate) fn challenge(&mut self, from: SocketAddr, random: u64) -> Option<u64> {
        // A packet may have been on its way while the peer's address was settled. And without
        // sealing keys there is nothing to make a challenge with.
        if !self.seals || from == self.remote {
            return None;
        }

        Some(self.challenges.token(from, random))
    }

    /// True if `from` has echoed the token of its challenge: the peer is there now.
    pub(crate) fn has_moved(&mut self, from: SocketAddr, token: u64) -> bool {
        let moved = self.challenges.is_answered(from, token);

        if moved {
            self.remote = canonical(from);
        }
        moved
    }

    pub(crate) fn is_silent(&mut self, activity: &Activity, links: &Links, now: Instant) -> bool {
        self.silence.is_silent(activity, links, now)
    }
}

impl Sessions {
    pub(crate) fn insert(&mut self, conn: ConnId, session: Session) {
        self.0.insert(conn, session);
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Session> {
        self.0.remove(&conn)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Session> {
        self.0.get(&conn)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.0.get_mut(&conn)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.0.iter().map(|(conn, session)| (*conn, session))
    }

    /// The session that one of our indices belongs to.
    pub(crate) fn by_index(&mut self, index: SessionIndex) -> Option<(ConnId, &mut Session)> {
        // A search through all sessions is fast enough: only a change of address needs it.
        self.0
            .iter_mut()
            .find(|(_, session)| session.indices.contains(&index))
            .map(|(conn, session)| (*conn, session))
    }

    /// Connections of the sessions that `chosen` picks.
    pub(crate) fn find(&self, chosen: impl Fn(&Session) -> bool) -> Vec<ConnId> {
        self.iter()
            .filter(|(_, session)| chosen(session))
            .map(|(conn, _)| conn)
            .collect()
    }

    /// The peers' addresses.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.0.values().map(|session| session.remote.ip()).collect()
    }
}

/// IPv4 addresses never appear mapped into IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use ringway_config::Digest;
    use ringway_core::{ExternalText, Role};

    use super::*;

    fn session(remote: &str) -> Session {
        let handshake = Handshake {
            role: Role::Accepter,
            dial: None,
            remote: remote.parse().unwrap(),
            local: None,
            rtt: Duration::ZERO,
            certificate: Digest::of(b"ours"),
            verdict: Err(ExternalText::new("not looked at")),
        };
        let peer = "gw.beta".parse().unwrap();

        Session::new(
            peer,
            Duration::MAX,
            &handshake,
            false,
            &Links::default(),
            Instant::now(),
        )
    }

    #[test]
    fn the_mtu_leaves_room_for_the_outer_headers_and_is_never_below_ipv6s_least() {
        assert_eq!(session("192.0.2.1:4600").mtu(1500), 1440);
        assert_eq!(session("[::ffff:192.0.2.1]:4600").mtu(1500), 1440);
        assert_eq!(session("[2001:db8::1]:4600").mtu(1500), 1420);
        assert_eq!(session("192.0.2.1:4600").mtu(1280), 1280);
    }

    #[test]
    fn a_peer_moves_when_its_new_address_answers_and_not_before() {
        let mut session = session("192.0.2.1:4600");
        let elsewhere: SocketAddr = "192.0.2.1:4601".parse().unwrap();
        assert_eq!(session.challenge(elsewhere, 1), None, "no keys to ask with");

        session.seals = true;
        assert_eq!(
            session.challenge("192.0.2.1:4600".parse().unwrap(), 1),
            None
        );
        let token = session.challenge(elsewhere, 1).unwrap();
        assert!(!session.has_moved(elsewhere, token ^ 1));
        assert!(session.has_moved(elsewhere, token));
        assert_eq!(session.challenge(elsewhere, 2), None, "the peer is there");
    }
}
