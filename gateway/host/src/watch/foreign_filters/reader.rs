//! [`Reader`]: reads the base chains of other programs, and their tables, over netlink.

use std::io;

use rtnetlink::packet_core::{NLM_F_DUMP, NlasIterator};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;

use super::chain::{BaseChain, Family, Hook};
use super::evaluate::Ruleset;
use super::expression::{Expression, Verdict, read_verdict};
use super::set::Set;
use crate::netlink::raw::{Attributes, RawSocket, push_attribute};

/// linux/netfilter/nfnetlink.h: the subsystem, in the upper byte of each message type.
const NFTABLES: u16 = 10 << 8;
const GET_CHAIN: u16 = NFTABLES | 4;
const GET_RULE: u16 = NFTABLES | 7;
const GET_SET: u16 = NFTABLES | 10;
const GET_ELEMENTS: u16 = NFTABLES | 13;

/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;
const TABLE: u16 = 1;

/// `NFT_SET_INTERVAL`: the set lists the starts and the ends of ranges.
const RANGES: u32 = 4;
/// `NFT_SET_CONCAT`: ranges over several fields, which are not understood.
const CONCAT: u32 = 128;
/// `NFT_SET_ELEM_INTERVAL_END` and `NFT_SET_ELEM_CATCHALL`.
const RANGE_END: u32 = 1;
const CATCH_ALL: u32 = 2;

/// linux/netfilter_ipv4.h: `NF_IP_PRI_CONNTRACK`.
const CONNTRACK_PRIORITY: i32 = -200;

/// Maximum number of elements read from a set. A larger set is not understood.
const MAX_ELEMENTS: usize = 4096;

/// Reads nftables in the network namespace of the thread that opened it.
pub(super) struct Reader {
    socket: RawSocket,
}

impl Reader {
    pub(super) fn open() -> io::Result<Reader> {
        Ok(Reader {
            socket: RawSocket::open(NETLINK_NETFILTER)?,
        })
    }

    /// The base chains for packets to, from or through this host, except those in our table `ours`.
    pub(super) fn base_chains(&mut self, ours: &str) -> io::Result<Vec<BaseChain>> {
        let mut chains = Vec::new();

        self.list(GET_CHAIN, &request(0, &[]), |family, message| {
            let chain = read_chain(family, &Attributes(message));
            chains.extend(chain.filter(|chain| chain.table != ours));
        })?;
        Ok(chains)
    }

    /// Every rule of a table, and its sets.
    pub(super) fn table(&mut self, family: Family, table: &str) -> io::Result<Ruleset> {
        let mut ruleset = Ruleset::default();
        let name = zero_terminated(table);
        let of_table = request(family.number(), &[(TABLE, &name)]);
        let is_ours = |found: Option<Family>, message: &[u8]| {
            found == Some(family) && Attributes(message).find(TABLE).as_ref() == Some(&name)
        };

        // Chains are listed separately: a chain without rules may be the target of a jump, too.
        self.list(GET_CHAIN, &of_table, |found, message| {
            if is_ours(found, message) {
                let chain = Attributes(message).find(3).unwrap_or_default();
                ruleset.chains.entry(text(&chain)).or_default();
            }
        })?;
        self.list(GET_RULE, &of_table, |found, message| {
            if is_ours(found, message) {
                let chain = Attributes(message).find(2).unwrap_or_default();
                let steps = Attributes(message).find(4).unwrap_or_default();
                let rule = NlasIterator::new(steps.as_slice())
                    .flatten()
                    .flat_map(|step| Expression::read(step.value()))
                    .collect();
                ruleset.chains.entry(text(&chain)).or_default().push(rule);
            }
        })?;

        let mut sets = Vec::new();
        self.list(GET_SET, &of_table, |found, message| {
            let flags = Attributes(message).number(3).unwrap_or_default();
            let name = Attributes(message).find(2);
            if is_ours(found, message) && flags & CONCAT == 0 {
                sets.extend(name.map(|name| (name, flags & RANGES != 0)));
            }
        })?;
        for (set, has_ranges) in sets {
            if let Some(read) = self.read_set(family, &name, &set, has_ranges)? {
                ruleset.sets.insert(text(&set), read);
            }
        }
        Ok(ruleset)
    }

    /// `None` if the set is not understood.
    fn read_set(
        &mut self,
        family: Family,
        table: &[u8],
        set: &[u8],
        has_ranges: bool,
    ) -> io::Result<Option<Set>> {
        let request = request(family.number(), &[(TABLE, table), (2, set)]);
        let mut elements = Vec::new();
        let mut is_understood = true;

        self.list(GET_ELEMENTS, &request, |_, message| {
            let list = Attributes(message).find(3).unwrap_or_default();
            for element in NlasIterator::new(list.as_slice()).flatten() {
                let element = Attributes(element.value());
                let key = element.find(1).and_then(|key| Attributes(&key).find(1));
                let flags = element.number(3).unwrap_or_default();
                let verdict = element.find(2).and_then(|data| verdict_of(&data));
                is_understood &= flags & CATCH_ALL == 0 && elements.len() < MAX_ELEMENTS;
                if is_understood {
                    elements.extend(key.map(|key| (key, flags & RANGE_END != 0, verdict)));
                }
            }
        })?;
        Ok(is_understood.then(|| Set::of(elements, has_ranges)))
    }

    fn list(
        &mut self,
        kind: u16,
        request: &[u8],
        mut each: impl FnMut(Option<Family>, &[u8]),
    ) -> io::Result<()> {
        let answer = self.socket.ask(kind, NLM_F_DUMP, request, |_, message| {
            if let Some((header, attributes)) = message.split_at_checked(HEADER) {
                each(Family::read(header[0]), attributes);
            }
        });

        match answer {
            // The object was deleted in the meantime.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn read_chain(family: Option<Family>, chain: &Attributes<'_>) -> Option<BaseChain> {
    let registration = chain.find(4)?;
    let registration = Attributes(&registration);
    let family = family?;
    let hook = Hook::read(family, registration.number(1)?)?;
    let priority = registration.number(2)? as i32;
    let is_first = priority <= CONNTRACK_PRIORITY;

    Some(BaseChain {
        family,
        table: text(&chain.find(TABLE)?),
        name: text(&chain.find(3)?),
        hook,
        devices: devices(&registration),
        // linux/netfilter.h: NF_DROP is 0.
        drops_by_default: chain.number(5) == Some(0),
        is_early: match hook {
            Hook::Ingress | Hook::Egress => true,
            Hook::Prerouting | Hook::Output => is_first,
            Hook::Input | Hook::Forward | Hook::Postrouting => false,
        },
        is_legacy: false,
        translates: text(&chain.find(7).unwrap_or_default()) == "nat",
    })
}

/// The interfaces in `enum nft_hook_attributes`: a single one, or a list of names and of prefixes
/// of names.
fn devices(registration: &Attributes<'_>) -> Vec<String> {
    let mut devices = Vec::from_iter(registration.find(3).map(|name| text(&name)));

    let list = registration.find(4).unwrap_or_default();
    for device in NlasIterator::new(list.as_slice()).flatten() {
        let name = text(device.value());
        devices.push(if device.kind() == 2 { name + "*" } else { name });
    }
    devices
}

fn verdict_of(data: &[u8]) -> Option<Verdict> {
    match read_verdict(data)? {
        Expression::Verdict(verdict) => Some(verdict),
        _ => None,
    }
}

/// A request: `struct nfgenmsg`, and the attributes.
fn request(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];

    for (kind, value) in attributes {
        push_attribute(&mut bytes, *kind, value);
    }
    bytes
}

fn zero_terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}
