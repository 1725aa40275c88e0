//! [`Challenges`]: the addresses that a peer was asked to prove itself at, and what each must echo.
//!
//! Several at once: a peer may change its address again before the first change is settled, and a stranger who
//! sends its packets on from elsewhere must not make us forget where the peer is. An address is asked with the same
//! token until it has answered: on a long way the echo of an earlier challenge counts, too.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Probes that challenge have this bit set; the core's have not.
const CHALLENGE: u64 = 1 << 63;

/// Addresses of one session that may be asked at a time; a new one takes the place of the oldest.
const MOST: usize = 4;

/// What one session's peer was asked.
#[derive(Debug, Default)]
pub(super) struct Challenges(VecDeque<(SocketAddr, u64)>);

impl Challenges {
    /// True if the token of an echo is that of a challenge, whoever made it.
    pub(super) fn has_made(token: u64) -> bool {
        token & CHALLENGE != 0
    }

    /// What `address` must echo; a new challenge is made of `random`, which nobody can guess.
    pub(super) fn token(&mut self, address: SocketAddr, random: u64) -> u64 {
        if let Some((_, token)) = self.0.iter().find(|(asked, _)| *asked == address) {
            return *token;
        }
        self.0.truncate(MOST - 1);
        self.0.push_front((address, random | CHALLENGE));
        random | CHALLENGE
    }

    /// True if `address` has echoed what it was asked; no challenge is open then.
    pub(super) fn is_answered(&mut self, address: SocketAddr, token: u64) -> bool {
        let answered = self.0.contains(&(address, token));
        if answered {
            self.0.clear();
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn each_address_proves_itself_by_its_own_token_and_once() {
        let mut challenges = Challenges::default();
        let (first, second) = (
            challenges.token(address(1), 5),
            challenges.token(address(2), 6),
        );
        assert!(Challenges::has_made(first) && first != second);
        assert!(
            !challenges.is_answered(address(1), second)
                && !challenges.is_answered(address(3), first)
        );
        assert_eq!(
            challenges.token(address(1), 7),
            first,
            "asked again, the same is asked"
        );
        assert!(challenges.is_answered(address(1), first));
        assert!(
            !challenges.is_answered(address(1), first)
                && !challenges.is_answered(address(2), second)
        );
    }

    #[test]
    fn strangers_addresses_push_out_the_oldest_only() {
        let mut challenges = Challenges::default();
        let tokens: Vec<_> = (0..6)
            .map(|port| challenges.token(address(port), port.into()))
            .collect();
        assert!(!challenges.is_answered(address(1), tokens[1]));
        assert!(challenges.is_answered(address(2), tokens[2]));
    }
}
