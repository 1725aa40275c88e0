//! [`Claims`]: what a peer announced on one session, and which of it was admitted.
//!
//! Claims belong to the session they came on: a new session starts with none and is told all, so that
//! messages of two sessions of a tunnel never mix. Refused claims are kept, too (up to the cap): a change
//! of membership may admit them.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::Prefix;

use crate::message::MAX_PREFIXES;
use crate::{Refuse, RefuseReason};

/// Most claims of one session; one `Refuse` can name them all.
const MAX_CLAIMS: usize = MAX_PREFIXES;

/// The import policy as these claims see it.
pub(crate) type Verdict = Result<(), RefuseReason>;

#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Of the last announcement or withdrawal; `None` before the first announcement.
    serial: Option<u64>,
    held: BTreeMap<Prefix, Verdict>,
    whole: Option<RefuseReason>,
    answered: Refuse,
}

impl Claims {
    /// True once the peer has said what it serves.
    pub(crate) fn announced(&self) -> bool {
        self.serial.is_some()
    }

    pub(crate) fn admitted(&self) -> impl Iterator<Item = Prefix> {
        self.held
            .iter()
            .filter(|(_, verdict)| verdict.is_ok())
            .map(|(prefix, _)| *prefix)
    }

    pub(crate) fn refused(&self) -> BTreeMap<Prefix, RefuseReason> {
        self.held
            .iter()
            .filter_map(|(prefix, verdict)| Some((*prefix, verdict.err()?)))
            .collect()
    }

    pub(crate) fn announce(
        &mut self,
        serial: u64,
        prefixes: BTreeSet<Prefix>,
        admit: impl Fn(&Prefix) -> Verdict,
    ) {
        if !self.advance(serial) {
            return;
        }
        for prefix in prefixes {
            if self.held.len() == MAX_CLAIMS && !self.held.contains_key(&prefix) {
                self.whole = Some(RefuseReason::TooMany);
                continue;
            }
            self.held.insert(prefix, admit(&prefix));
        }
    }

    pub(crate) fn withdraw(&mut self, serial: u64, prefixes: &BTreeSet<Prefix>) {
        if self.advance(serial) {
            self.held.retain(|prefix, _| !prefixes.contains(prefix));
        }
    }

    /// What the unreadable message carried is unknown: everything is withdrawn (RFC 7606, section 2).
    pub(crate) fn malformed(&mut self) {
        self.serial.get_or_insert(0);
        self.held.clear();
        self.whole = Some(RefuseReason::Malformed);
    }

    /// The membership changed.
    pub(crate) fn judge_again(&mut self, admit: impl Fn(&Prefix) -> Verdict) {
        for (prefix, verdict) in &mut self.held {
            *verdict = admit(prefix);
        }
    }

    /// What the peer must be told: all that is refused, if that is news to it.
    pub(crate) fn answer(&mut self) -> Option<Refuse> {
        let answer = Refuse {
            whole: self.whole,
            refused: self.refused(),
        };
        if answer == self.answered {
            return None;
        }
        self.answered = answer.clone();
        Some(answer)
    }

    fn advance(&mut self, serial: u64) -> bool {
        if self.serial.is_some_and(|last| serial < last) {
            self.whole = Some(RefuseReason::OldSerial);
            return false;
        }
        (self.serial, self.whole) = (Some(serial), None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> BTreeSet<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn only_ten(prefix: &Prefix) -> Verdict {
        let ten: Prefix = "10.0.0.0/8".parse().unwrap();
        ten.covers(prefix)
            .then_some(())
            .ok_or(RefuseReason::NotAuthorized)
    }

    fn admitted(claims: &Claims) -> BTreeSet<Prefix> {
        claims.admitted().collect()
    }

    #[test]
    fn admits_what_it_may_and_answers_the_rest_once() {
        let mut claims = Claims::default();
        claims.announce(1, prefixes(&["10.1.0.0/16", "11.0.0.0/16"]), only_ten);
        assert_eq!(admitted(&claims), prefixes(&["10.1.0.0/16"]));
        let answer = claims.answer().unwrap();
        assert_eq!(
            answer.refused.into_iter().collect::<Vec<_>>(),
            [("11.0.0.0/16".parse().unwrap(), RefuseReason::NotAuthorized)]
        );
        assert_eq!(claims.answer(), None);
        claims.withdraw(2, &prefixes(&["11.0.0.0/16"]));
        assert_eq!(
            claims.answer(),
            Some(Refuse::default()),
            "an empty answer clears the last"
        );
    }

    #[test]
    fn refuses_an_announcement_older_than_the_last() {
        let mut claims = Claims::default();
        claims.withdraw(5, &prefixes(&["10.1.0.0/16"]));
        claims.announce(4, prefixes(&["10.1.0.0/16"]), only_ten);
        assert_eq!(admitted(&claims), prefixes(&[]));
        assert_eq!(
            claims.answer().unwrap().whole,
            Some(RefuseReason::OldSerial)
        );
    }

    #[test]
    fn holds_no_more_claims_than_the_cap() {
        let many = |third: u8| (0..=255).map(move |last| Prefix::host([10, 0, third, last].into()));
        let mut claims = Claims::default();
        for third in 0..8 {
            claims.announce(1, many(third).collect(), only_ten);
        }
        assert_eq!(claims.admitted().count(), MAX_CLAIMS);
        assert_eq!(claims.answer().unwrap().whole, Some(RefuseReason::TooMany));
    }

    #[test]
    fn a_change_of_membership_admits_and_refuses_what_is_held() {
        let mut claims = Claims::default();
        claims.announce(1, prefixes(&["10.1.0.0/16", "11.0.0.0/16"]), only_ten);
        claims.judge_again(|prefix| {
            only_ten(prefix)
                .err()
                .map_or(Err(RefuseReason::NotAuthorized), |_| Ok(()))
        });
        assert_eq!(admitted(&claims), prefixes(&["11.0.0.0/16"]));
    }

    #[test]
    fn an_unreadable_announcement_withdraws_everything() {
        let mut claims = Claims::default();
        claims.announce(1, prefixes(&["10.1.0.0/16"]), only_ten);
        claims.malformed();
        assert_eq!(admitted(&claims), prefixes(&[]));
        assert_eq!(
            claims.answer().unwrap().whole,
            Some(RefuseReason::Malformed)
        );
    }
}
