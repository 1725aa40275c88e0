//! [`Challenges`]: addresses that a peer was asked to prove itself at, and the token that each must
//! echo.
//!
//! Several at once: a peer may change its address again before the first change is settled, and a
//! stranger who forwards its packets from somewhere else must not make us forget the peer's
//! address. An address keeps its token until it has answered, so that on a long path the echo of an
//! earlier challenge counts too.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Set in the tokens of challenges, and in no token of the core's probes.
const CHALLENGE: u64 = 1 << 63;

/// Addresses of one session that may be asked at a time; a new one replaces the oldest.
const MAX_ADDRESSES: usize = 4;

/// The challenges of one session that have no answer yet, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Challenges(VecDeque<(SocketAddr, u64)>);

impl Challenges {
    /// True if an echoed token is a challenge's, of any session.
    pub(crate) fn is_token(token: u64) -> bool {
        token & CHALLENGE != 0
    }

    /// The token that `address` must echo. A new one is made of `random`.
    pub(crate) fn token(&mut self, address: SocketAddr, random: u64) -> u64 {
        // Several packets arrive from a new address before its answer does: one token serves all.
        if let Some((_, token)) = self.0.iter().find(|(asked, _)| *asked == address) {
            return *token;
        }

        let token = random | CHALLENGE;
        // Bounded: anyone who forwards the peer's packets can have them come from many addresses.
        self.0.truncate(MAX_ADDRESSES - 1);
        self.0.push_front((address, token));
        token
    }

    /// True if `address` has echoed its token. Every challenge is settled then.
    pub(crate) fn is_answered(&mut self, address: SocketAddr, token: u64) -> bool {
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
    fn each_address_proves_itself_by_its_token_and_once() {
        let mut challenges = Challenges::default();
        let first = challenges.token(address(1), 5);
        let second = challenges.token(address(2), 6);
        assert!(Challenges::is_token(first) && first != second);

        assert!(!challenges.is_answered(address(1), second));
        assert!(!challenges.is_answered(address(3), first));
        assert_eq!(
            challenges.token(address(1), 7),
            first,
            "an address keeps its token"
        );

        assert!(challenges.is_answered(address(1), first));
        assert!(!challenges.is_answered(address(1), first));
        assert!(!challenges.is_answered(address(2), second));
    }

    #[test]
    fn strangers_addresses_replace_the_oldest_only() {
        let mut challenges = Challenges::default();
        let tokens: Vec<_> = (0..6)
            .map(|port| challenges.token(address(port), port.into()))
            .collect();

        assert!(!challenges.is_answered(address(1), tokens[1]));
        assert!(challenges.is_answered(address(2), tokens[2]));
    }
}
