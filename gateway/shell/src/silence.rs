//! [`Silence`]: does anything still come in on a session's control stream?
//!
//! The data path finds a peer's new address by itself. QUIC follows only if the end that moved is
//! the one that dialled; otherwise the connection falls silent and ends by its idle timeout.
//! Noticing that earlier leaves time to replace the session first.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ringway_intent::Links;

use crate::input::Activity;

/// Longer than QUIC's keep-alives and their repetitions take, and half of its idle timeout.
const SILENCE: Duration = Duration::from_secs(5);

/// When a connection last showed that its peer is alive.
#[derive(Debug)]
pub(crate) struct Silence {
    frames: u64,
    heard: Instant,
    /// The local address was once seen on an interface of this host. An address that never was may
    /// be routed here all the same.
    was_local: bool,
}

impl Silence {
    /// Of a connection that was just made from `local`.
    pub(crate) fn new(local: Option<IpAddr>, links: &Links, now: Instant) -> Silence {
        Silence {
            frames: 0,
            heard: now,
            was_local: is_local(local, links),
        }
    }

    /// True if nothing has come in for a while, or the local address was taken from this host.
    pub(crate) fn is_silent(&mut self, activity: &Activity, links: &Links, now: Instant) -> bool {
        // QUIC counts frames that it could decrypt: a stranger's packets end no silence.
        if activity.frames != self.frames {
            self.frames = activity.frames;
            self.heard = now;
        }

        let is_local = is_local(activity.local, links);
        self.was_local |= is_local;

        let since = now.saturating_duration_since(self.heard);
        since >= SILENCE || (self.was_local && !is_local)
    }
}

fn is_local(address: Option<IpAddr>, links: &Links) -> bool {
    address.is_some_and(|address| links.have(address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use ringway_core::ConnId;
    use ringway_intent::Address;

    use super::*;

    fn activity(frames: u64, local: Option<IpAddr>) -> Activity {
        Activity {
            conn: ConnId(1),
            frames,
            local,
        }
    }

    #[test]
    fn only_new_frames_end_a_silence() {
        let start = Instant::now();
        let links = Links::default();
        let mut silence = Silence::new(None, &links, start);
        let mut is_silent = |seconds, frames| {
            let now = start + Duration::from_secs(seconds);
            silence.is_silent(&activity(frames, None), &links, now)
        };

        assert!(!is_silent(0, 3) && !is_silent(4, 3) && is_silent(5, 3) && is_silent(6, 3));
        assert!(!is_silent(7, 4) && !is_silent(11, 4) && is_silent(12, 4));
    }

    #[test]
    fn an_address_that_the_host_loses_is_silence_and_one_that_it_never_had_is_not() {
        let now = Instant::now();
        let local: IpAddr = "192.0.2.7".parse().unwrap();
        let here = Links::from_addresses([Address {
            interface: "eth0".into(),
            own: local,
            network: "192.0.2.0/24".parse().unwrap(),
            preferred: true,
        }]);

        let mut taken = Silence::new(Some(local), &here, now);
        assert!(!taken.is_silent(&activity(1, Some(local)), &here, now));
        assert!(taken.is_silent(&activity(1, Some(local)), &Links::default(), now));

        let mut routed = Silence::new(Some(local), &Links::default(), now);
        assert!(!routed.is_silent(&activity(1, Some(local)), &Links::default(), now));
    }
}
