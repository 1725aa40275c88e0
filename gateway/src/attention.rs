//! [`Attention`]: the findings that an operator should look at while the gateway goes on. It is one
//! list for `status` and the log. The part of the daemon that detects a problem raises a finding
//! under a name, and clears it when the problem is over.
//!
//! A finding is logged when it is raised, when its text changes, and when it is cleared.

use ringway_intent::Remedy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Maximum number of findings. Names come from our own code, so only a bug can fill the list; more
/// are logged and left out.
const MAX_FINDINGS: usize = 256;

/// The list of findings. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Attention(Arc<Mutex<BTreeMap<String, Item>>>);

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The problem, for an operator.
    pub what: String,
    /// How to fix it.
    pub remedy: Remedy,
    /// When the finding was raised.
    pub since: SystemTime,
}

impl Attention {
    /// Raises the finding `name`, such as `forward-drop ip filter FORWARD`.
    pub fn raise(&self, name: &str, what: &str, remedy: impl Into<Remedy>) {
        let remedy = remedy.into();
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        // A new text under the same name is the same finding: `since` stays.
        let since = match items.get(name) {
            Some(known) if known.what == what && known.remedy == remedy => return,
            Some(known) => known.since,
            None => SystemTime::now(),
        };
        // Logged even if the list is full, so that it is not lost.
        if items.len() < MAX_FINDINGS || items.contains_key(name) {
            let item = Item {
                what: what.to_owned(),
                remedy: remedy.clone(),
                since,
            };
            items.insert(name.to_owned(), item);
        }
        // The log line has this field only if there is a remedy.
        let remedy = Some(remedy.to_string()).filter(|remedy| !remedy.is_empty());
        tracing::warn!(name, reason = what, remedy, "Something needs attention");
    }

    /// Clears the finding `name`.
    pub fn clear(&self, name: &str) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        if items.remove(name).is_some() {
            tracing::info!(name, "Needs no attention any more");
        }
    }

    /// The names of all findings that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        items
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// All findings, by name.
    pub fn list(&self) -> BTreeMap<String, Item> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_beginning_until_it_is_over() {
        let attention = Attention::default();
        attention.raise("dns 10.0.0.1", "missing", "");
        let since = attention.list()["dns 10.0.0.1"].since;

        let remedy = Remedy::command("ip address add 10.0.0.1");
        attention.raise("dns 10.0.0.1", "still missing", remedy);
        let item = attention.list()["dns 10.0.0.1"].clone();
        assert_eq!(item.since, since);
        assert_eq!(item.what, "still missing");

        assert_eq!(attention.names("dns "), ["dns 10.0.0.1"]);
        attention.clear("dns 10.0.0.1");
        assert!(attention.list().is_empty());
    }

    #[test]
    fn the_list_has_an_end() {
        let attention = Attention::default();
        for number in 0..2 * MAX_FINDINGS {
            attention.raise(&number.to_string(), "wrong", "");
        }
        assert_eq!(attention.list().len(), MAX_FINDINGS);
    }
}
