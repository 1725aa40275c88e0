//! Looks after the members' certificate revocation lists: what an overdue one means, and what is
//! shown of them.

use ringway_intent::Remedy;
use ringway_shell::Input;
use rustls_pki_types::UnixTime;

use super::Drive;
use crate::admin::report::RevocationListReport;

/// How the names of what needs attention begin, before the organization.
const NAME: &str = "revocation-list ";

impl Drive {
    /// Ends the sessions that a list which has become overdue does not admit any more, and keeps
    /// the list of what needs attention right.
    pub(super) fn look_after_lists(&mut self) {
        let now = UnixTime::now();
        let trust = self.in_force.trust().load_full();
        let before = std::mem::replace(&mut self.lists_seen, now);
        // New handshakes are refused by the trust itself; sessions that are up end here.
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

    /// Every list in force, for `status`.
    pub(super) fn revocation_lists(&self) -> Vec<RevocationListReport> {
        let now = UnixTime::now();
        let trust = self.in_force.trust().load();

        trust
            .lists()
            .map(|(org, list)| RevocationListReport::of(org, list, now))
            .collect()
    }
}
