//! [`Dialled`]: what came of the last dial of each endpoint, for operators. The dials write it, the
//! report reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ringway_config::{Endpoint, GatewayId};
use ringway_core::DialError;

/// What stands for each end of a dial that is no failure.
const CONNECTED: &str = "connected";
const NO_ANSWER: &str = "no answer so far";
const OUTRUN: &str = "given up: another endpoint answered first";
const NOT_NEEDED: &str = "given up: the peer has connected first";

/// The results, by peer and endpoint. Clones share them. Only endpoints of records in force are
/// dialled, and [`Dialled::retain`] forgets the others, so that the records bound their number.
#[derive(Debug, Clone, Default)]
pub struct Dialled(Arc<Mutex<BTreeMap<GatewayId, BTreeMap<String, DialResult>>>>);

/// What came of the last dial of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialResult {
    /// When.
    pub at: SystemTime,
    /// `connected`, or what went wrong.
    pub text: String,
}

impl Dialled {
    /// The first address of `endpoint` is dialled. What was known of a failure stays until it is
    /// known again.
    pub(super) fn begun(&self, peer: &GatewayId, endpoint: &Endpoint) {
        let known = self.result(peer, endpoint);
        // A failure says more than that it is tried again.
        let is_stale =
            known.is_none_or(|known| [CONNECTED, OUTRUN, NOT_NEEDED].contains(&&*known.text));

        if is_stale {
            self.note(peer, endpoint, NO_ANSWER.to_owned());
        }
    }

    /// A handshake with an address of `endpoint` is through: the others of `peer` are given up.
    pub(super) fn connected(&self, peer: &GatewayId, endpoint: &Endpoint) {
        self.note(peer, endpoint, CONNECTED.to_owned());

        // Only one of them was needed; the others have not failed.
        self.settle(peer, OUTRUN);
    }

    /// The dial of `peer` ends without a result: a tunnel that the peer dialled is there.
    pub(super) fn abandoned(&self, peer: &GatewayId) {
        self.settle(peer, NOT_NEEDED);
    }

    /// Says why what has not answered yet need not answer any more.
    fn settle(&self, peer: &GatewayId, reason: &str) {
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for result in results.entry(peer.clone()).or_default().values_mut() {
            if result.text == NO_ANSWER {
                reason.clone_into(&mut result.text);
            }
        }
    }

    /// An address of `endpoint` came to nothing.
    pub(super) fn failed(&self, peer: &GatewayId, endpoint: &Endpoint, error: &DialError) {
        self.note(peer, endpoint, error.to_string());
    }

    fn note(&self, peer: &GatewayId, endpoint: &Endpoint, text: String) {
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = DialResult {
            at: SystemTime::now(),
            text,
        };

        results
            .entry(peer.clone())
            .or_default()
            .insert(endpoint.to_string(), result);
    }

    /// What came of `endpoint` of `peer`; `None` if it was not dialled since the start.
    pub fn result(&self, peer: &GatewayId, endpoint: &Endpoint) -> Option<DialResult> {
        let results = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        results.get(peer)?.get(&endpoint.to_string()).cloned()
    }

    /// Forgets every endpoint that `is_known` does not know.
    pub fn retain(&self, is_known: impl Fn(&GatewayId, &str) -> bool) {
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        results.retain(|peer, endpoints| {
            endpoints.retain(|endpoint, _| is_known(peer, endpoint));
            !endpoints.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_of_each_endpoint_is_kept_while_it_is_in_a_record() {
        let dialled = Dialled::default();
        let peer: GatewayId = "gw.beta".parse().unwrap();
        let [first, second]: [Endpoint; 2] =
            ["192.0.2.1:4600", "192.0.2.2:4600"].map(|text| text.parse().unwrap());
        let text = |endpoint| dialled.result(&peer, endpoint).map(|result| result.text);

        dialled.begun(&peer, &first);
        dialled.begun(&peer, &second);
        assert_eq!(text(&second).as_deref(), Some(NO_ANSWER));
        dialled.connected(&peer, &first);
        assert_eq!(text(&first).as_deref(), Some(CONNECTED));
        assert_eq!(text(&second).as_deref(), Some(OUTRUN));

        dialled.begun(&peer, &second);
        dialled.abandoned(&peer);
        assert_eq!(text(&second).as_deref(), Some(NOT_NEEDED));
        assert_eq!(text(&first).as_deref(), Some(CONNECTED));

        let error = DialError::Handshake(ringway_core::ConnectionError::Reset);
        dialled.failed(&peer, &first, &error);
        dialled.begun(&peer, &first);
        assert_eq!(text(&first).as_deref(), Some("peer has restarted"));

        dialled.retain(|_, endpoint| endpoint == "192.0.2.2:4600");
        assert_eq!(text(&first), None);
        dialled.retain(|_, _| false);
        assert!(dialled.0.lock().unwrap().is_empty());
    }
}
