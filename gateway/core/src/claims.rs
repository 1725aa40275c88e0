//! [`Claims`]: what a peer announced on one session, and which of it was admitted.
//!
//! Claims belong to the session on which they came. A new session starts without any and the peer
//! announces everything on it, so that messages of two sessions of a tunnel never mix. Refused
//! claims are held too (up to the cap): a change of membership may admit them.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::Prefix;

use crate::message::{MAX_PREFIXES, Refuse, RefuseReason};

/// Most claims of one session. One `Refuse` can name all of them.
const MAX_CLAIMS: usize = MAX_PREFIXES;

/// The decision of the import policy ([`crate::rib::admit`]) about one claim.
pub(crate) type Admission = Result<(), RefuseReason>;

#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The peer is a gateway of our site that passes packets on. What it reaches of other sites
    /// follows its records; where ours lack a prefix, that difference is reported, and not each
    /// refused claim.
    pub(crate) is_of_sibling: bool,
    /// Serial of the last announcement or withdrawal; `None` before the first.
    serial: Option<u64>,
    held: BTreeMap<Prefix, Admission>,
    /// Why the last message was refused as a whole, or in part for the cap.
    whole: Option<RefuseReason>,
    /// The refusal that the peer was sent last.
    sent: Refuse,
}

impl Claims {
    /// True once the peer has announced what it serves.
    pub(crate) fn announced(&self) -> bool {
        self.serial.is_some()
    }

    pub(crate) fn admitted(&self) -> impl Iterator<Item = Prefix> {
        let admitted = self.held.iter().filter(|(_, admission)| admission.is_ok());
        admitted.map(|(prefix, _)| *prefix)
    }

    pub(crate) fn refused(&self) -> BTreeMap<Prefix, RefuseReason> {
        let held = self.held.iter();
        let refused = held.filter_map(|(prefix, admission)| Some((*prefix, admission.err()?)));

        refused
            .filter(|(_, reason)| {
                let is_unknown = matches!(
                    reason,
                    RefuseReason::NotAuthorized | RefuseReason::Conflicted
                );
                !(self.is_of_sibling && is_unknown)
            })
            .collect()
    }

    pub(crate) fn announce(
        &mut self,
        serial: u64,
        prefixes: BTreeSet<Prefix>,
        admit: impl Fn(&Prefix) -> Admission,
    ) {
        if !self.advance(serial) {
            return;
        }

        for prefix in prefixes {
            // A claim that is held already may be repeated beyond the cap.
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

    /// An announcement or withdrawal could not be read. Its prefixes are unknown, so that
    /// everything counts as withdrawn (RFC 7606, section 2).
    pub(crate) fn malformed(&mut self) {
        // It counts as an announcement: the peer has spoken, and routes may move to the session.
        self.serial.get_or_insert(0);
        self.held.clear();
        self.whole = Some(RefuseReason::Malformed);
    }

    /// Applies the import policy again, after the membership has changed.
    pub(crate) fn reevaluate(&mut self, admit: impl Fn(&Prefix) -> Admission) {
        for (prefix, admission) in &mut self.held {
            *admission = admit(prefix);
        }
    }

    /// Everything that is refused, if that differs from what the peer was sent last.
    pub(crate) fn pending_refusal(&mut self) -> Option<Refuse> {
        let refusal = Refuse {
            whole: self.whole,
            refused: self.refused(),
        };
        if refusal == self.sent {
            return None;
        }

        self.sent = refusal.clone();
        Some(refusal)
    }

    /// Takes the serial of a message; false if the message is older than the last.
    fn advance(&mut self, serial: u64) -> bool {
        // Equal serials are accepted: a long list may come in several messages.
        if self.serial.is_some_and(|last| serial < last) {
            self.whole = Some(RefuseReason::OldSerial);
            return false;
        }

        self.serial = Some(serial);
        self.whole = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> BTreeSet<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn only_ten(prefix: &Prefix) -> Admission {
        let ten: Prefix = "10.0.0.0/8".parse().unwrap();
        if ten.covers(prefix) {
            Ok(())
        } else {
            Err(RefuseReason::NotAuthorized)
        }
    }

    fn admitted(claims: &Claims) -> BTreeSet<Prefix> {
        claims.admitted().collect()
    }

    #[test]
    fn admits_authorized_claims_and_refuses_the_rest_once() {
        let mut claims = Claims::default();
        claims.announce(1, prefixes(&["10.1.0.0/16", "11.0.0.0/16"]), only_ten);
        assert_eq!(admitted(&claims), prefixes(&["10.1.0.0/16"]));
        let answer = claims.pending_refusal().unwrap();
        assert_eq!(
            answer.refused.into_iter().collect::<Vec<_>>(),
            [("11.0.0.0/16".parse().unwrap(), RefuseReason::NotAuthorized)]
        );
        assert_eq!(claims.pending_refusal(), None);

        claims.withdraw(2, &prefixes(&["11.0.0.0/16"]));
        assert_eq!(
            claims.pending_refusal(),
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
            claims.pending_refusal().unwrap().whole,
            Some(RefuseReason::OldSerial)
        );
    }

    #[test]
    fn holds_no_more_claims_than_the_cap() {
        let mut claims = Claims::default();
        for third in 0..8 {
            let hosts = (0..=255).map(|last| Prefix::host([10, 0, third, last].into()));
            claims.announce(1, hosts.collect(), only_ten);
        }

        assert_eq!(claims.admitted().count(), MAX_CLAIMS);
        assert_eq!(
            claims.pending_refusal().unwrap().whole,
            Some(RefuseReason::TooMany)
        );
    }

    #[test]
    fn a_change_of_membership_admits_and_refuses_what_is_held() {
        let mut claims = Claims::default();
        claims.announce(1, prefixes(&["10.1.0.0/16", "11.0.0.0/16"]), only_ten);

        claims.reevaluate(|prefix| match only_ten(prefix) {
            Ok(()) => Err(RefuseReason::NotAuthorized),
            Err(_) => Ok(()),
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
            claims.pending_refusal().unwrap().whole,
            Some(RefuseReason::Malformed)
        );
    }
}
