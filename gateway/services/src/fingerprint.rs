//! [`fingerprint`]: tells what is followed, so that two gateways know whether they follow the same.

use ringway_config::Digest;

use crate::api::{own_namespace, read};
use crate::watch::Settings;

/// Identifies the cluster, by its CA, and which of its Services are followed. `None` if the CA or
/// our namespace cannot be read. Blocks.
pub fn fingerprint(settings: &Settings) -> Option<Digest> {
    let access = &settings.access;
    let mut text = read(&access.credentials.join("ca.crt")).ok()?;
    let mut namespaces = settings.namespaces.clone();
    if namespaces.is_empty() {
        namespaces.push(own_namespace(access).ok()?);
    }
    namespaces.sort();

    let followed = (namespaces, &settings.selector, settings.nodes);
    text.extend_from_slice(format!("{followed:?}").as_bytes());
    Some(Digest::of(&text))
}
