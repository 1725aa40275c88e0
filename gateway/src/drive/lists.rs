//! Checks the members' certificate revocation lists for age, and reports them.

use ringway_intent::Remedy;
use ringway_shell::Input;
use rustls_pki_types::UnixTime;

use super::Drive;
use crate::admin::report::RevocationListReport;

/// Prefix of the findings' names; the organization follows.
const NAME: &str = "revocation-list ";

impl Drive {
    /// Closes the sessions that are refused because a list has become overdue, and updates the
    /// findings.
    pub(super) fn check_lists(&mut self) {
        let now = UnixTime::now();
        let trust = self.in_force.trust().load_full();
        let before = std::mem::replace(&mut self.lists_seen, now);
        // The trust itself refuses new handshakes; existing sessions are closed here.
        if trust.has_become_stale(before, now) {
            let untrusted = self.links.untrusted();
            self.handle(Input::Untrusted(untrusted));
        }

        let stale = trust.stale_lists(now);
        for (org, fault) in &stale {
            let remedy = Remedy::ringway(format!(
                "reload   # once the organization's newest list is at {}",
                fault.place
            ));
            self.attention
                .raise(&format!("{NAME}{org}"), &fault.to_string(), remedy);
        }
        for name in self.attention.names(NAME) {
            let org = &name[NAME.len()..];
            if stale.iter().all(|(stale, _)| stale.as_str() != org) {
                self.attention.clear(&name);
            }
        }
    }

    /// All lists in force, for `status`.
    pub(super) fn revocation_lists(&self) -> Vec<RevocationListReport> {
        let now = UnixTime::now();
        let trust = self.in_force.trust().load();

        trust
            .lists()
            .map(|(org, list)| RevocationListReport::of(org, list, now))
            .collect()
    }
}
