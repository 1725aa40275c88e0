//! `[dns.kubernetes]`: the Services of a cluster whose names are ours.

use std::path::{Path, PathBuf};

use crate::file::gateway::read_path;
use crate::file::item::Item;
use crate::file::table::Table;
use crate::keys::{dns, kubernetes as keys};
use crate::{Kubernetes, kubernetes, limits};

/// Bytes of a selector.
const SELECTOR: usize = 1024;

/// Reads the table, if it is there. A value with faults is reported; what is left out then is never
/// used.
pub(super) fn read(table: &Table<'_>, dir: &Path) -> Option<Kubernetes> {
    let table = table.table(&dns::KUBERNETES, &keys::SCHEMA)?;
    let selector = table.optional(&keys::SELECTOR);
    let server = table.optional(&keys::SERVER);
    let credentials = table.optional(&keys::CREDENTIALS);

    Some(Kubernetes {
        namespaces: read_namespaces(&table),
        selector: selector.and_then(|item| read_selector(&item)),
        nodes: super::read_flag(&table, &keys::NODES),
        server: server.and_then(|item| read_server(&item)),
        credentials: credentials
            .and_then(|item| read_path(&item, dir))
            .unwrap_or_else(|| PathBuf::from(kubernetes::CREDENTIALS)),
    })
}

fn read_namespaces(table: &Table<'_>) -> Vec<String> {
    let mut namespaces = Vec::new();
    for item in table.list(&keys::NAMESPACES, limits::KUBERNETES_NAMESPACES) {
        let Some(text) = item.text() else { continue };

        // It becomes a part of a path.
        if !is_label(text) {
            item.fault(format!(
                "{text:?} is no namespace of 1 to 63 lowercase letters, digits and inner hyphens"
            ));
        } else if namespaces.iter().any(|known| known == text) {
            item.fault(format!("{text} is listed twice; remove one of them"));
        } else {
            namespaces.push(text.to_owned());
        }
    }
    namespaces
}

fn read_selector(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));

    if text.is_empty() || text.len() > SELECTOR || !is_plain {
        return item.refuse(format!("{text:?} is no selector of labels"));
    }
    Some(text.to_owned())
}

/// The token is sent there: over TLS alone.
fn read_server(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let host = text.strip_prefix("https://");

    match host {
        Some(host) if !host.is_empty() && host.bytes().all(is_of_host) => Some(text.to_owned()),
        _ => item.refuse(format!("{text:?} is not https:// with a host and a port")),
    }
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)
}

/// RFC 1123, section 2.1: a label of a host name.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
