//! [`Flow`]: pings at a steady rate, and how many of them were lost.

use nix::sys::signal::Signal;

use crate::{Background, Scene};

/// Running pings.
pub struct Flow {
    ping: Background,
}

/// What became of a flow's pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many replies came.
    pub replies: usize,
    /// How many pings before the last reply had none.
    pub lost: usize,
}

impl Flow {
    /// Pings `to` from `from` twenty times a second; the first reply has come when this returns.
    pub fn start(scene: &Scene, from: &str, to: &str) -> Flow {
        let label = format!("flow-{from}-{to}");
        let ping = Background::start(scene, from, &label, "ping", &["-n", "-i", "0.05", to]);
        ping.wait_for("icmp_seq=");
        Flow { ping }
    }

    /// How many replies have come.
    pub fn replies(&self) -> usize {
        sequence(&self.ping.printed()).count()
    }

    /// Ends it.
    pub fn stop(self) -> Tally {
        tally(&self.ping.stop(Signal::SIGINT))
    }
}

/// A ping still under way when the flow ended is not lost: only gaps before the last reply count.
fn tally(printed: &str) -> Tally {
    let replies = sequence(printed).count();
    Tally {
        replies,
        lost: sequence(printed).max().unwrap_or(0) - replies,
    }
}

fn sequence(printed: &str) -> impl Iterator<Item = usize> {
    let replies = printed
        .lines()
        .filter(|line| line.contains("bytes from") && !line.contains("DUP!"));
    replies.filter_map(|line| {
        line.split("icmp_seq=")
            .nth(1)?
            .split(' ')
            .next()?
            .parse()
            .ok()
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
        assert_eq!(
            tally(printed),
            Tally {
                replies: 2,
                lost: 2
            }
        );
    }
}
