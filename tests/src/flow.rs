//! [`Flow`]: pings at a steady rate, and the number of lost ones.

use nix::sys::signal::Signal;

use crate::scene::eventually;
use crate::{Background, Scene};

/// Running pings.
pub struct Flow {
    ping: Background,
}

/// Result of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Replies that arrived, without duplicates.
    pub replies: usize,
    /// Pings without a reply among those sent before the last answered one.
    pub lost: usize,
}

impl Flow {
    /// Number of pings in a second.
    pub const RATE: usize = 20;

    /// Starts to ping `to` from `from`; the first reply has arrived when this returns.
    pub fn start(scene: &Scene, from: &str, to: &str) -> Flow {
        let label = format!("flow-{from}-{to}");
        let ping = Background::start(scene, from, &label, "ping", &["-n", "-i", "0.05", to]);
        ping.wait_for("icmp_seq=");
        Flow { ping }
    }

    /// Number of replies so far.
    pub fn replies(&self) -> usize {
        sequence_numbers(&self.ping.printed()).count()
    }

    /// Ends the pings.
    pub fn stop(self) -> Tally {
        tally(&self.ping.stop(Signal::SIGINT))
    }

    /// Waits for half a second of replies and ends the pings; fails the test if one was lost.
    pub fn assert_none_lost(self, what: &str) {
        let tally = self.finish();
        assert_eq!(tally.lost, 0, "{what}: {tally:?}");
    }

    /// Waits for half a second of replies and ends the pings.
    pub fn finish(self) -> Tally {
        // A loss shows only in front of a later reply.
        let replies = self.replies();
        eventually("further replies", 10, || {
            self.replies() >= replies + Flow::RATE / 2
        });

        self.stop()
    }
}

/// A ping that was under way when the flow ended is not lost: only gaps before the last reply
/// count.
fn tally(printed: &str) -> Tally {
    let replies = sequence_numbers(printed).count();
    let last = sequence_numbers(printed).max().unwrap_or(0);
    Tally {
        replies,
        lost: last - replies,
    }
}

fn sequence_numbers(printed: &str) -> impl Iterator<Item = usize> {
    printed
        .lines()
        .filter(|line| line.contains("bytes from") && !line.contains("DUP!"))
        .filter_map(|line| {
            let (_, rest) = line.split_once("icmp_seq=")?;
            rest.split(' ').next()?.parse().ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gaps_before_the_last_reply_are_losses() {
        let printed = "PING peer0.org1 (10.10.1.11) 56(84) bytes of data.\n\
                       64 bytes from 10.10.1.11: icmp_seq=1 ttl=62 time=0.2 ms\n\
                       64 bytes from 10.10.1.11: icmp_seq=4 ttl=62 time=0.2 ms\n\
                       From 10.10.0.1 icmp_seq=5 Destination Host Unreachable\n";
        let expected = Tally {
            replies: 2,
            lost: 2,
        };
        assert_eq!(tally(printed), expected);
    }
}
