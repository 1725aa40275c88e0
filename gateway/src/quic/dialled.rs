//! [`Dialled`]: the result of the last dial of each endpoint, for operators. Dials write it, the
//! report reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ringway_config::{Endpoint, GatewayId};
use ringway_core::DialError;

/// Texts for ends of a dial that are not failures.
const CONNECTED: &str = "connected";
const NO_ANSWER: &str = "no answer so far";
const OUTRUN: &str = "given up: another endpoint answered first";
const NOT_NEEDED: &str = "given up: the peer has connected first";

/// The results, by peer and endpoint. Clones share them. Only endpoints of records in force are
/// dialled and [`Dialled::retain`] drops the others, so the number is bounded.
#[derive(Debug, Clone, Default)]
pub struct Dialled(Arc<Mutex<BTreeMap<GatewayId, BTreeMap<String, DialResult>>>>);

/// The result of the last dial of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialResult {
    /// When it was dialled.
    pub at: SystemTime,
    /// `connected`, or the error.
    pub text: String,
}

impl Dialled {
    /// Records that `endpoint` is being dialled. A known failure stays until there is a new result.
    pub(super) fn begun(&self, peer: &GatewayId, endpoint: &Endpoint) {
        let known = self.result(peer, endpoint);
        // A failure says more than that another attempt is running.
        let is_stale =
            known.is_none_or(|known| [CONNECTED, OUTRUN, NOT_NEEDED].contains(&&*known.text));

        if is_stale {
            self.record(peer, endpoint, NO_ANSWER.to_owned());
        }
    }

    /// Records a completed handshake with `endpoint`. Attempts with the peer's other endpoints are
    /// cancelled.
    pub(super) fn connected(&self, peer: &GatewayId, endpoint: &Endpoint) {
        self.record(peer, endpoint, CONNECTED.to_owned());

        // Only one was needed; the others have not failed.
        self.set_unanswered(peer, OUTRUN);
    }

    /// Records that the dial of `peer` was cancelled, because the peer has dialled us.
    pub(super) fn abandoned(&self, peer: &GatewayId) {
        self.set_unanswered(peer, NOT_NEEDED);
    }

    /// Records `reason` for all endpoints of `peer` that have not answered yet.
    fn set_unanswered(&self, peer: &GatewayId, reason: &str) {
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for result in results.entry(peer.clone()).or_default().values_mut() {
            if result.text == NO_ANSWER {
                reason.clone_into(&mut result.text);
            }
        }
    }

    /// Records the failure of an address of `endpoint`.
    pub(super) fn failed(&self, peer: &GatewayId, endpoint: &Endpoint, error: &DialError) {
        self.record(peer, endpoint, error.to_string());
    }

    fn record(&self, peer: &GatewayId, endpoint: &Endpoint, text: String) {
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

    /// The last result of `endpoint` of `peer`; `None` if it was not dialled since the start.
    pub fn result(&self, peer: &GatewayId, endpoint: &Endpoint) -> Option<DialResult> {
        let results = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        results.get(peer)?.get(&endpoint.to_string()).cloned()
    }

    /// Drops the endpoints for which `is_known` is false.
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
