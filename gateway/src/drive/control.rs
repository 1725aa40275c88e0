//! [`Control`]: is anything still coming through a session's control stream? The data path finds a new address of
//! its own; QUIC follows only where the one who moved has dialled. Elsewhere the connection falls silent and ends by
//! its idle timeout: who notices before has time to replace the session first.

use std::time::{Duration, Instant};

use quinn::Connection;

use crate::host::links::Links;

/// Silence that says so: longer than keep-alives and their repetitions take, half of the idle timeout.
const SILENCE: Duration = Duration::from_secs(5);

/// When a connection was last heard.
#[derive(Debug)]
pub(super) struct Control {
    frames: u64,
    heard: Instant,
    /// The address that it is used from was seen on an interface of this host.
    at_home: bool,
}

impl Control {
    /// Of a new connection.
    pub(super) fn new(connection: &Connection, links: &Links, now: Instant) -> Control {
        Control {
            frames: 0,
            heard: now,
            at_home: is_here(connection, links),
        }
    }

    /// True if the peer has said nothing for long, acknowledgements included, or the address that QUIC speaks from
    /// was taken from this host. Asked now and then.
    pub(super) fn is_stranded(
        &mut self,
        connection: &Connection,
        links: &Links,
        now: Instant,
    ) -> bool {
        let received = connection.stats().frame_rx;
        let silent = self.hear(received.acks + received.ping + received.stream, now);
        // An address that no interface bears may be routed here all the same.
        let here = is_here(connection, links);
        self.at_home |= here;
        silent || (self.at_home && !here)
    }

    fn hear(&mut self, frames: u64, now: Instant) -> bool {
        if frames != self.frames {
            (self.frames, self.heard) = (frames, now);
        }
        now.saturating_duration_since(self.heard) >= SILENCE
    }
}

/// True if the address that `connection` is used from is on an interface of this host.
fn is_here(connection: &Connection, links: &Links) -> bool {
    connection
        .local_ip()
        .is_some_and(|local| links.have(local.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_frames_end_a_silence() {
        let start = Instant::now();
        let mut control = Control {
            frames: 0,
            heard: start,
            at_home: false,
        };
        let mut hear = |seconds, frames| control.hear(frames, start + Duration::from_secs(seconds));
        assert!(!hear(0, 3) && !hear(4, 3) && hear(5, 3) && hear(6, 3));
        assert!(!hear(7, 4) && !hear(11, 4) && hear(12, 4));
    }
}
