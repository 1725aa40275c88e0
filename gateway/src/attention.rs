//! [`Attention`]: what an operator should look at while the gateway goes on: one list for `status`
//! and the log. The part that finds something raises it under its name, and clears it when it is
//! over.
//!
//! Each is logged once when it is raised, again if its text changes, and once when it is over.

use ringway_intent::Remedy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Findings that are kept. Names come from our own code, so that only a fault there fills the list;
/// more are logged and left out.
const MOST: usize = 256;

/// The list. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Attention(Arc<Mutex<BTreeMap<String, Item>>>);

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What is wrong, for an operator.
    pub what: String,
    /// What fixes it.
    pub remedy: Remedy,
    /// When it was raised.
    pub since: SystemTime,
}

impl Attention {
    /// Puts `what` on the list under `name`, such as `forward-drop ip filter FORWARD`.
    pub fn raise(&self, name: &str, what: &str, remedy: impl Into<Remedy>) {
        let remedy = remedy.into();
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        // It is the same finding as long as it has the name, whatever is said about it.
        let since = match items.get(name) {
            Some(known) if known.what == what && known.remedy == remedy => return,
            Some(known) => known.since,
            None => SystemTime::now(),
        };
        // Logged also when the list is full: it must not be lost altogether.
        if items.len() < MOST || items.contains_key(name) {
            let item = Item {
                what: what.to_owned(),
                remedy: remedy.clone(),
                since,
            };
            items.insert(name.to_owned(), item);
        }
        // Without a remedy, the log has no such field.
        let remedy = Some(remedy.to_string()).filter(|remedy| !remedy.is_empty());
        tracing::warn!(name, reason = what, remedy, "Something needs attention");
    }

    /// Takes `name` off the list.
    pub fn clear(&self, name: &str) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        if items.remove(name).is_some() {
            tracing::info!(name, "Needs no attention any more");
        }
    }

    /// The names that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);

        items
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// Everything on the list, by name.
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
        for number in 0..2 * MOST {
            attention.raise(&number.to_string(), "wrong", "");
        }
        assert_eq!(attention.list().len(), MOST);
    }
}
