//! [`Authors`]: the program that changed our objects, as far as the kernel's notifications name it.
//! Only for the log: nothing depends on it.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtnetlink::packet_core::{NetlinkBuffer, NlasIterator};

/// Maximum age of a notification about the present change. Changes are noticed at once, or by the
/// comparison every second.
const MAX_AGE: Duration = Duration::from_secs(3);

/// Length of a netlink header.
const HEADER: usize = 16;

// linux/rtnetlink.h: message types, and the attribute that names the table. The headers of routes
// and rules have one length.
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const ROUTE_TABLE: u16 = 15;
const ROUTE_HEADER: usize = 12;

// linux/netfilter/nf_tables.h: every object names its table first. The message that ends a
// transaction names the process.
const NFT_MSG_NEWGEN: u16 = (10 << 8) | 15;
const OBJECT_TABLE: u16 = 1;
const PROCESS_NAME: u16 = 3;
const NFT_HEADER: usize = 4;

/// The last known authors. Clones share them.
#[derive(Debug, Clone)]
pub struct Authors {
    known: Arc<Mutex<Known>>,
    /// Our table of nftables, with a final zero byte.
    nft_table: Arc<[u8]>,
    /// Our table of routes.
    route_table: u32,
}

#[derive(Debug, Default)]
struct Known {
    /// The current nftables transaction changes our table.
    changes_table: bool,
    table: Option<(String, Instant)>,
    routes: Option<(String, Instant)>,
}

impl Authors {
    /// Authors of changes to the nftables table `nft_table` and the routing table `route_table`.
    pub fn new(nft_table: &str, route_table: u32) -> Authors {
        let zero_terminated = nft_table.bytes().chain([0]).collect();

        Authors {
            known: Arc::default(),
            nft_table: zero_terminated,
            route_table,
        }
    }

    /// The author of the latest change of our nftables table.
    pub fn of_table(&self) -> Option<String> {
        recent(&self.lock().table)
    }

    /// The author of the latest change of our rules or routes.
    pub fn of_routes(&self) -> Option<String> {
        recent(&self.lock().routes)
    }

    /// Handles one datagram of nftables notifications.
    pub(super) fn note_nftables(&self, datagram: &[u8]) {
        let mut known = self.lock();

        for_each(datagram, |message| {
            let payload = message.payload();
            // The changes of a transaction come first; NEWGEN ends it and names the process.
            if message.message_type() != NFT_MSG_NEWGEN {
                known.changes_table |= attribute(payload, NFT_HEADER, OBJECT_TABLE)
                    .is_some_and(|table| *table == *self.nft_table);
            } else if std::mem::take(&mut known.changes_table) {
                let name = attribute(payload, NFT_HEADER, PROCESS_NAME).unwrap_or_default();
                let name = String::from_utf8_lossy(&name)
                    .trim_end_matches('\0')
                    .to_owned();
                known.table = Some((name, Instant::now()));
            }
        });
    }

    /// Handles one datagram of notifications about rules, routes, links and addresses.
    pub(super) fn note_routes(&self, datagram: &[u8]) {
        for_each(datagram, |message| {
            let is_route = matches!(
                message.message_type(),
                RTM_NEWROUTE | RTM_DELROUTE | RTM_NEWRULE | RTM_DELRULE
            );
            let table = self.route_table.to_ne_bytes();
            let is_ours = is_route
                && attribute(message.payload(), ROUTE_HEADER, ROUTE_TABLE)
                    .is_some_and(|found| found == table);

            if is_ours && let Some(name) = process(message.port_number()) {
                self.lock().routes = Some((name, Instant::now()));
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn recent(known: &Option<(String, Instant)>) -> Option<String> {
    known
        .as_ref()
        .filter(|(_, since)| since.elapsed() < MAX_AGE)
        .map(|(name, _)| name.clone())
}

/// The name of the process with a netlink port. The port of a process's first socket is the process
/// id; for its other sockets, for the kernel and for this process the result is `None`.
fn process(port: u32) -> Option<String> {
    if port == 0 || port == std::process::id() {
        return None;
    }

    let name = fs::read_to_string(format!("/proc/{port}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn for_each(datagram: &[u8], mut each: impl FnMut(&NetlinkBuffer<&[u8]>)) {
    let mut rest = datagram;

    while rest.len() >= HEADER {
        // The last message may be truncated.
        let Ok(message) = NetlinkBuffer::new_checked(rest) else {
            return;
        };
        each(&message);

        let length = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn attribute(payload: &[u8], header: usize, kind: u16) -> Option<Vec<u8>> {
    NlasIterator::new(payload.get(header..)?)
        .flatten()
        .find(|found| found.kind() == kind)
        .map(|found| found.value().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, header: usize, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut payload = vec![0; header];
        for (kind, value) in attributes {
            payload.extend((4 + value.len() as u16).to_ne_bytes());
            payload.extend(kind.to_ne_bytes());
            payload.extend_from_slice(value);
            payload.resize(payload.len().next_multiple_of(4), 0);
        }

        let mut bytes = Vec::new();
        bytes.extend((HEADER as u32 + payload.len() as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn only_a_process_whose_transaction_changed_our_table_is_named() {
        let authors = Authors::new("ringway0", 4600);
        let deleted = |table: &[u8]| message((10 << 8) | 2, NFT_HEADER, &[(OBJECT_TABLE, table)]);
        let end = |name: &[u8]| message(NFT_MSG_NEWGEN, NFT_HEADER, &[(PROCESS_NAME, name)]);

        authors.note_nftables(&[deleted(b"ringway\0"), end(b"fail2ban\0")].concat());
        assert_eq!(authors.of_table(), None);

        // A transaction in two datagrams.
        authors.note_nftables(&deleted(b"ringway0\0"));
        authors.note_nftables(&end(b"nft\0"));
        assert_eq!(authors.of_table().as_deref(), Some("nft"));
        authors.note_nftables(&end(b"fail2ban\0"));
        assert_eq!(authors.of_table().as_deref(), Some("nft"));
    }

    #[test]
    fn truncated_datagrams_cause_no_panic_and_name_no_process() {
        let authors = Authors::new("ringway0", 4600);
        let whole = message(RTM_DELRULE, ROUTE_HEADER, &[(ROUTE_TABLE, &[0, 0, 0, 0])]);
        for length in 0..whole.len() {
            authors.note_routes(&whole[..length]);
            authors.note_nftables(&whole[..length]);
        }
        assert_eq!(authors.of_routes(), None);
    }
}
